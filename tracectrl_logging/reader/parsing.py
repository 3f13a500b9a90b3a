"""One line from its bytes: what it says, or what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from tracectrl.schema import as_own

if TYPE_CHECKING:
    from tracectrl.schema import Kind

NOT_JSON = "not JSON"
_NO_TEXT = b"\0\xef\xbb\xbf"
"""What may stand in front of a line: NUL bytes where a file was truncated under its writer, or a BOM."""
CUT_OFF = "cut off: not JSON, and no newline at its end"


def parse(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """Return what the line *raw* says, and its bytes as strict JSON: *raw* itself almost always.

    Raises:
        ValueError: the line is damaged; the text says how.
    """
    try:
        row = orjson.loads(raw)
    except ValueError as error:
        bare = raw.lstrip(_NO_TEXT)
        if len(bare) < len(raw) and bare.startswith(b"{"):
            return parse(bare)
        row, raw = _loads_slowly(raw, error)
    if type(row) is not dict:
        msg = "not a JSON object"
        raise ValueError(msg)
    return row, raw.strip()


def row_of(kind: Kind, raw: bytes) -> dict[str, Any]:
    """Return what the line *raw*, which was read before, says under our keys.

    Raises:
        ValueError: as :func:`parse`.
    """
    row, _ = parse(raw)
    return as_own(row) if kind == "log" else row


def _loads_slowly(raw: bytes, error: ValueError) -> tuple[Any, bytes]:
    r"""Parse what orjson refused with *error*: lone surrogates as ``\udXXX``, NaN and infinities.

    The second result is *raw*, or strict JSON where *raw* is not that.

    Raises:
        ValueError: the line is damaged; the text says how.
    """
    import json  # noqa: PLC0415 - for few lines only

    if b"\0" in raw:
        msg = "holds NUL bytes"
        raise ValueError(msg)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        msg = "not UTF-8"
        raise ValueError(msg) from None
    constants: list[str] = []
    try:
        if "recursion" in str(error).lower():
            raise RecursionError  # noqa: TRY301 - the two parsers' words for one thing
        row = json.loads(text, parse_constant=constants.append, parse_int=_integer)
    except RecursionError:
        msg = "nested too deeply"
        raise ValueError(msg) from None
    except ValueError:
        msg = NOT_JSON if raw.endswith(b"\n") else CUT_OFF
        raise ValueError(msg) from None
    return row, _strict(row) if constants else raw


def _integer(digits: str) -> int | float:
    """Return the integer that *digits* spell, or infinity past the digits that Python reads."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def _strict(row: Any) -> bytes:
    """Return *row* as strict JSON, its texts spelt as they most likely were."""
    import json  # noqa: PLC0415 - as above

    compact = (",", ":")
    try:
        return json.dumps(row, ensure_ascii=False, separators=compact).encode()
    except UnicodeEncodeError:  # lone surrogates
        return json.dumps(row, separators=compact).encode()
