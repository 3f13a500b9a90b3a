"""What the reader hands out as rows of JSON: stored lines with a ``type`` in front, and summaries.

A stored line is otherwise byte for byte as it is. :class:`Compact` writes the keys of rows once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from tracectrl_logging.reader.model import Line, SessionSummary

_MAX_INT: Final = 2**63 - 1
_MOST_COLUMNS: Final = 64
_NEXT: Final = re.compile(r'["{}\[\],:]')


def typed(line: Line) -> bytes:
    """Return the stored line with ``"type": "log"`` or ``"span"`` as its first key.

    A key ``type`` of its own becomes ``extra_type``. Nothing is encoded anew: numbers of any size
    stay as they are written.
    """
    raw = line.raw
    if "type" in line.row:
        name = "extra_type"
        while name in line.row:
            name = f"extra_{name}"
        text = raw.decode()
        for key, start, end, *_ in reversed(list(_places(text))):
            if key == "type":
                text = f'{text[:start]}"{name}"{text[end:]}'
        raw = text.encode()
    comma = b"," if line.row else b""
    return b'{"type":"%s"%s%s' % (line.kind.encode(), comma, raw[1:])


def summary_row(summary: SessionSummary) -> dict[str, Any]:
    """Return *summary* as a row; a duration that JSON has no 64-bit integer for is ``None`` in it."""
    row = summary._asdict()
    if (row["duration_ns"] or 0) > _MAX_INT:  # which would become text
        row["duration_ns"] = None
    return row


class Compact:
    """Makes arrays of rows, and writes the names of their columns once.

    ``{"columns":[0,"session_id","logs"]}`` stands before the first row with these keys, and such a row
    is ``[0,"order-4711",2]``: both begin with the number of the columns. A number that comes again
    has new columns from there on, so memory is bounded, however many keys rows have.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int] = {}

    def __call__(self, row: bytes) -> bytes:
        """Return the array of *row*, a JSON object, behind a line of its columns if they are new.

        Values stay as they are written.
        """
        names, cells = _taken_apart(row)
        number, columns = self._numbers.get(names), b""
        if number is None:
            import json  # noqa: PLC0415 - for few rows only

            if len(self._numbers) == _MOST_COLUMNS:
                self._numbers.clear()
            number = self._numbers[names] = len(self._numbers)
            said = json.dumps({"columns": [number, *names]}, separators=(",", ":"))
            columns = said.encode() + b"\n"
        return b"%s[%d%s%s]" % (columns, number, b"," if names else b"", cells)


def _taken_apart(row: bytes) -> tuple[tuple[str, ...], bytes]:
    """Return the keys of the JSON object *row*, and its values as they are written, commas between."""
    try:
        values = orjson.loads(row)
        if (
            orjson.dumps(values) == row
        ):  # a tenth of the time, where it writes values as they are written
            return tuple(values), orjson.dumps(list(values.values()))[1:-1]
    except (ValueError, TypeError):  # lone surrogates
        pass
    pairs = members(row.decode())
    return tuple(name for name, _ in pairs), ",".join(value for _, value in pairs).encode()


def members(text: str) -> list[tuple[str, str]]:
    """Return the keys of the JSON object *text*, and their values as they are written."""
    return [(key, text[colon + 1 : end].strip()) for key, _, _, colon, end in _places(text)]


def _places(text: str) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield each key of the object *text*: itself, its start and end, its colon, its value's end.

    Nothing here recurses, so that objects may be nested as deeply as the reader takes them.
    """
    from json import decoder  # noqa: PLC0415 - for few lines only

    scan = decoder.scanstring  # type: ignore[attr-defined] # what JSONDecoder reads strings with
    depth = start = end = colon = 0
    key: str | None = None
    at = 0
    while (match := _NEXT.search(text, at)) is not None:
        sign, at = match[0], match.end()
        if sign == '"':
            string, after = scan(text, at, False)  # noqa: FBT003 - it takes no keywords
            if depth == 1 and key is None:
                key, start, end = string, at - 1, after
            at = after
        elif sign in "{[":
            depth += 1
        elif depth == 1 and sign == ":":
            colon = at - 1
        else:
            if depth == 1 and key is not None:
                yield key, start, end, colon, at - 1
                key = None
            if sign in "}]":
                depth -= 1
