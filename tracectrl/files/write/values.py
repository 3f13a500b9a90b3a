"""Long values are cut before a line is written, where that is asked for.

A line that is no longer than the bound has no value that is, so that most lines cost a comparison. What
is longer is parsed, cut and encoded anew.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tracectrl._json import encode_line
from tracectrl.files.write.appender import Appender, whole_number
from tracectrl.schema import OTLP_KEY, STAMP_KEYS

if TYPE_CHECKING:
    import os
    from typing import Final

LEAST_VALUE_BYTES: Final = 64
"""The lowest bound: the mark and a few words have room in it."""

_MARK: Final = "… [cut, {} bytes]"
_HOLDERS: Final = frozenset({"attributes", "resource", "exception"})
_LISTS: Final = frozenset({"events", "links"})
_KEPT: Final = frozenset({*STAMP_KEYS, "parent_span_id", "session.id", OTLP_KEY})
_OTLP: Final = frozenset({"resourceSpans", "resourceLogs"})


class CuttingAppender(Appender):
    """Appends lines, as :class:`Appender` does, with values cut that are too long.

    Args:
        root: as for :class:`Appender`, like *suffix* and *options*.
        suffix: the same.
        max_value_bytes: how long a value may be, as UTF-8.
        options: the same.

    Raises:
        TypeError: as for :class:`Appender`.
        ValueError: *max_value_bytes* is below 64, or as for :class:`Appender`.
        OSError: as for :class:`Appender`.
    """

    def __init__(
        self, root: str | os.PathLike[str] | None, suffix: str, max_value_bytes: int, **options: Any
    ) -> None:
        whole_number("max_value_bytes", max_value_bytes, LEAST_VALUE_BYTES)
        self._most = max_value_bytes
        super().__init__(root, suffix, **options)

    def append(self, sid: str, line: bytes) -> None:
        """Append *line* as :meth:`Appender.append` does, its long values cut."""
        super().append(sid, line if len(line) <= self._most else cut(line, self._most))


def open_appender(
    root: str | os.PathLike[str] | None, suffix: str, *, max_value_bytes: int, **options: Any
) -> Appender:
    """Return an appender with these *options*; a *max_value_bytes* of 0 cuts nothing."""
    whole_number("max_value_bytes", max_value_bytes, 0)
    if max_value_bytes:
        return CuttingAppender(root, suffix, max_value_bytes, **options)
    return Appender(root, suffix, **options)


def cut(line: bytes, most_bytes: int) -> bytes:
    """Return *line* with each value cut that is longer than *most_bytes*, as UTF-8 or as JSON.

    The value that stands in its place, mark included, is no longer. What is not a JSON object, and a
    line without a long value, comes back as it is. IDs are never cut.
    """
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            return line
        shorter = _Cutter(most_bytes)
        made = shorter.otlp(row) if not _OTLP.isdisjoint(row) else shorter.fields(row)
        return encode_line(made) if shorter.has_cut else line
    except (ValueError, RecursionError):
        return line


class _Cutter:
    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self.has_cut = False

    def fields(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return *row*, a line or what holds fields in one, with its values cut."""
        return {
            key: value if key in _KEPT else self._field(key, value) for key, value in row.items()
        }

    def otlp(self, value: Any) -> Any:
        """Return a part of OTLP/JSON with its texts cut."""
        if isinstance(value, dict):
            return {
                key: self._text(held) if key == "stringValue" else self.otlp(held)
                for key, held in value.items()
            }
        return [self.otlp(item) for item in value] if isinstance(value, list) else value

    def _field(self, key: str, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if key in _HOLDERS and isinstance(value, dict):
            return self.fields(value)
        if key in _LISTS and isinstance(value, list):
            return [self.fields(item) if isinstance(item, dict) else item for item in value]
        if not isinstance(value, (dict, list)):
            return value
        whole = encode_line({"": value})[4:-2].decode()
        if len(whole) * 4 <= self._most or len(whole.encode()) <= self._most:
            return value
        inner = self._inner(value)
        shorter = encode_line({"": inner})[4:-2]
        return inner if len(shorter) <= self._most else self._text(whole)

    def _inner(self, value: Any) -> Any:
        """Return a *value* with the texts in it cut."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {key: self._inner(held) for key, held in value.items()}
        return [self._inner(item) for item in value] if isinstance(value, list) else value

    def _text(self, value: Any) -> Any:
        if not isinstance(value, str) or len(value) * 4 <= self._most:
            return value
        encoded = value.encode(errors="surrogatepass")
        if len(encoded) <= self._most:
            return value
        self.has_cut = True
        mark = _MARK.format(len(encoded))
        room = self._most - len(mark.encode())
        return encoded[:room].decode(errors="ignore") + mark
