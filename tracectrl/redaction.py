"""Leaving secrets out of the files: by key, at any depth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, cast

Redact: TypeAlias = str | Callable[[str, Any], bool] | Iterable[str | Callable[[str, Any], bool]]
"""A key name, a callable ``(key, value) -> bool``, or several of both."""

MARKER = "[redacted]"
"""What stands in the place of a redacted value; it says nothing of it."""

_MAX_DEPTH = 64


class Redactor:
    """Replaces the values of certain keys by :data:`MARKER`, in dicts and lists at any depth.

    Args:
        redact: key names (compared without case) and callables ``(key, value) -> bool`` that say
            whether a value is to go. A callable that raises redacts: better a marker too many.

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
                msg = f"redact takes key names and callables (key, value) -> bool, not {test!r}"
                raise TypeError(msg)

    def __call__(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return *fields* less its secrets; the dict itself and what is in it stay as they are."""
        return self._dict(fields, ())

    def _dict(self, fields: dict[Any, Any], inside: tuple[int, ...]) -> dict[Any, Any]:
        return {
            key: MARKER if self._secret(key, value) else self._value(value, inside)
            for key, value in list(fields.items())
        }

    def _value(self, value: Any, inside: tuple[int, ...]) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            value = {name: getattr(value, name, None) for name in names}
        if not isinstance(value, (dict, list, tuple)):
            return value
        if id(value) in inside or len(inside) >= _MAX_DEPTH:
            return MARKER  # what cannot be looked into is not shown
        inside = (*inside, id(value))
        try:
            if isinstance(value, dict):
                return self._dict(value, inside)
            return [self._value(item, inside) for item in list(value)]
        except Exception:  # noqa: BLE001 - a subclass may do anything
            return MARKER

    def _secret(self, key: object, value: object) -> bool:
        name = key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
        if name.lower() in self._names:
            return True
        try:
            return any(test(name, value) for test in self._tests)
        except Exception:  # noqa: BLE001 - the user's code may raise anything
            return True


def redactor(redact: Redact | None) -> Redactor | None:
    """Return the :class:`Redactor` for an option that may be ``None``."""
    return None if redact is None else Redactor(redact)
