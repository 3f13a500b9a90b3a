"""Stored lines with a ``type`` in front, otherwise byte for byte as they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracectrl_logging.reader import Line

_SPACE = re.compile(r"[ \t\n\r]*")


def typed(line: Line) -> bytes:
    """Return the stored line with ``"type": "log"`` or ``"span"`` as its first key.

    A key ``type`` of its own becomes ``extra_type``. Nothing is encoded anew: numbers of any size
    stay as they are written.
    """
    raw = line.raw
    if "type" in line.row:
        import json  # noqa: PLC0415 - for few lines only

        name = "extra_type"
        while name in line.row:
            name = f"extra_{name}"
        text = raw.decode()
        for start, end in reversed(list(_keys(text))):
            if json.loads(text[start:end]) == "type":
                text = f'{text[:start]}"{name}"{text[end:]}'
        raw = text.encode()
    comma = b"," if line.row else b""
    return b'{"type":"%s"%s%s' % (line.kind.encode(), comma, raw[1:])


def _keys(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the keys of the JSON object *text* are, quotes included; not of objects in it."""
    from json import JSONDecoder  # noqa: PLC0415 - as above

    decode = JSONDecoder().raw_decode
    at = _after_space(text, 1)
    while text[at] == '"':
        _, end = decode(text, at)
        yield at, end
        at = _after_space(text, _after_space(text, end) + 1)
        _, at = decode(text, at)
        at = _after_space(text, _after_space(text, at) + 1)
        if at >= len(text):
            return


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()
