"""One line at a time, for a database: whether it can be passed on, and in which form."""

from __future__ import annotations

import contextlib
import re
from typing import IO

from tracectrl.files.names import OVERFLOW_STEM, id_of_stem, session_id_of
from tracectrl_logging.reader.files.lines import MAX_LINE_BYTES
from tracectrl_logging.reader.files.opening import UNREADABLE

_UNKNOWN = "unknown"
_READ_BYTES = 1024 * 1024
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE = re.compile("[\ud800-\udfff]")


class NeedsCareError(Exception):
    """The lines cannot be passed on unparsed."""


class TooLongError(Exception):
    """A line is longer than the database was told to expect."""


def too_long(stream: IO[bytes], size: int) -> Exception:
    """Return what to say of a line of which *size* bytes were read; what more there is, is not kept."""
    with contextlib.suppress(*UNREADABLE):
        while size <= MAX_LINE_BYTES and (data := stream.read(_READ_BYTES)):
            end = data.find(b"\n")
            if end >= 0:
                return TooLongError() if size + end < MAX_LINE_BYTES else NeedsCareError()
            size += len(data)
    return TooLongError() if size < MAX_LINE_BYTES else NeedsCareError()


def sid_of(path: str, stem: str) -> str:
    """Return the session of the lines that name none, in the file at *path*."""
    if stem == OVERFLOW_STEM:
        return _UNKNOWN
    sid = id_of_stem(stem)
    if sid is None:
        try:
            return session_id_of(path)
        except (*UNREADABLE, ValueError, ImportError):
            return stem
    return sid


def acceptable(raw: bytes, row: dict[str, object]) -> bytes:
    r"""Return *raw* so that the database takes it: on one line, lone surrogates as ``\udXXX``."""
    if _SURROGATE.search(raw) is not None:
        import json  # noqa: PLC0415 - for few lines only

        text = json.dumps(row, ensure_ascii=False)
        return _LONE.sub(lambda match: f"\\\\u{ord(match[0]):04x}", text).encode()
    return raw.replace(b"\r", b" ")
