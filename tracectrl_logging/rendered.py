"""Lines that somebody else rendered: one line stays one line, and strict JSON stays as it is."""

from __future__ import annotations

import json
from typing import Any

import orjson

from tracectrl._json import encode_line, well_formed


def as_line(rendered: str | bytes) -> tuple[bytes | None, str | None]:
    """Return *rendered* as one line, newline included, and the session ID that it holds, if any.

    The line is ``None`` where *rendered* is no JSON object. What is strict JSON on one line stays as it is to the byte. JSON that is spread over several
    lines, or that only Python reads (``NaN``, lone surrogates), is encoded anew.
    """
    text = rendered if isinstance(rendered, bytes) else _utf8(rendered)
    text = text.strip()
    if not (text.startswith(b"{") and text.endswith(b"}")):
        return None, None
    try:
        row = orjson.loads(text)
        if b"\n" not in text and b"\r" not in text:
            return text + b"\n", _session_id(row)
    except ValueError:
        pass
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None, None
    return encode_line(row), _session_id(row)


def _session_id(row: dict[str, Any]) -> str | None:
    sid = row.get("session_id")
    return sid if isinstance(sid, str) and sid else None


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return well_formed(text).encode()
