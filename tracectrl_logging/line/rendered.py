"""Lines that somebody else rendered: one line stays one line, and strict JSON stays as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import orjson

from tracectrl._json import encode_line, well_formed

Cleaned: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]

# As numbers: CPython looks for bytes in bytes by way of an exception, which takes as long as parsing.
_NEWLINE, _RETURN = b"\n\r"
_OPENING, _CLOSING = b"{}"


def as_line(
    rendered: str | bytes, cleaned: Cleaned | None = None
) -> tuple[bytes | None, str | None]:
    """Return *rendered* as one line, newline included, and the session ID that it holds, if any.

    The line is ``None`` where *rendered* is no JSON object. What is strict JSON on one line stays as
    it is to the byte. JSON that is spread over several lines, or that only Python reads (``NaN``,
    lone surrogates), is encoded anew, and so is what *cleaned* changes.
    """
    text = rendered if isinstance(rendered, bytes) else _utf8(rendered)
    if not text or text[0] != _OPENING or text[-1] != _CLOSING:  # to strip is a call
        text = text.strip()
        if not text.startswith(b"{") or not text.endswith(b"}"):
            return None, None
    try:
        row = orjson.loads(text)
        if cleaned is not None and (clean := cleaned(row)) is not row:
            return encode_line(clean), _session_id(row)
        if _NEWLINE not in text and _RETURN not in text:
            sid = row.get("session_id")
            return text + b"\n", sid if type(sid) is str and sid else None
    except ValueError:
        pass
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None, None
    return encode_line(row if cleaned is None else cleaned(row)), _session_id(row)


def json_object(text: str | bytes | bytearray) -> dict[str, Any] | None:
    """Return the object that *text* is the JSON of, if it is; integers keep all their digits."""
    text = text.strip()
    if text[:1] not in ("{", b"{") or text[-1:] not in ("}", b"}"):
        return None
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _session_id(row: dict[str, Any]) -> str | None:
    sid = row.get("session_id")
    return sid if isinstance(sid, str) and sid else None


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return well_formed(text).encode()
