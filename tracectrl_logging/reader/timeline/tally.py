"""Sessions in numbers."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from tracectrl_logging.reader.files.find import id_of
from tracectrl_logging.reader.files.lines import OTLP_KEY, sources, spans_of, time_of
from tracectrl_logging.reader.files.opening import close_all, open_chain
from tracectrl_logging.reader.model import SessionSummary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tracectrl_logging.reader.files.listing import SessionFiles
    from tracectrl_logging.reader.filters.conditions import Condition
    from tracectrl_logging.reader.model import Kind, Report

ERROR_LEVELS = frozenset({"ERROR", "CRITICAL", "FATAL"})
"""The names of the levels at ERROR or above."""

_CANONICAL_LENGTH = len("2025-01-01T00:00:00.000000Z")


class _Tally:
    """What has been counted of one session so far."""

    __slots__ = ("errors", "first", "last", "lines", "message", "message_at", "services")

    def __init__(self) -> None:
        self.lines: dict[Kind, int] = {"log": 0, "span": 0}
        self.errors = 0
        self.services: set[str] = set()
        self.first: str | None = None
        self.last: str | None = None
        self.message: object = None
        self.message_at: str | None = None

    def add_logs(self, rows: Iterable[dict[str, Any]]) -> None:
        """Count log lines."""
        for row in rows:
            level = row.get("level")
            if type(level) is str and level in ERROR_LEVELS:
                self.errors += 1
            time = row.get("timestamp")
            self._see(time)
            at = self.message_at
            if at is None or type(time) is not str or len(time) != _CANONICAL_LENGTH or time < at:
                self._see_message(time, row)
            service = row.get("service")
            if type(service) is str:
                self.services.add(service)
            self.lines["log"] += 1

    def add_spans(self, rows: Iterable[dict[str, Any]]) -> None:
        """Count span lines."""
        for row in rows:
            self.lines["span"] += 1
            self._see(row.get("start_time"))
            self._see(row.get("end_time"))
            service = row.get("service")
            if type(service) is str:
                self.services.add(service)

    def _see(self, time: object) -> None:
        first, last = self.first, self.last
        if first is None or last is None:
            self.first = self.last = time_of(time)
            return
        if type(time) is str and len(time) == _CANONICAL_LENGTH and first <= time <= last:
            return
        moment = time_of(time)
        if moment is None:
            return
        if moment > last:
            self.last = moment
        elif moment < first:
            self.first = moment

    def _see_message(self, time: object, row: dict[str, Any]) -> None:
        moment, at = time_of(time), self.message_at
        if moment is None:
            is_earliest = at is None and not self.lines["log"]
        else:
            is_earliest = at is None or moment < at
        if is_earliest:
            self.message_at = moment
            self.message = row.get("message")


def tallied(
    found: SessionFiles, report: Report, conditions: Sequence[Condition] = ()
) -> tuple[SessionSummary, bool]:
    """Count the lines of the session whose files are *found*.

    Returns:
        The session in numbers, and whether each of *conditions* is met by a line, log or span.
    """
    sid = id_of(found, report)
    tally = _Tally()
    unmet = list(conditions)
    logs = _rows(found, "log", sid, report)
    spans = _rows(found, "span", sid, report)
    tally.add_logs(_tested(logs, unmet) if unmet else logs)
    tally.add_spans(_tested(spans, unmet) if unmet else spans)
    message = tally.message
    summary = SessionSummary(
        session_id=sid,
        first_time=tally.first,
        last_time=tally.last,
        logs=tally.lines["log"],
        spans=tally.lines["span"],
        errors=tally.errors,
        services=tuple(sorted(tally.services)),
        duration_ns=_between(tally.first, tally.last),
        first_message=message if type(message) is str else None,
    )
    return summary, not unmet


def _tested(rows: Iterable[dict[str, Any]], unmet: list[Condition]) -> Iterator[dict[str, Any]]:
    """Yield *rows*; take those conditions out of *unmet* that one of them meets."""
    for row in rows:
        if unmet:
            unmet[:] = [condition for condition in unmet if not condition(row)]
        yield row


def _between(first: str | None, last: str | None) -> int | None:
    """Return the nanoseconds from *first* to *last*, ``None`` where one is no day of any year."""
    if first is None or last is None:
        return None
    try:
        took = datetime.fromisoformat(last[:-1]) - datetime.fromisoformat(first[:-1])
    except ValueError:
        return None
    return (took.days * 86_400_000_000 + took.seconds * 1_000_000 + took.microseconds) * 1000


def _rows(found: SessionFiles, kind: Kind, sid: str, report: Report) -> Iterator[dict[str, Any]]:
    files = open_chain(found, kind, report)
    try:
        for path, stored in sources(found, kind, files, report):
            for number, _, row in stored:
                if kind == "span" and OTLP_KEY in row:
                    yield from spans_of(path, number, row, sid, report)
                else:
                    yield row
    finally:
        close_all(files)
