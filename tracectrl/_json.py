"""Values to strict JSON, whatever they are: a value that cannot be encoded never loses its line.

The encoder is orjson, which trusts what it is given: a container that changes while it is encoded,
because a ``repr`` or a time zone inside it runs Python code, ends the process. So no Python code
runs in it: it takes a line of plain values as it is, and refuses any other. That one goes value by
value over copies of its containers, and what the encoder refuses is replaced: by its parts, by its
``repr``, or by a marker where that fails too. Both ways give the same bytes for plain values. NaN
and infinities become ``null``.
"""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import date, datetime, time, timezone
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    Default = Callable[[Any], Any] | None

_MAX_DEPTH = 64
_MAX_INT_BITS = 64

# U+007F-9F, 061C, 200E, 200F, 2028-202E, 2066-2069 in UTF-8.
_OBEYED = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)

_dumps = orjson.dumps

OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
LINE_OPTIONS = OPTIONS | orjson.OPT_APPEND_NEWLINE
"""What the encoder is told wherever it makes a line, or a part of one."""


def encode_line(row: Mapping[str, Any], default: Default = None) -> bytes:
    """Return *row* as one line of strict JSON, its newline included; never raises for a value.

    *default* is called with what JSON has no form for; where it raises, ``repr`` stands in.
    """
    try:
        return _dumps(row, None, LINE_OPTIONS)
    except (TypeError, RecursionError):
        fields: dict[str, Any] = {}
        for key, value in row.items():
            fields[_free(_key(key), fields)] = _encodable(value, (), default)
        sid = row.get("session_id")
        if isinstance(sid, str) and well_formed(sid) is not sid:
            # The one value that is read back to find its file.
            fields["session_id"] = exact(sid)
        return _dumps(fields, None, LINE_OPTIONS)


def exact(text: str) -> Any:
    r"""Return what the encoder makes a string of that says *text* exactly.

    Lone surrogates become JSON's escapes, and nothing else does: so two of them can be told from
    the character that most readers make of such a pair.
    """
    encoded = json.dumps(text, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return orjson.Fragment(encoded)


def for_terminal(line: bytes) -> bytes:
    r"""Return *line* with what a terminal might obey as ``\uXXXX``, which is the same JSON.

    JSON itself demands this of the control characters below 32 alone. The others are DEL, the second
    set, which holds another way to begin an escape sequence, and what changes the direction of text.
    """
    if line.isascii() and b"\x7f" not in line:
        return line
    return _OBEYED.sub(lambda match: b"\\u%04x" % ord(match[0].decode()), line)


def safe_repr(value: object) -> str:
    """Return ``repr(value)``, or a marker naming the type where that fails."""
    try:
        return well_formed(repr(value))
    except Exception as error:  # noqa: BLE001 - a repr may raise anything
        return f"<{_type_name(value)}: repr() raised {type(error).__name__}>"


def well_formed(text: str) -> str:
    r"""Return *text* with lone surrogates, which UTF-8 cannot hold, spelt out as ``\udXXX``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def _encodable(value: Any, inside: tuple[int, ...], default: Default) -> Any:
    """Return *value* with every part that the encoder refuses replaced."""
    try:
        return orjson.Fragment(_dumps(value, None, OPTIONS))
    except (TypeError, RecursionError):
        pass
    if isinstance(value, str):
        return well_formed(str.__str__(value))
    if id(value) in inside:
        return f"<{_type_name(value)}: contains itself>"
    if len(inside) >= _MAX_DEPTH:
        return f"<{_type_name(value)}: more than {_MAX_DEPTH} levels deep>"
    try:
        return _of_parts(value, (*inside, id(value)), default)
    except Exception:  # noqa: BLE001 - a subclass may do anything
        return safe_repr(value)


def _of_parts(value: Any, inside: tuple[int, ...], default: Default) -> Any:
    if isinstance(value, (date, time)):
        return _time_text(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.name[:1] != "_"]
        value = {name: getattr(value, name) for name in names}
    if isinstance(value, dict):
        encoded: dict[str, Any] = {}
        for key, item in list(value.items()):
            encoded[_free(_key(key), encoded)] = _encodable(item, inside, default)
        return encoded
    if isinstance(value, list) or type(value) is tuple:  # the repr of a named tuple says more
        return [_encodable(item, inside, default) for item in list(value)]
    if default is not None:
        made = default(value)
        return safe_repr(value) if made is value else _encodable(made, inside, default)
    return safe_repr(value)


def _time_text(value: date | time) -> Any:
    zone = getattr(value, "tzinfo", None)
    if zone is None or type(zone) is timezone:
        return orjson.Fragment(_dumps(value))  # RFC 3339, as the encoder writes it
    return value.isoformat()


def _type_name(value: object) -> str:
    try:
        return str(type(value).__name__)
    except Exception:  # noqa: BLE001 - a metaclass may do anything
        return "object"


def _key(key: object) -> str:
    if isinstance(key, str):
        return well_formed(str.__str__(key))
    if key is None or isinstance(key, (bool, float)) or _is_small(key):
        try:
            return _dumps(key).decode()
        except TypeError:
            return safe_repr(key)
    return safe_repr(key)


def _free(name: str, taken: Container[str]) -> str:
    while name in taken:  # 1 and "1" are two keys in Python and one in JSON
        name += "_"
    return name


def _is_small(key: object) -> bool:
    return isinstance(key, int) and key.bit_length() <= _MAX_INT_BITS


# The second that was formatted last; one tuple, so that a thread never sees a mixed pair.
_last_second: list[tuple[int | None, str]] = [(None, "")]


def timestamp_ns(nanoseconds: int) -> str:
    """Return a time in *nanoseconds* since the epoch as RFC 3339: UTC, microseconds, ``Z``.

    Raises:
        ValueError, OverflowError, OSError: no calendar holds that time.
    """
    second, rest = divmod(nanoseconds, 1_000_000_000)
    last, text = _last_second[0]
    if second != last:
        # Not strftime(): it imports, which cannot be done at the interpreter's end.
        text = datetime.fromtimestamp(second, timezone.utc).isoformat()[:19] + "."
        _last_second[0] = (second, text)
    return "%s%06dZ" % (text, rest // 1000)  # noqa: UP031 - half the cost of an f-string


def timestamp_us(microseconds: int) -> str:
    """Return a time in *microseconds* likewise; one that no calendar holds becomes the epoch."""
    try:
        return timestamp_ns(microseconds * 1000)
    except (ValueError, OverflowError, OSError):
        return timestamp_ns(0)


def microseconds_since(start: float, seconds: float) -> int:
    """Return how many microseconds after *start* the time *seconds* is, to the nearest.

    The product of the whole is not exact: a float has a quarter of a microsecond to spare.
    """
    return int((seconds - start) * 1e6 + 0.5)


def timestamp(seconds: float) -> str:
    """Return a time in *seconds* likewise, to the nearest microsecond."""
    try:
        second = int(seconds // 1)
        return timestamp_us(second * 1_000_000 + microseconds_since(second, seconds))
    except (ValueError, OverflowError, TypeError):
        return timestamp_ns(0)
