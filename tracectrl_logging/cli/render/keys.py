"""``--fields`` and ``--hide``: which keys of a line are shown.

A name is a key of the line, a path into it (``exception.type``), or an attribute of a span; a line's
own key ``type`` is also called ``extra_type``, as ``--json`` shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracectrl_logging.reader.json_rows import members, typed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

    from tracectrl_logging.reader.model import Line

_OBJECT: Final = "{"
_ATTRIBUTES: Final = "attributes"


class Keys:
    """The keys of a line that are shown.

    Args:
        fields: these alone; ``None`` for all.
        hidden: all but these.
    """

    def __init__(self, fields: Iterable[str] | None, hidden: Iterable[str] = ()) -> None:
        self._fields = None if fields is None else tuple(dict.fromkeys(fields))
        self._hidden = frozenset(hidden)
        self._hides_type = "extra_type" in self._hidden or "type" in self._hidden

    def json(self, line: Line) -> bytes:
        """Return *line* as a row with these keys and ``type``, values as they are stored."""
        kind, *pairs = members(typed(line).decode())
        if self._hidden:
            hidden = self._hidden - {"type"} | ({"extra_type"} if self._hides_type else set())
            pairs = _without(pairs, hidden)
        if self._fields is not None:
            pairs = list(_picked(pairs, self._fields))
        return _joined([kind, *pairs]).encode()

    def row(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return *row* without what is hidden; a hidden logger is empty, for none is a dash."""
        hidden = self._hidden | ({"type", "extra_type"} if self._hides_type else set())
        if not hidden:
            return row
        kept = _row_without(row, hidden)
        return {**kept, "logger": ""} if "logger" in hidden else kept

    def extras(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what *row*, less what is hidden, has at the fields; ``None`` where all are meant."""
        if self._fields is None:
            return None
        from tracectrl_logging.reader.filters.conditions import MISSING, find  # noqa: PLC0415 - here alone

        found = ((name, find(row, name)) for name in self._fields)
        return {name: value for name, value in found if value is not MISSING}


def _picked(pairs: list[tuple[str, str]], names: Iterable[str]) -> Iterable[tuple[str, str]]:
    own = dict(pairs)
    for name in names:
        key = "extra_type" if name == "type" else name
        value = _find(own, key)
        if value is not None:
            yield key, value


def _find(own: dict[str, str], key: str) -> str | None:
    """Return the text at *key*, looked for as conditions look for it."""
    if key in own:
        return own[key]
    attributes = _inner(own.get(_ATTRIBUTES))
    if key in attributes:
        return attributes[key]
    first, rest = key, ""
    while "." in first:
        first, _, last = first.rpartition(".")
        rest = f"{last}.{rest}" if rest else last
        if own.get(first, "").startswith(_OBJECT):
            return _find(_inner(own[first]), rest)
    return None


def _inner(text: str | None) -> dict[str, str]:
    return dict(members(text)) if text is not None and text.startswith(_OBJECT) else {}


def _without(pairs: list[tuple[str, str]], hidden: frozenset[str]) -> list[tuple[str, str]]:
    kept = []
    for key, text in pairs:
        if key in hidden:
            continue
        inner = _below(key, hidden)
        if inner and text.startswith(_OBJECT):
            kept.append((key, _joined(_without(members(text), inner))))
        else:
            kept.append((key, text))
    return kept


def _row_without(row: dict[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    kept = {}
    for key, value in row.items():
        if key in hidden:
            continue
        inner = _below(key, hidden)
        kept[key] = _row_without(value, inner) if inner and isinstance(value, dict) else value
    return kept


def _below(key: str, hidden: frozenset[str]) -> frozenset[str]:
    """Return what is hidden in the object at *key*."""
    inner = frozenset(name[len(key) + 1 :] for name in hidden if name.startswith(f"{key}."))
    return inner | hidden if key == _ATTRIBUTES else inner


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    import json  # noqa: PLC0415 - here alone

    return "{" + ",".join(f"{json.dumps(key)}:{text}" for key, text in pairs) + "}"
