"""Sessions in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracectrl_logging.reader.chain import close_all, open_chain
from tracectrl_logging.reader.find import id_of
from tracectrl_logging.reader.lines import OTLP_KEY, sources, spans_of, time_of
from tracectrl_logging.reader.records import SessionSummary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tracectrl_logging.reader.listing import SessionFiles
    from tracectrl_logging.reader.records import Kind, Report

ERROR_LEVELS = frozenset({"ERROR", "CRITICAL", "FATAL"})
"""The names of the levels at ERROR or above."""

_CANONICAL_LENGTH = len("2025-01-01T00:00:00.000000Z")


class _Tally:
    """What has been counted of one session so far."""

    __slots__ = ("errors", "first", "last", "lines", "services")

    def __init__(self) -> None:
        self.lines: dict[Kind, int] = {"log": 0, "span": 0}
        self.errors = 0
        self.services: set[str] = set()
        self.first: str | None = None
        self.last: str | None = None

    def add_logs(self, rows: Iterable[dict[str, Any]]) -> None:
        """Count log lines."""
        for row in rows:
            self.lines["log"] += 1
            level = row.get("level")
            if type(level) is str and level in ERROR_LEVELS:
                self.errors += 1
            self._see(row.get("timestamp"))
            service = row.get("service")
            if type(service) is str:
                self.services.add(service)

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


def summarize(found: SessionFiles, report: Report) -> SessionSummary:
    """Count the lines of the session whose files are *found*."""
    sid = id_of(found, report)
    tally = _Tally()
    tally.add_logs(_rows(found, "log", sid, report))
    tally.add_spans(_rows(found, "span", sid, report))
    return SessionSummary(
        session_id=sid,
        first_time=tally.first,
        last_time=tally.last,
        logs=tally.lines["log"],
        spans=tally.lines["span"],
        errors=tally.errors,
        services=tuple(sorted(tally.services)),
    )


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
