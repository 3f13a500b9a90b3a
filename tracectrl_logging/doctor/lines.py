"""The checks of the stored lines; each line is read once, session by session."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from tracectrl._time import time_of
from tracectrl.errors import install_line
from tracectrl.files.names import OVERFLOW_STEM
from tracectrl.schema import UNKNOWN
from tracectrl_logging.doctor.finding import MOST_POSITIONS, Finding
from tracectrl_logging.reader.files.lines import flat_rows
from tracectrl_logging.reader.files.opening import close_all, open_chain
from tracectrl_logging.reader.files.root import Listing, id_of
from tracectrl_logging.reader.timeline.open_spans import settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tracectrl.files.listing import StoredSession
    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Damage

_WORDS = r"(?:redacted|filtered|masked|scrubbed|hidden|removed|secret)"
_SCRUBBED = re.compile(rf"[\[(<{{]\s*{_WORDS}[^\])>}}]*[\])>}}]|[*•█]{{3,}}", re.IGNORECASE)
# What a session may be called, too: it counts where the file's name says otherwise.
_DOUBTFUL = re.compile(rf"{_WORDS}|x{{3,}}|-*", re.IGNORECASE)
_LEAST_SKEW_S = 0.005
_MOST_SPANS = 100_000


@dataclass(slots=True)
class Places:
    """A count of occurrences and the first positions."""

    count: int = 0
    positions: list[str] = field(default_factory=list)

    def add(self, position: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.positions) < MOST_POSITIONS:
            self.positions.append(position)


@dataclass(slots=True)
class Facts:
    """The facts that the checks are made of, from one reading of all files."""

    directory: str
    sessions: int = 0
    logs: int = 0
    spans: int = 0
    unknown: int = 0
    """Log lines without a session."""
    damaged: dict[str, Places] = field(default_factory=dict)
    """Lines that cannot be read, by what is wrong with them."""
    broken: dict[str, Places] = field(default_factory=dict)
    """Files that cannot be read, or not to their ends."""
    scrubbed: dict[str, Places] = field(default_factory=dict)
    """Lines whose session was made unreadable, by what stands there."""
    strayed: Places = field(default_factory=Places)
    """Lines of another session than their file's."""
    skew_s: dict[tuple[str, str], float] = field(default_factory=dict)
    """By how much the second service's clock is behind the first one's, at least."""
    skewed: Counter[tuple[str, str]] = field(default_factory=Counter)
    losses: Places = field(default_factory=Places)
    lost: int = 0


def read_all(directory: str) -> Facts:
    """Read every line under *directory*."""
    facts = Facts(directory)

    def report(damage: Damage) -> None:
        where = (
            facts.damaged if damage.line and "from here on" not in damage.reason else facts.broken
        )
        place = damage.path if damage.line is None else f"{damage.path}:{damage.line}"
        where.setdefault(damage.reason, Places()).add(place)

    for found in Listing(directory, with_times=False).sessions:
        sid = id_of(found, report)
        facts.sessions += 1
        spans: dict[str, tuple[str, str, str]] = {}
        kinds: tuple[Kind, ...] = ("span", "log")
        for kind in kinds:
            rows = _rows(found, kind, sid, report)
            for place, row in settled(rows, itemgetter(1)) if kind == "span" else rows:
                _see_session(facts, place, row, sid)
                (_see_span if kind == "span" else _see_log)(facts, place, row, spans)
        _see_children(facts, spans)
    return facts


def _rows(
    found: StoredSession, kind: Kind, sid: str, report: Callable[[Damage], None]
) -> Iterator[tuple[str, dict[str, Any]]]:
    files = open_chain(found, kind, report)
    try:
        for file in files:
            for number, _, row in flat_rows(file, kind, sid, report):
                yield f"{file.path}:{number}", row
    finally:
        close_all(files)


def _see_session(facts: Facts, place: str, row: dict[str, Any], sid: str) -> None:
    given = row.get("session_id")
    if not isinstance(given, str):
        return
    if _SCRUBBED.fullmatch(given) or (given != sid and _DOUBTFUL.fullmatch(given)):
        facts.scrubbed.setdefault(given, Places()).add(place)
    elif given != sid and UNKNOWN not in (given, sid) and sid != OVERFLOW_STEM:
        facts.strayed.add(place)


def _see_log(
    facts: Facts, place: str, row: dict[str, Any], spans: dict[str, tuple[str, str, str]]
) -> None:
    facts.logs += 1
    facts.unknown += row.get("session_id", UNKNOWN) == UNKNOWN
    lost = row.get("lost")
    if row.get("logger") == "tracectrl" and isinstance(lost, int):
        facts.lost += lost
        facts.losses.add(place)
    span = spans.get(str(row.get("span_id")))
    if span is not None:
        _compare(facts, span, str(row.get("service", "")), time_of(row.get("timestamp")))


