"""Sessions in numbers."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from tracectrl._time import time_of
from tracectrl.schema import (
    ANCESTORS_KEY,
    BLOCK_KEY,
    ERROR,
    OBSERVED_KEY,
    PARENT_KEY,
    PRESENCE_KEY,
    PREVIOUS_KEY,
    SESSION_END,
    SESSION_START,
    severity,
)
from tracectrl_logging.reader.genai.names import MARKS
from tracectrl_logging.reader.genai.usage import UsageSum
from tracectrl_logging.reader.model import RUNNING, SessionSummary
from tracectrl_logging.reader.timeline.open_spans import is_open, span_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeGuard

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Line, State

_MOST_ANCESTORS = 100
_CANONICAL_LENGTH = len("2025-01-01T00:00:00.000000Z")


class Standing:
    """Which processes have spans and blocks in a session that go on, line by line."""

    __slots__ = ("_owners",)

    def __init__(self) -> None:
        self._owners: dict[object, str | None] = {}

    def note(self, kind: Kind, row: Mapping[str, Any]) -> None:
        """Take note of what a line says: of a span, or of the beginning or end of a block."""
        owner = row.get(PRESENCE_KEY)
        owner = owner if isinstance(owner, str) else None
        if kind == "span":
            key: object = span_key(row) or ("", owner)
            goes_on = is_open(row)
        else:
            key = row.get(BLOCK_KEY)
            goes_on = row.get("message") == SESSION_START
            if not isinstance(key, str) or not (goes_on or row.get("message") == SESSION_END):
                return
        if goes_on:
            self._owners[key] = owner
        elif self._owners:
            self._owners.pop(key, None)

    @property
    def owners(self) -> set[str | None]:
        """The processes, ``None`` where a line names none."""
        return set(self._owners.values())

    def state(self, *, is_running: bool) -> State:
        """Return the state of the session, where a process is in it or is not."""
        if is_running:
            return RUNNING
        return "crashed" if self._owners else "ended"


class Tally(Standing):
    """What has been counted of one session so far."""

    __slots__ = (
        "ancestors",
        "error_spans",
        "errors",
        "first",
        "last",
        "lines",
        "message",
        "message_at",
        "open_spans",
        "parent",
        "previous",
        "services",
        "usage",
    )

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[Kind, int] = {"log": 0, "span": 0}
        self.errors = 0
        self.error_spans = 0
        self.open_spans = 0
        self.services: set[str] = set()
        self.first: str | None = None
        self.last: str | None = None
        self.message: object = None
        self.message_at: str | None = None
        self.ancestors: tuple[str, ...] = ()
        self.parent: str | None = None
        self.previous: str | None = None
        self.usage: UsageSum | None = None

    def add(self, kind: Kind, rows: Iterable[dict[str, Any]]) -> None:
        """Count lines of one *kind*."""
        if kind == "log":
            self._add_logs(rows)
        else:
            self._add_spans(rows)

    def _add_logs(self, rows: Iterable[dict[str, Any]]) -> None:
        for row in rows:
            if severity(row) >= ERROR:
                self.errors += 1
            if BLOCK_KEY in row:
                self.note("log", row)
            time = row.get("timestamp")
            self._see(time)
            at = self.message_at
            if at is None or not _is_likely(time) or time < at:
                self._see_message(time, row)
            service = row.get("service")
            if type(service) is str:
                self.services.add(service)
            if PARENT_KEY in row or PREVIOUS_KEY in row:
                self._see_kin(row)
            self.lines["log"] += 1

    def _add_spans(self, rows: Iterable[dict[str, Any]]) -> None:
        for row in rows:
            self.lines["span"] += 1
            if row.get("status") == "ERROR":
                self.error_spans += 1
            self._see(row.get("start_time"))
            if is_open(row):
                self.open_spans += 1
                self.note("span", row)
                self._see(row.get(OBSERVED_KEY))
            else:
                self._see(row.get("end_time"))
            service = row.get("service")
            if type(service) is str:
                self.services.add(service)
            attributes = row.get("attributes")
            if type(attributes) is dict and (
                PARENT_KEY in attributes or PREVIOUS_KEY in attributes
            ):
                self._see_kin(attributes)
            if self.usage is None:
                if type(attributes) is not dict or MARKS.isdisjoint(attributes):
                    continue
                self.usage = UsageSum()
            self.usage.add(row)

    def see(self, line: Line) -> None:
        """Count a line; one without a time counts at the one that it has borrowed."""
        self.add(line.kind, (line.row,))
        self._see(line.time)

    def summary(self, sid: str, state: State = "ended") -> SessionSummary:
        """Return the session *sid* in numbers."""
        message = self.message
        summary = SessionSummary(
            session_id=sid,
            first_time=self.first,
            last_time=self.last,
            logs=self.lines["log"],
            spans=self.lines["span"],
            errors=self.errors,
            services=tuple(sorted(self.services)),
            duration_ns=between(self.first, self.last),
            first_message=message if type(message) is str else None,
            error_spans=self.error_spans,
            open_spans=self.open_spans,
            state=state,
            parent=None if self.parent == sid else self.parent,
            ancestors=() if self.parent == sid else self.ancestors,
            previous=None if self.previous == sid else self.previous,
        )
        if self.usage is None:
            return summary
        totals = self.usage.totals()
        return summary._replace(
            model_calls=totals.model_calls, cost_usd=totals.cost_usd, **totals.usage._asdict()
        )

    def _see_kin(self, said: dict[str, Any]) -> None:
        """Take note of the sessions that a line names; of several the least, whichever line comes first."""
        parent, previous = said.get(PARENT_KEY), said.get(PREVIOUS_KEY)
        if type(parent) is str and parent:
            above = said.get(ANCESTORS_KEY)
            above = above[:_MOST_ANCESTORS] if isinstance(above, list) else ()
            ancestors = tuple(sid for sid in above if isinstance(sid, str) and sid)
            least = -len(self.ancestors)
            if self.parent is None or (parent, -len(ancestors)) < (self.parent, least):
                self.parent, self.ancestors = parent, ancestors
        if (
            type(previous) is str
            and previous
            and (self.previous is None or previous < self.previous)
        ):
            self.previous = previous

    def _see(self, time: object) -> None:
        first, last = self.first, self.last
        if first is None or last is None:
            self.first = self.last = time_of(time)
            return
        if _is_likely(time) and first <= time <= last:
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


def _is_likely(time: object) -> TypeGuard[str]:
    """Tell whether *time* has the form of our own lines' times, for all that can be seen at once."""
    return (
        type(time) is str
        and len(time) == _CANONICAL_LENGTH
        and time[10] == "T"
        and time[19] == "."
        and time[26] == "Z"
    )


def between(first: str | None, last: str | None) -> int | None:
    """Return the nanoseconds from *first* to *last*, ``None`` where one is no day of any year."""
    if first is None or last is None:
        return None
    try:
        took = datetime.fromisoformat(last[:-1]) - datetime.fromisoformat(first[:-1])
    except ValueError:
        return None
    return (took.days * 86_400_000_000 + took.seconds * 1_000_000 + took.microseconds) * 1000
