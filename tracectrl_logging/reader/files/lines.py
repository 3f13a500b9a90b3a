"""One file, line by line: what is damaged is reported, the rest is returned.

A line is read whole, so a reader's memory is bounded by the longest line, not by the file.
"""

from __future__ import annotations

import contextlib
import math
import re
from typing import IO, TYPE_CHECKING, Any

import orjson

from tracectrl_logging.reader.files.opening import UNREADABLE, close_all, open_chain
from tracectrl_logging.reader.model import Damage, Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tracectrl_logging.reader.files.listing import SessionFiles
    from tracectrl_logging.reader.files.opening import OpenFile
    from tracectrl_logging.reader.model import Kind, Report

MAX_LINE_BYTES = 32 * 1024 * 1024
"""A longer line is damage: a file without newlines must not fill the memory."""

_SKIPPED_BYTES = 1024 * 1024

TIME_KEY: dict[Kind, str] = {"log": "timestamp", "span": "start_time"}

OTLP_KEY = "resourceSpans"
"""What tells a line of OTLP/JSON from a flat span line."""

NOT_JSON = "not JSON"
CUT_OFF = "cut off: not JSON, and no newline at its end"

_CANONICAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d+))?\s*(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)


def rows(file: OpenFile, report: Report) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """Yield the lines of *file* that are JSON objects; *report* hears of the others.

    A line is its number from 1, its bytes, and what they say. Blank lines are neither damage nor
    lines. A last line without a newline counts; one that was begun after the file was opened does not.
    """
    path, stream, size = file
    loads = orjson.loads
    number = at = 0
    end = math.inf if size is None else size
    while at < end:
        try:
            raw = stream.readline(MAX_LINE_BYTES)
        except UNREADABLE as error:
            report(Damage(path, number + 1, f"the file cannot be read from here on: {error}"))
            yield from _before_damage(stream, at, number + 1)
            return
        if not raw:
            return
        number += 1
        at += len(raw)
        if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raw = b""
            report(Damage(path, number, f"longer than {MAX_LINE_BYTES} bytes"))
            if not _skip_line(file, number, report):
                return
            at = stream.tell()
            continue
        try:
            row = loads(raw)  # and not parse(): this is the loop that everything waits for
            if type(row) is not dict:
                row, raw = parse(raw)
        except ValueError:
            try:
                row, raw = parse(raw)
            except ValueError as damage:
                if not raw.isspace():
                    report(Damage(path, number, str(damage)))
                continue
        yield number, raw.strip(), row


def parse(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """Return what the line *raw* says, and its bytes as strict JSON: *raw* itself almost always.

    Raises:
        ValueError: the line is damaged; the text says how.
    """
    try:
        row = orjson.loads(raw)
    except ValueError as error:
        row, raw = _loads_slowly(raw, error)
    if type(row) is not dict:
        msg = "not a JSON object"
        raise ValueError(msg)
    return row, raw.strip()


def lines(
    found: SessionFiles,
    kind: Kind,
    sid: str,
    report: Report,
    *,
    wanted: Callable[[bytes, dict[str, Any]], bool] | None = None,
) -> Iterator[Line]:
    """Yield the lines of one *kind* of the session *sid* in the order they were written.

    A span file may hold OTLP/JSON; each of its spans becomes a line of its own. *wanted* picks log
    lines and flat span lines by what they say.
    """
    files = open_chain(found, kind, report)
    key = TIME_KEY[kind]
    time = ""
    latest: object = None
    try:
        for path, stored in sources(found, kind, files, report):
            for number, raw, row in stored:
                if kind == "span" and OTLP_KEY in row:
                    from tracectrl._json import encode_line  # noqa: PLC0415 - for OTLP alone

                    for span in spans_of(path, number, row, sid, report):
                        latest = time = span["start_time"]
                        yield Line(kind, span, encode_line(span)[:-1], time, path, number)
                    continue
                latest = row.get(key, latest)
                if wanted is None or wanted(raw, row):
                    time = time_of(latest) or time
                    yield Line(kind, row, raw, time, path, number)
    finally:
        close_all(files)


def sources(
    found: SessionFiles, kind: Kind, files: list[OpenFile], report: Report
) -> Iterator[tuple[str, Iterator[tuple[int, bytes, dict[str, Any]]]]]:
    """Yield the paths and the :func:`rows` of the open *files* of a session.

    Those among the lines of others come last; OTLP/JSON is flat there already.
    """
    for file in files:
        yield file.path, rows(file, report)
    if found.overflow is not None:
        yield from found.overflow.sources(found.stem, kind, report)


def spans_of(
    path: str, number: int, row: dict[str, Any], sid: str, report: Report
) -> list[dict[str, Any]]:
    """Return the flat span lines of *row*, line *number* of the file at *path*, which is OTLP."""
    from tracectrl_logging.reader.otlp import decode as otlp  # noqa: PLC0415 - for OTLP files only

    try:
        return otlp.flat_spans(row, sid)
    except otlp.NOT_OTLP:
        report(Damage(path, number, "not OTLP/JSON"))
        return []


def time_of(value: object) -> str | None:
    """Return the time *value* in the form of a log line's ``timestamp``, ``None`` for no time.

    Other writers' forms are understood: other offsets from UTC, more or fewer digits, and no offset
    at all for UTC.
    """
    if not isinstance(value, str):
        return None
    if _CANONICAL.fullmatch(value):
        return value
    match = _ISO.fullmatch(value)
    if match is None:
        return None
    from datetime import datetime, timedelta, timezone  # noqa: PLC0415 - for foreign lines only

    date, clock, fraction, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}+00:00")
        if offset not in (None, "Z"):
            minutes = int(offset[1:3]) * 60 + int(offset[3:].lstrip(":") or 0)
            moment -= timedelta(minutes=-minutes if offset[0] == "-" else minutes)
    except (ValueError, OverflowError):
        return None
    moment = moment.astimezone(timezone.utc)
    return f"{moment.replace(tzinfo=None).isoformat()}.{(fraction or '')[:6]:0<6}Z"


def _before_damage(
    stream: IO[bytes], at: int, number: int
) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """Yield the line at byte *at* if it is whole but for a newline, where *stream* breaks off."""
    parts: list[bytes] = []
    with contextlib.suppress(*UNREADABLE, AttributeError):
        stream.seek(at)
        while part := stream.read1(_SKIPPED_BYTES):  # type: ignore[attr-defined]
            parts.append(part)
    with contextlib.suppress(ValueError):
        row, raw = parse(b"".join(parts))
        yield number, raw, row


def _skip_line(file: OpenFile, number: int, report: Report) -> bool:
    """Read to the end of an overlong line; return whether the file goes on being readable."""
    try:
        while (raw := file.stream.readline(_SKIPPED_BYTES)) and not raw.endswith(b"\n"):
            pass
    except UNREADABLE as error:
        report(Damage(file.path, number, f"the file cannot be read from here on: {error}"))
        return False
    return True


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
        row = json.loads(text, parse_constant=constants.append)
    except RecursionError:
        msg = "nested too deeply"
        raise ValueError(msg) from None
    except ValueError:
        msg = NOT_JSON if raw.endswith(b"\n") else CUT_OFF
        raise ValueError(msg) from None
    return row, _strict(row) if constants else raw


def _strict(row: Any) -> bytes:
    """Return *row* as strict JSON, its texts spelt as they most likely were."""
    import json  # noqa: PLC0415 - as above

    compact = (",", ":")
    try:
        return json.dumps(row, ensure_ascii=False, separators=compact).encode()
    except UnicodeEncodeError:  # lone surrogates
        return json.dumps(row, separators=compact).encode()
