"""One file, line by line: what is damaged is reported, the rest is returned.

A line is read whole, so a reader's memory is bounded by the longest line, not by the file.
"""

from __future__ import annotations

import contextlib
import math
from operator import attrgetter
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import orjson

from tracectrl._time import time_of
from tracectrl.files.listing import scan_names
from tracectrl.files.names import OVERFLOW_STEM
from tracectrl.schema import OTLP_SIGNS, TIME_KEY, UNKNOWN, as_own
from tracectrl_logging.reader.files.opening import UNREADABLE, close_all, open_chain
from tracectrl_logging.reader.files.root import session_in_list
from tracectrl_logging.reader.model import Damage, Line
from tracectrl_logging.reader.parsing import parse
from tracectrl_logging.reader.timeline.open_spans import settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tracectrl.files.listing import StoredSession
    from tracectrl.schema import Kind
    from tracectrl_logging.reader.files.opening import OpenFile
    from tracectrl_logging.reader.filters.search import Wanted
    from tracectrl_logging.reader.model import Report

MAX_LINE_BYTES = 32 * 1024 * 1024
"""A longer line is damage: a file without newlines must not fill the memory."""

_SKIPPED_BYTES = 1024 * 1024


class Limits(NamedTuple):
    """How large a line may be."""

    line_bytes: int = MAX_LINE_BYTES
    values: int = MAX_LINE_BYTES
    """How many values a line of more than a MiB may hold, more or less."""

    def excess(self, line: bytes) -> str | None:
        """Say by what *line*, which is cut at the limit, is too large, if it is."""
        if len(line) == self.line_bytes and not line.endswith(b"\n"):
            return f"longer than {self.line_bytes} bytes"
        if line.count(b",") > self.values:
            return f"more than {self.values} values"
        return None


_LIMITS = Limits()


def rows(
    file: OpenFile, report: Report, limits: Limits = _LIMITS
) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """Yield the lines of *file* that are JSON objects; *report* hears of the others.

    A line is its number from 1, its bytes, and what they say; one past the *limits* is damage. Blank lines are neither damage nor
    lines. A last line without a newline counts; one that was begun after the file was opened does not.
    """
    path, stream, size = file
    loads, most_bytes = orjson.loads, limits.line_bytes
    number = at = 0
    end = math.inf if size is None else size
    while at < end:
        try:
            raw = stream.readline(most_bytes)
        except UNREADABLE as error:
            report(Damage(path, number + 1, f"the file cannot be read from here on: {error}"))
            yield from _before_damage(stream, at, number + 1)
            return
        if not raw:
            return
        number += 1
        at += len(raw)
        if len(raw) > _SKIPPED_BYTES and (excess := limits.excess(raw)) is not None:
            is_whole = raw.endswith(b"\n")
            raw = b""
            report(Damage(path, number, excess))
            if not is_whole and not _skip_line(file, number, report):
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


_MESSAGES = frozenset({"message", "msg", "event", "short_message"})  # OTLP has none of these


def flat_rows(
    file: OpenFile,
    kind: Kind,
    sid: str,
    report: Report,
    *,
    with_rest: bool = True,
    limits: Limits = _LIMITS,
) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """Yield the lines of *file* as :func:`rows` does, each under our keys.

    A line of OTLP/JSON becomes the log lines or spans that it holds, all with its number; a line of
    another writer has our keys for what it says (:mod:`tracectrl.schema`). The bytes are those of
    the line as it is stored, but for OTLP. *sid* is the session of a span or log record that
    carries none; *with_rest* keeps what our keys do not say of OTLP.
    """
    time, signs = TIME_KEY[kind], OTLP_SIGNS[kind]
    for stored in rows(file, report, limits):
        number, raw, row = stored
        if time not in row and not signs.isdisjoint(row) and _MESSAGES.isdisjoint(row):
            yield from _of_otlp(file.path, number, row, (kind, sid, with_rest), report)
        elif kind == "log":
            yield number, raw, as_own(row)
        else:
            yield stored