def _see_span(
    facts: Facts, place: str, row: dict[str, Any], spans: dict[str, tuple[str, str, str]]
) -> None:
    del place
    facts.spans += 1
    start = time_of(row.get("start_time"))
    if start is not None and len(spans) < _MOST_SPANS:
        parent = str(row.get("parent_span_id", ""))
        spans[str(row.get("span_id"))] = (str(row.get("service", "")), start, parent)


def _see_children(facts: Facts, spans: dict[str, tuple[str, str, str]]) -> None:
    for service, start, parent in spans.values():
        if parent in spans:
            _compare(facts, spans[parent], service, start)


def _compare(facts: Facts, span: tuple[str, str, str], service: str, moment: str | None) -> None:
    """Note where *service* did something in *span*, of another service, before that began."""
    other, start, _ = span
    if not service or not other or service == other or moment is None or moment >= start:
        return
    apart = datetime.fromisoformat(start[:-1]) - datetime.fromisoformat(moment[:-1])
    if apart.total_seconds() >= _LEAST_SKEW_S:
        pair = (other, service)
        facts.skewed[pair] += 1
        facts.skew_s[pair] = max(facts.skew_s.get(pair, 0.0), apart.total_seconds())


def all_read(facts: Facts) -> Iterator[Finding]:
    """The numbers of sessions, lines and spans that were read."""
    yield Finding(
        severity="ok",
        check="files",
        subject=facts.directory,
        message=f"{facts.sessions} sessions, {facts.logs} lines and {facts.spans} spans were read",
        count=facts.logs + facts.spans,
    )


def damaged(facts: Facts) -> Iterator[Finding]:
    """Some lines cannot be read."""
    for reason, places in facts.damaged.items():
        yield Finding(
            severity="warning",
            check="damaged-lines",
            subject=places.positions[0],
            message=f"{'a line that cannot' if places.count == 1 else 'lines that cannot'}"
            f" be read: {reason}",
            mend="other programs may write to the files, or a disk was full; the rest is read",
            count=places.count,
            positions=tuple(places.positions),
        )


def broken(facts: Facts) -> Iterator[Finding]:
    """Files that cannot be read, or not to their ends."""
    for reason, places in facts.broken.items():
        missing = "zstd" in reason and "pip install" in reason
        yield Finding(
            severity="warning",
            check="missing-extra" if missing else "unreadable-files",
            subject=places.positions[0].rpartition(":")[0] or places.positions[0],
            message=reason,
            mend=install_line("zstd")
            if missing
            else "a compressed file that is cut off was copied in part: copy it again",
            count=places.count,
            positions=tuple(places.positions),
        )


def scrubbed(facts: Facts) -> Iterator[Finding]:
    """A redaction tool takes the session for a secret."""
    for text, places in facts.scrubbed.items():
        yield Finding(
            severity="error",
            check="scrubbed-session",
            subject=text,
            message="stands in session_id: a redaction tool takes the key for a secret",
            mend="leave session_id and session.id out of what it scrubs",
            count=places.count,
            positions=tuple(places.positions),
        )


def strayed(facts: Facts) -> Iterator[Finding]:
    """Some lines are in the file of another session."""
    if facts.strayed.count:
        yield Finding(
            severity="warning",
            check="session-mismatch",
            subject=facts.strayed.positions[0],
            message="lines name another session than their file does",
            mend="look for what changes session_id on the way: a redaction tool, a processor, a copy",
            count=facts.strayed.count,
            positions=tuple(facts.strayed.positions),
        )


def skew(facts: Facts) -> Iterator[Finding]:
    """The clocks of two services differ."""
    for (first, second), seconds in facts.skew_s.items():
        yield Finding(
            severity="warning",
            check="clock-skew",
            subject=f"{first}, {second}",
            message=f"the clock of {second} is at least {seconds:.3f} s behind that of {first}:"
            " what it did in a span of the other comes before that span",
            mend="synchronise the clocks of their hosts (NTP)",
            count=facts.skewed[first, second],
        )


def unknown_only(facts: Facts) -> Iterator[Finding]:
    """No line has a session."""
    if facts.logs and facts.unknown == facts.logs:
        yield Finding(
            severity="warning",
            check="unknown-session",
            subject=UNKNOWN,
            message=f"all {facts.logs} lines were written outside of any session",
            mend="add SessionMiddleware, or work inside `with tracectrl.session.session():`",
            count=facts.logs,
        )


def losses(facts: Facts) -> Iterator[Finding]:
    """Some lines report losses."""
    if facts.lost:
        yield Finding(
            severity="error",
            check="lost-lines",
            subject=facts.losses.positions[0],
            message=f"{facts.lost} lines could not be written, or were dropped",
            mend="look for room on the disk, the root's permissions, and overflow=",
            count=facts.lost,
            positions=tuple(facts.losses.positions),
        )


CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    all_read,
    damaged,
    broken,
    scrubbed,
    strayed,
    skew,
    unknown_only,
    losses,
)
