r"""What a database gets of a line: the columns that a query uses, as one line of text.

A database's own reader of JSON takes more than JSON, the first of two equal keys, and no names or
times of other writers. So it gets no JSON to read a line from: each column is taken from what every
other command reads.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

import orjson

from tracectrl._json import well_formed
from tracectrl._time import time_of
from tracectrl.schema import LOG_KEYS, PARENT_KEY, PREVIOUS_KEY, severity
from tracectrl_logging.reader.files.lines import session_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final, TypeAlias

    Take: TypeAlias = Callable[[dict[str, Any], bytes], str]

SEPARATOR: Final = "\x01"
"""Stands between the columns."""

ESCAPED: Final = "\x02"
"""Stands in front of a text that comes as JSON, for it is empty or holds what no column may."""

FIRST: Final = "1"
"""The first column of each line, so that none is blank."""

EXCEPTION_KEYS: Final = ("type", "message", "stacktrace")
_OWN_KEYS: Final = frozenset(LOG_KEYS)
_ROUNDED: Final = re.compile(r"e(?<=[\d.]e)\+?\d+(?=[,\]}]|\Z)")
"""An integer past 64 bits, of which the parser has kept the first digits."""
_LONE: Final = re.compile("[\ud800-\udfff]")


def takers(
    forms: dict[str, str],
    names: Sequence[str],
    *,
    of_line: str,
    listed: Callable[[str], str] | None,
    file: str,
    mark: Callable[[dict[str, Any]], str],
) -> list[Take]:
    """Return the functions that take the columns *names* from a line.

    Each gets what the line says under our keys, and its bytes; it returns the column as the database
    takes it, empty for null.

    Args:
        forms: the columns that there are and their types.
        names: some of them.
        of_line: the session of a line that names none.
        listed: returns the session that a line of an ID is listed under; ``None`` where that is *of_line*.
        file: the name of the file that the lines are in.
        mark: returns what a line says of its session's state.
    """
    sid = field(of_line)
    known = {"session": _constant(sid), "file": _constant(field(file))}
    known["session_mark"] = lambda row, _: mark(row)
    if listed is not None:
        known["session"] = lambda row, _: field(listed(session_of(row, of_line)))
    return [known.get(name) or _taker(name, forms.get(name, "VARCHAR"), sid) for name in names]


def field(value: object, raw: bytes = b"", name: str = "") -> str:
    """Return *value*, which the line *raw* has under *name*, as a column of text: JSON if it is none."""
    if type(value) is str:
        if value.isprintable() and value:
            return value
        return ESCAPED + orjson.dumps(well_formed(value)).decode()
    return "" if value is None else _json(value, raw, name)


def _constant(text: str) -> Take:
    return lambda _row, _raw: text


def _taker(name: str, form: str, sid: str) -> Take:
    if form.startswith("TIMESTAMP"):
        return lambda row, _: time_of(row.get(name)) or ""
    if name in _SPECIAL:
        return _SPECIAL[name]
    if form == "JSON":
        return lambda row, raw: "" if row.get(name) is None else _json(row[name], raw, name)

    def text(row: dict[str, Any], raw: bytes) -> str:
        value = row.get(name)
        if type(value) is str and value.isprintable() and value:  # most are: no call for them
            return value
        return field(value, raw, name)

    def id_or(row: dict[str, Any], raw: bytes) -> str:
        value = row.get(name)
        return field(value, raw) if type(value) is str and value else sid

    return id_or if name == "session_id" else text


def _extras(row: dict[str, Any], raw: bytes) -> str:
    more = {key: row[key] for key in row if key not in _OWN_KEYS}
    return _json(more, raw) if more else "{}"


def _named_session(row: dict[str, Any], key: str) -> str:
    said = row if key in row else row.get("attributes")
    value = said.get(key) if isinstance(said, dict) else None
    return field(value) if type(value) is str and value else ""


def _exception(row: dict[str, Any], raw: bytes) -> str:
    value = row.get("exception")
    if value is None:
        return ""
    parts = value if isinstance(value, dict) else {"stacktrace": value}
    if not all(isinstance(parts.get(key) or "", str) for key in EXCEPTION_KEYS):
        value = json.loads(_json(value, raw, "exception"))
        parts = value if isinstance(value, dict) else {"stacktrace": value}
    return _json({key: _text(parts.get(key)) for key in EXCEPTION_KEYS}, raw)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _json(value: Any, raw: bytes, name: str = "") -> str:
    r"""Return *value* as JSON, with all digits; lone surrogates are spelt out as ``\udXXX``."""
    try:
        text = orjson.dumps(value).decode()
        if _ROUNDED.search(text) is None:
            return text
        exact = json.loads(raw)
        value = _with_digits(value, exact.get(name) if name else exact)
    except (TypeError, ValueError, RecursionError):  # lone surrogates, integers past 64 bits
        pass
    text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"))
    return _LONE.sub(lambda match: f"\\\\u{ord(match[0]):04x}", text)


def _with_digits(value: Any, exact: Any) -> Any:
    """Return *value* with the integers for its floats that *exact* has at their places."""
    if isinstance(value, dict) and isinstance(exact, dict):
        return {key: _with_digits(item, exact.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(exact, list):
        return [_with_digits(*items) for items in zip(value, exact, strict=True)]
    return exact if isinstance(value, float) and isinstance(exact, int) else value


def _finite(value: Any) -> Any:
    """Return *value* with null for each infinity in it."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and math.isinf(value) else value


_SPECIAL: Final[dict[str, Take]] = {
    "extras": _extras,
    "exception": _exception,
    "service": lambda row, raw: field(name, raw) if type(name := row.get("service")) is str else "",
    "severity_number": lambda row, _: str(severity(row) or ""),
    "session_parent": lambda row, _: _named_session(row, PARENT_KEY),
    "session_previous": lambda row, _: _named_session(row, PREVIOUS_KEY),
}