def flat(
    path: str,
    number: int,
    parsed: tuple[dict[str, Any], bytes],
    whose: tuple[Kind, str],
    report: Report,
) -> Iterable[tuple[bytes, dict[str, Any]]]:
    """Return the lines that one stored line holds, as :func:`flat_rows` yields them.

    Args:
        path: its file.
        number: its number in the file.
        parsed: what it says, and its bytes.
        whose: its kind, and the session of what carries none.
        report: called where it is not what it seems to be.
    """
    row, raw = parsed
    is_log = whose[0] == "log"
    if ("resourceLogs" if is_log else "resourceSpans") in row:
        found = _of_otlp(path, number, row, (*whose, True), report)
        return [(each, said) for _, each, said in found]
    return ((raw, as_own(row) if is_log else row),)


def session_of(row: dict[str, Any], sid: str) -> str:
    """Return the session of the line *row*: its own, or *sid* where it names none."""
    own = row.get("session_id")
    return own if type(own) is str and own else sid


def session_lines(
    several: Sequence[StoredSession],
    kind: Kind,
    sid: str | None,
    report: Report,
    wanted: Wanted | None = None,
) -> Iterator[Line]:
    """Return the lines of one *kind* of the session *sid* in the order they were written.

    Spans that are open come last; of one that has ended there is the line of its end alone.

    Args:
        several: its own files and, where there is one, the file of many sessions' lines, of which
            its own are meant.
        kind: log lines or spans.
        sid: the session; a line that names none is its own, but ``unknown``'s in the shared file.
            The shared file's name means the sessions in it that have no files, ``None`` all.
        report: called for each line or file that cannot be read.
        wanted: picks lines by their bytes and by what they say.
    """
    found = _session_lines(several, kind, sid, report, wanted if kind == "log" else None)
    if kind == "log":
        return found
    spans = settled(found, attrgetter("row"))
    return spans if wanted is None else (line for line in spans if wanted(line.raw, line.row))


def _session_lines(
    several: Sequence[StoredSession],
    kind: Kind,
    sid: str | None,
    report: Report,
    wanted: Wanted | None,
) -> Iterator[Line]:
    """Yield the lines as they are stored, those of open spans that have ended since, too."""
    # Spans of the file of many come first: whose lines it takes gets a file later, if at all.
    for found in several if kind == "log" else reversed(several):
        if found.stem != OVERFLOW_STEM:
            yield from lines(found, kind, sid or UNKNOWN, report, wanted=wanted)
            continue
        stems = scan_names(found.root) if sid == OVERFLOW_STEM else None
        for line in lines(found, kind, UNKNOWN, report, wanted=wanted):
            own = line.session_id
            if sid is None or sid == (own if stems is None else session_in_list(own, stems)):
                yield line


def lines(
    found: StoredSession, kind: Kind, sid: str, report: Report, *, wanted: Wanted | None = None
) -> Iterator[Line]:
    """Yield the lines of one *kind* in the files *found* of the session *sid* as they are stored.

    *wanted* picks them by their bytes and by what they say.
    """
    key = TIME_KEY[kind]
    files = open_chain(found, kind, report)
    time = ""
    try:
        for file in files:
            path = file.path
            for number, raw, row in flat_rows(file, kind, sid, report):
                time = time_of(row.get(key)) or time
                if wanted is None or wanted(raw, row):
                    yield Line(kind, row, raw, time, path, number, session_of(row, sid))
    finally:
        close_all(files)


def _of_otlp(
    path: str, number: int, row: dict[str, Any], form: tuple[Kind, str, bool], report: Report
) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    from tracectrl._json import encode_line  # noqa: PLC0415 - for OTLP alone
    from tracectrl_logging.reader.otlp import decode  # noqa: PLC0415 - as above

    kind, sid, with_rest = form
    flat = decode.flat_logs if kind == "log" else decode.flat_spans
    try:
        for each in flat(row, sid, with_rest=with_rest):
            yield number, encode_line(each)[:-1], each
    except decode.OtherSignalError as error:
        report(Damage(path, number, str(error)))
    except decode.NOT_OTLP:
        report(Damage(path, number, "not OTLP/JSON"))


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
