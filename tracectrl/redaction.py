"""Leaving secrets out of the files: by key, at any depth."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Mapping, ValuesView
from collections.abc import Set as AbstractSet
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

Redact: TypeAlias = str | Callable[[str, Any], bool] | Iterable[str | Callable[[str, Any], bool]]
"""A key name, a callable ``(key, value) -> bool``, or several of both."""

MARKER = "[redacted]"
"""What stands in the place of a redacted value; it says nothing of it."""

_MAX_DEPTH = 64
_MAX_KEPT = 1024
_PAIR = 2
_PACKED = (AbstractSet, deque, ValuesView)

LEAVES = frozenset({str, int, float, bool, bytes, type(None)})
"""The types of values that have nothing in them to look at."""

# Objects whose repr shows their fields: an attribute of their class, and the fields' names.
_FIELD_NAMES: tuple[tuple[str, Callable[[Any], Iterable[str]]], ...] = (
    ("__dataclass_fields__", lambda it: [field.name for field in dataclasses.fields(it)]),
    ("_fields", lambda it: it._fields),  # named tuples
    ("__attrs_attrs__", lambda it: [field.name for field in it.__attrs_attrs__]),
    ("__struct_fields__", lambda it: it.__struct_fields__),  # msgspec
    ("__pydantic_fields__", lambda it: [*it.__pydantic_fields__, *(it.__pydantic_extra__ or ())]),
    ("_get_kwargs", vars),  # argparse
)


class Redactor:
    """Replaces the values of certain keys by :data:`MARKER`, in whatever holds them, at any depth.

    That is: in mappings, lists, tuples, sets; in the fields of dataclasses, named tuples,
    namespaces, and of the classes of attrs, msgspec and pydantic; and in the pairs that a list of
    headers is made of. Other objects are left to their ``repr``.

    Args:
        redact: key names (compared without case) and callables ``(key, value) -> bool`` that say
            whether a value is to go; the items of a list are asked about with the key of the list.
            A callable that raises redacts: better a marker too many.

    Raises:
        TypeError: *redact* holds something else.
    """

    def __init__(self, redact: Redact) -> None:
        if isinstance(redact, str) or callable(redact):
            items = [redact]
        elif isinstance(redact, Iterable):
            items = list(redact)
        else:
            items = [cast("Any", redact)]
        self._names = frozenset(item.lower() for item in items if isinstance(item, str))
        self._tests = tuple(item for item in items if not isinstance(item, str))
        for test in self._tests:
            if not callable(test):
                msg = f"redact must hold key names and callables (key, value) -> bool, got {test!r}"
                raise TypeError(msg)
        self._harmless: set[str] = set()  # names that were looked at already

    def __call__(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return *fields* less its secrets; what is in it, and itself, stays as it is.

        The very dict comes back where it holds none, as far as names and types tell at a glance.
        """
        harmless = self._harmless
        try:
            for name, value in fields.items():
                if name not in harmless or type(value) not in LEAVES:
                    break
            else:
                return fields
        except TypeError:  # a type, or a key, that has no hash
            pass
        if len(harmless) < _MAX_KEPT:
            harmless.update(name for name in fields if type(name) is str and self.lets(name))
        return _Walk(self._names, self._tests).pairs(list(fields.items()), ())

    def lets(self, name: str) -> bool:
        """Tell whether what is called *name* stays, where its type is one of :data:`LEAVES`."""
        return not self._tests and name.lower() not in self._names

    def value(self, value: Any) -> Any:
        """Return *value* itself, where no secret is in it, else a copy without."""
        walk = _Walk(self._names, self._tests)
        clean = walk.value("", value, ())
        return clean if walk.hits else value


class _Walk:
    """One walk through what is logged; counts what it has left out."""

    __slots__ = ("_names", "_tests", "hits")

    def __init__(
        self, names: frozenset[str], tests: tuple[Callable[[str, Any], bool], ...]
    ) -> None:
        self._names = names
        self._tests = tests
        self.hits = 0

    def pairs(self, items: Iterable[tuple[Any, Any]], inside: tuple[int, ...]) -> dict[Any, Any]:
        """Return the dict of the *items*, less its secrets."""
        clean = {}
        for key, value in items:
            name = _text(key)
            clean[key] = (
                self._marker()
                if name is None or self._is_secret(name, value)
                else self.value(name, value, inside)
            )
        return clean

    def value(self, name: str, value: Any, inside: tuple[int, ...]) -> Any:
        """Return *value*, found under the key *name*, less its secrets."""
        try:  # a metaclass that compares, and does not hash, cannot be looked up either
            return value if type(value) in LEAVES else self._looked_into(name, value, inside)
        except Exception:  # noqa: BLE001 - what cannot be looked into is not shown
            return self._marker()

    def _looked_into(self, name: str, value: Any, inside: tuple[int, ...]) -> Any:
        fields = _fields_of(value)
        is_list = isinstance(value, (list, tuple))
        if fields is None and not is_list and not isinstance(value, _PACKED):
            return value
        if id(value) in inside or len(inside) >= _MAX_DEPTH:
            return self._marker()
        inside = (*inside, id(value))
        before = self.hits
        clean: Any
        if fields is not None:
            clean = self.pairs(fields, inside)
            if isinstance(value, dict):
                return clean
        else:
            clean = [self._item(name, item, inside) for item in list(value)]
            if is_list:
                return clean
        # What has a form of its own keeps it, where there is nothing to hide.
        return value if self.hits == before else clean

    def _item(self, name: str, item: Any, inside: tuple[int, ...]) -> Any:
        """Return an *item* of the list under the key *name*, which may be a pair of key and value."""
        if self._tests and self._is_secret(name, item, by_name=False):
            return self._marker()
        if isinstance(item, (tuple, list)) and len(item) == _PAIR and _fields_of(item) is None:
            key = item[0]
            if isinstance(key, (str, bytes)) and self._is_secret(_text(key) or "", item[1]):
                return [key, self._marker()]
        return self.value(name, item, inside)

    def _is_secret(self, name: str, value: object, *, by_name: bool = True) -> bool:
        if by_name and name.lower() in self._names:
            return True
        if not self._tests:
            return False
        try:
            return any(test(name, value) for test in self._tests)
        except Exception:  # noqa: BLE001 - the user's code may raise anything
            return True

    def _marker(self) -> str:
        self.hits += 1
        return MARKER


def _text(key: object) -> str | None:
    """Return *key* as it reads in the line, ``None`` where it has no text."""
    try:
        if isinstance(key, str):
            return str.__str__(key)  # an enum's own would name the class
        return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
    except Exception:  # noqa: BLE001 - a key may be any object
        return None


def _fields_of(value: Any) -> list[tuple[Any, Any]] | None:
    """Return keys and values of what has such, ``None`` for anything else."""
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, SimpleNamespace):
        return list(vars(value).items())
    kind = type(value)
    for attribute, names_of in _FIELD_NAMES:
        if hasattr(kind, attribute):
            return [(name, getattr(value, name, None)) for name in names_of(value)]
    return None


def redactor(redact: Redact | None) -> Redactor | None:
    """Return the :class:`Redactor` for an option that may be ``None``."""
    return None if redact is None else Redactor(redact)
