r"""Which lines a database may have as they are, and the form that it gets all others in.

A database trusts what it gets: it takes the first of two equal keys, knows neither the names that
other writers give to things nor their times, and fails at one line that it cannot read. Lines that
look like our own in all of this are passed on unparsed, thousands at once.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import orjson

from tracectrl._time import time_of
from tracectrl.schema import LEVELS, SPELLINGS, as_own, severity

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Final

    from tracectrl.schema import Kind

SEPARATOR: Final = b"\x01"
"""Stands between the columns: no JSON holds it."""

_TEXT: Final = rb'"[^"\\\n]*"'
_ANY_TEXT: Final = rb'"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
_TIME: Final = rb'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"'
_REST: Final = rb"[^\n]*\n(?<=[^,]\}\n)"
_FIVE: Final = "|".join(LEVELS).encode()
_SPELT: Final = "|".join(SPELLINGS).encode()

_LINES: Final[dict[Kind, re.Pattern[bytes]]] = {
    "log": re.compile(
        rb'(?:\{"timestamp":%b,"level":(?:"(?:%b)"(?:,"severity_number":\d+)?'
        rb'|"(?!\s*(?i:%b)\s*")[^"\\\n]*","severity_number":(?:2[0-4]|1\d|[1-9]))'
        rb',"logger":%b,"message":%b)*' % (_TIME, _FIVE, _SPELT, _TEXT, _REST)
    ),
    "span": re.compile(
        rb'(?:\{"name":%b,"kind":%b,"session_id":%b'
        rb'(?:,"trace_id":"[0-9a-f]{32}","span_id":"[0-9a-f]{16}","trace_flags":"[0-9a-f]{2}")?'
        rb'(?:,"parent_span_id":"[0-9a-f]{16}")?'
        rb',"start_time":%b,"end_time":%b,%b)*' % (_ANY_TEXT, _TEXT, _TEXT, _TIME, _TIME, _REST)
    ),
}
"""Any number of our own lines of a kind: their first keys, and their ends."""

_TIMES: Final[dict[Kind, tuple[str, ...]]] = {
    "log": ("timestamp",),
    "span": ("start_time", "end_time"),
}
_UNUSUAL: Final = (b"\r", b"\0", SEPARATOR)
"""What the database's reader of lines stumbles over."""

_TRAILING_COMMA: Final = re.compile(rb",[\]}]")
"""What its reader of JSON takes beyond JSON."""

_SURROGATES: Final = (b"\\ud", b"\\uD")
"""What its reader of JSON stumbles over, where one is alone."""

_ONCE: Final = (b"\n",)
_TIMES_SEEN: Final[dict[str, tuple[bytes, ...]]] = {
    "timestamp": (),  # the first keys have no comma in front of them
    "name": (),
    "message": (b"\n", b',"exception":{"type":'),
    "span_id": (b"\n", b'{"trace_id":'),
    "attributes": (b'{"name":', b'{"trace_id":'),
}
"""With how many of which signs a key comes on our own lines, where that is not once a line."""

_MANY_DIGITS: Final = re.compile(rb"\d{19}")
_LONE: Final = re.compile("[\ud800-\udfff]")


class Passing:
    """Tells which lines of one *kind* are passed on as they are.

    Args:
        kind: log lines or spans.
        keys: the keys that are read, none of which may stand twice on such a line.
        passes_none: each line is to be parsed.
    """

    def __init__(self, kind: Kind, keys: Collection[str], *, passes_none: bool = False) -> None:
        self._lines = _LINES[kind]
        self._passes_none = passes_none
        self._keys = [(b',"%b":' % key.encode(), _TIMES_SEEN.get(key, _ONCE)) for key in keys]

    def end(self, block: bytes, start: int) -> int:
        """Return where the lines in *block* end that look like our own from *start* on."""
        match = None if self._passes_none else self._lines.match(block, start)
        return start if match is None else match.end()

    def passes(self, lines: bytes) -> bool:
        """Tell whether *lines*, which look like our own, can be passed on unparsed."""
        if any(sign in lines for sign in _UNUSUAL) or not _is_utf8(lines):
            return False
        if _TRAILING_COMMA.search(lines) is not None:
            return False
        if b"\\" in lines and any(
            sign in lines for sign in _SURROGATES
        ):  # one byte is found quicker
            return False
        count = lines.count(b"\n") if self._keys else 0
        for key, signs in self._keys:
            found = lines.count(key)
            if found > (count if signs else 0) and found > sum(map(lines.count, signs)):
                return False
        return True


def normal(kind: Kind, raw: bytes, row: dict[str, Any]) -> bytes:
    r"""Return the line *raw*, which says *row*, in the form that the database takes.

    It has our keys, each once; its times are canonical, or null; its severity is a number where its
    level is none of the five; lone surrogates are spelt out as ``\udXXX``.
    """
    if _MANY_DIGITS.search(raw) is not None:  # of which a float would lose some
        row = _exact(kind, raw, row)
    changed: dict[str, Any] = {
        key: moment
        for key in _TIMES[kind]
        if key in row and (moment := time_of(row[key])) != row[key]
    }
    if kind == "log" and row.get("level") not in LEVELS:
        changed["severity_number"] = severity(row) or None
    if changed:
        row = {**row, **changed}
    try:
        return orjson.dumps(row)
    except TypeError:  # lone surrogates, integers past 64 bits
        text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        return _LONE.sub(lambda match: f"\\\\u{ord(match[0]):04x}", text).encode()


def _exact(kind: Kind, raw: bytes, row: dict[str, Any]) -> dict[str, Any]:
    try:
        exact = json.loads(raw)
    except (ValueError, RecursionError):
        return row
    return as_own(exact) if kind == "log" else exact


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
