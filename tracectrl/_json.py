"""Values to strict JSON, whatever they are: a value that cannot be encoded never loses its line.

The encoder is orjson. What it encodes by itself stays as it does it (dataclasses, datetimes, UUIDs
and enumerations included; NaN and infinities become ``null``). Only a line that it refuses goes
value by value, and only the refused value is replaced: by its ``repr``, or by a marker where that
fails too. Both ways give the same bytes for what the encoder takes.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

_MAX_DEPTH = 64
_MAX_INT_BITS = 64

_dumps = orjson.dumps
_NEWLINE = orjson.OPT_APPEND_NEWLINE


def encode_line(row: Mapping[str, Any], default: Callable[[Any], Any] | None = None) -> bytes:
    """Return *row* as one line of strict JSON, its newline included; never raises for a value.

    *default* is called with what the encoder does not know; where it raises, ``repr`` stands in.
    """
    hook = safe_repr if default is None else _guarded(default)
    try:
        return _dumps(row, hook, _NEWLINE)
    except (TypeError, RecursionError):
        fields: dict[str, Any] = {}
        for key, value in row.items():
            fields[_free(_key(key), fields)] = _encodable(value, (), hook)
        sid = row.get("session_id")
        if isinstance(sid, str) and well_formed(sid) is not sid:
            # The one value that is read back to find its file: kept exactly, as a JSON escape.
            fields["session_id"] = orjson.Fragment(json.dumps(sid))
        return _dumps(fields, safe_repr, _NEWLINE)


def safe_repr(value: object) -> str:
    """Return ``repr(value)``, or a marker naming the type where that fails."""
    try:
        return well_formed(repr(value))
    except Exception as error:  # noqa: BLE001 - a repr may raise anything
        return f"<{type(value).__name__}: repr() raised {type(error).__name__}>"


def well_formed(text: str) -> str:
    r"""Return *text* with lone surrogates, which UTF-8 cannot hold, spelt out as ``\udXXX``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def _encodable(  # noqa: PLR0911 - one return for each kind of value
    value: Any, inside: tuple[int, ...], hook: Callable[[Any], Any]
) -> Any:
    """Return *value* with every part that the encoder refuses replaced."""
    try:
        return orjson.Fragment(_dumps(value, hook))
    except (TypeError, RecursionError):
        pass
    if isinstance(value, str):
        return well_formed(str.__str__(value))
    if isinstance(value, (dict, list, tuple)):
        if id(value) in inside:
            return f"<{type(value).__name__}: contains itself>"
        if len(inside) >= _MAX_DEPTH:
            return f"<{type(value).__name__}: more than {_MAX_DEPTH} levels deep>"
        inside = (*inside, id(value))
        try:
            if not isinstance(value, dict):
                return [_encodable(item, inside, hook) for item in list(value)]
            encoded: dict[str, Any] = {}
            for key, item in list(value.items()):
                encoded[_free(_key(key), encoded)] = _encodable(item, inside, hook)
        except Exception:  # noqa: BLE001 - a subclass may do anything
            return safe_repr(value)
        return encoded
    return safe_repr(value)


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


def _guarded(default: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def hook(value: Any) -> Any:
        try:
            return default(value)
        except Exception:  # noqa: BLE001 - the user's code may raise anything
            return safe_repr(value)

    return hook


def _is_small(key: object) -> bool:
    return isinstance(key, int) and key.bit_length() <= _MAX_INT_BITS


class _Clock:
    """Formats times; the part down to the second is kept between calls."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = (-1, "")  # one tuple, so that a thread never sees a mixed pair

    def __call__(self, microseconds: int) -> str:
        """Return a time in *microseconds* since the epoch as RFC 3339, in UTC."""
        second, rest = divmod(microseconds, 1_000_000)
        last, text = self._last
        if second != last:
            text = datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
            if len(text) < 19:  # noqa: PLR2004 - strftime does not pad years below 1000
                text = text.rjust(19, "0")
            self._last = (second, text)
        return f"{text}.{rest:06d}Z"


_at = _Clock()


def timestamp_ns(nanoseconds: int) -> str:
    """Return a time in *nanoseconds* since the epoch as RFC 3339: UTC, microseconds, ``Z``."""
    return _at(nanoseconds // 1000)


def timestamp(seconds: float) -> str:
    """Return a time in *seconds* since the epoch as RFC 3339, to the nearest microsecond.

    A time that no calendar holds (a record may carry any number) becomes the epoch.
    """
    try:
        return _at(round(seconds * 1e6))
    except (ValueError, OverflowError, OSError, TypeError):
        return _at(0)
