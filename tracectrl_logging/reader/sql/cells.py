"""What a database answers, as JSON and as text."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from base64 import b64encode
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from tracectrl._json import for_terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TypeAlias

    Convert: TypeAlias = Callable[[Any], Any]

_INT64 = range(-(2**63), 2**64)


def converter(form: Any, tz: dt.tzinfo | None = None) -> Convert:
    """Return what turns a value of the type *form*, one of DuckDB's, into one that JSON has.

    Timestamps with a zone become RFC 3339 in the zone *tz*, by default UTC, those without one get no zone; JSON
    columns the JSON itself, intervals seconds, bytes base64; integers and decimals keep all digits.
    """
    if str(form) == "JSON":
        return _present(_embedded)
    if form.id == "timestamp with time zone":
        return _present(lambda value: _in(tz, value) if isinstance(value, dt.datetime) else value)
    make = _NESTED.get(form.id)
    return _present(_plain if make is None else make(dict(form.children), tz))


def dumps(row: dict[str, Any]) -> bytes:
    """Return *row*, whose values a :func:`converter` has made, as a line that a terminal may show."""
    line = orjson.dumps(row, option=orjson.OPT_NON_STR_KEYS)
    # JSON of the database's own may have lines; inside a string there is no newline.
    return for_terminal(line.replace(b"\n", b" ").replace(b"\r", b" "))


def text_of(value: Any) -> str:
    """Return a value that a :func:`converter` has made as text: a string as it is."""
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def unique(names: tuple[str, ...]) -> list[str]:
    """Return the names of columns, the second of one name with a number behind it."""
    found: list[str] = []
    for name in names:
        own, number = name, 1
        while own in found:
            own, number = f"{name}_{number}", number + 1
        found.append(own)
    return found


def _present(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _embedded(value: str) -> Any:
    """Return JSON of the database's, which may hold what no JSON has, NaN for one: ``null`` for it."""
    try:
        orjson.loads(value)
    except ValueError:
        try:
            value = json.dumps(json.loads(value, parse_constant=lambda _: None))
        except (ValueError, RecursionError):
            return value
    return orjson.Fragment(value)


def _plain(value: Any) -> Any:
    convert = _BY_TYPE.get(type(value))
    return value if convert is None else convert(value)


def _list(children: dict[str, Any], tz: dt.tzinfo | None) -> Convert:
    item = converter(children["child"], tz)
    return lambda values: [item(value) for value in values]


def _struct(children: dict[str, Any], tz: dt.tzinfo | None) -> Convert:
    fields = {name: converter(form, tz) for name, form in children.items()}
    return lambda value: {name: convert(value[name]) for name, convert in fields.items()}


def _map(children: dict[str, Any], tz: dt.tzinfo | None) -> Convert:
    key, item = converter(children["key"], tz), converter(children["value"], tz)
    # Keys that no dictionary of Python's has come beside their values.
    is_split = children["key"].id in (*_NESTED, "tuple")

    def convert(value: dict[Any, Any]) -> dict[str, Any]:
        pairs = zip(value["key"], value["value"], strict=True) if is_split else value.items()
        return {text_of(key(name)): item(held) for name, held in pairs}

    return convert


def _in(tz: dt.tzinfo | None, value: dt.datetime) -> str:
    if value.tzinfo is None:  # what the database has for an infinite one
        value = value.replace(tzinfo=dt.timezone.utc)
    if tz is not None and tz is not dt.timezone.utc:
        with contextlib.suppress(OverflowError):  # at an end of the calendar
            return value.astimezone(tz).isoformat(timespec="microseconds")
    return _timestamp(value)


def _timestamp(value: dt.datetime) -> str:
    if value.tzinfo is None:  # a time of day in some place, which nothing makes one in UTC
        return value.isoformat(timespec="microseconds")
    value = value.astimezone(dt.timezone.utc).replace(tzinfo=None)
    return f"{value.isoformat(timespec='microseconds')}Z"


def _digits(value: int | Decimal) -> Any:
    if isinstance(value, int) and value in _INT64:
        return value
    return orjson.Fragment(f"{value:f}" if isinstance(value, Decimal) else str(value))


_NESTED: Final[dict[str, Callable[[dict[str, Any], dt.tzinfo | None], Convert]]] = {
    "list": _list,
    "array": _list,
    "struct": _struct,
    "map": _map,
}
_BY_TYPE: Final[dict[type, Convert]] = {
    int: _digits,
    Decimal: _digits,
    dt.datetime: _timestamp,
    dt.date: dt.date.isoformat,
    dt.time: dt.time.isoformat,
    dt.timedelta: dt.timedelta.total_seconds,
    bytes: lambda value: b64encode(value).decode(),
    UUID: str,
    list: lambda values: [_plain(value) for value in values],
    tuple: lambda values: [_plain(value) for value in values],
}
