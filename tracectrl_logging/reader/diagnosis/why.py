"""Why a session failed: the failure that the others follow from, and what stood around it.

A span has failed whose status is ERROR, that never ended, or that logged an error and then did nothing
more. The search begins where the session as a whole failed, at a span that nobody called, and goes
down: to the span below that this one says it failed of, else to the one behind whose failure it did
nothing more. What failed earlier, and was survived, is not on that way. Where spans lead nowhere, the
words of the last failure may name another service, or lead to an earlier error. Clocks of services are
not compared. Where nothing failed, or nothing but what was survived, a span that took most of a long time is told.

It is one module since each step of the search asks for what was gathered of all spans.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl._time import time_of
from tracectrl.schema import ERROR, OPEN, STATE_KEY, severity
from tracectrl_logging.reader.diagnosis.alike import are_related, pattern
from tracectrl_logging.reader.diagnosis.exceptions import raised, recorded
from tracectrl_logging.reader.diagnosis.model import Diagnosis, Failure, Retry
from tracectrl_logging.reader.timeline.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final, TypeAlias

    from tracectrl_logging.reader.model import Line

    Key: TypeAlias = tuple[str, str]

_WARNING: Final = 13
_CRITICAL: Final = 21
_MOST_SPANS: Final = 200_000
_MOST_ERRORS: Final = 2000
_MOST_TOLD: Final = 20
_BEFORE, _AFTER = 10, 9
_LEAST_SLOW_NS: Final = 100_000_000
_SLOWER_NS: Final = 2_000_000_000
_HANDLED: Final = re.compile(
    r"\b(?:retry|retrying|retried|fall(?:ing|s)? ?back|fallback|ignor\w+|recover\w+|handled|"
    r"continuing|skipp\w+|using (?:the )?(?:default|cache\w*)|degraded)\b",
    re.IGNORECASE,
)
_SECONDHAND: Final = re.compile(
    r"\b(?:50[0234]|bad ?gateway|upstream|downstream|unavailable|refused|answered|"
    r"remote|service|server|peer)\b",
    re.IGNORECASE,
)
_CANCELLED: Final = re.compile(r"cancel|abort(?:ed)? by|interrupted", re.IGNORECASE)


class _Span(NamedTuple):
    key: Key
    parent: Key | None
    name: str
    service: str
    start: str
    end: str
    duration_ns: int
    is_open: bool
    is_error: bool
    says: str
    exception: tuple[str, str] | None
    """Of the first exception that was recorded."""


class _Error(NamedTuple):
    """A log line at ERROR or above."""

    time: str
    number: int
    """How many lines of the session are before it."""
    key: Key | None
    service: str
    message: str
    exception: tuple[str, str] | None
    is_critical: bool


def diagnose(lines: Callable[[], Iterable[Line]]) -> Diagnosis:
    """Return why the session failed whose *lines*, in time order, this function returns each time.

    The lines are read twice; memory is bounded by the number of spans, up to 200,000, and of errors.
    """
    session = _Session(lines())
    cause = session.cause()
    if cause is None or cause.handled:
        # What was survived explains a session sooner than a span that a busy machine has drawn out.
        cause = session.slowest(_LEAST_SLOW_NS if cause is None else _SLOWER_NS) or cause
    others = [it for it in session.failures() if cause is None or it.message != cause.message]
    return Diagnosis(
        session.tally.summary(session.sid),
        cause,
        tuple(others[:_MOST_TOLD]),
        tuple(session.open_spans()),
        tuple(session.retries()),
        session.last,
        () if cause is None else _around(lines(), cause),
    )


class _Session:
    """What the lines of a session say about how it went."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.tally = Tally()
        self.sid = ""
        self.last: dict[str, Line] = {}
        self._spans: dict[Key, _Span] = {}
        self._children: dict[Key | None, list[Key]] = {}
        self._errors: list[_Error] = []
        self._late_errors: deque[_Error] = deque(maxlen=_MOST_ERRORS)
        self._warned: Counter[tuple[Key, str]] = Counter()
        self._texts: dict[tuple[Key, str], str] = {}
        self._last_plain: dict[tuple[str, str], int] = {}
        self._last_in: dict[Key, str] = {}
        self._last_time: dict[Key, str] = {}
        self._last_plain_in: dict[Key, str] = {}
        self._warning_in: dict[Key, str] = {}
        self._last_well_below: dict[Key, str] = {}
        self._last_here_below: dict[Key, str] = {}
        for number, line in enumerate(lines):
            self.tally.see(line)
            self.sid = self.sid or line.session_id
            if line.kind == "span":
                self._see_span(line)
            else:
                self._see_log(number, line)
        self._errors.extend(self._late_errors)
        for span in self._spans.values():
            parent = span.parent if span.parent in self._spans else None
            self._children.setdefault(parent, []).append(span.key)
            if parent is not None:
                if not span.is_error:
                    well = self._last_well_below.get(parent, "")
                    self._last_well_below[parent] = max(well, span.start)
                if span.service == self._spans[parent].service:
                    here = self._last_here_below.get(parent, "")
                    self._last_here_below[parent] = max(here, span.start)
        self._errors_in: dict[Key, list[_Error]] = {}
        for error in self._errors:
            if error.key is not None and error.key in self._spans:
                self._errors_in.setdefault(error.key, []).append(error)

    def _see_span(self, line: Line) -> None:
        row = line.row
        key = _key(row, "span_id")
        is_error, is_open = row.get("status") == "ERROR", row.get(STATE_KEY) == OPEN
        exception = recorded(row)
        if key is None or (len(self._spans) >= _MOST_SPANS and not is_error and not is_open):
            return
        took = row.get("duration_ns")
        self._spans[key] = _Span(
            key,
            _key(row, "parent_span_id"),
            _text(row.get("name")),
            _text(row.get("service")),
            line.time,
            time_of(row.get("end_time")) or line.time,
            took if type(took) is int else 0,
            is_open,
            is_error,
            _text(row.get("status_message")),
            exception,
        )

    def _see_log(self, number: int, line: Line) -> None:
        row = line.row
        service = _text(row.get("service"))
        self.last[service] = line
        rank, key = severity(row), _key(row, "span_id")
        message = _text(row.get("message"))
        if key is not None:
            self._last_in[key], self._last_time[key] = message, line.time
            if rank >= _WARNING:
                self._warning_in[key] = message
            else:
                self._last_plain_in[key] = line.time
        if rank >= _WARNING and key is not None and len(self._warned) < _MOST_ERRORS:
            said = key, pattern(message)
            self._warned[said] += 1
            self._texts.setdefault(said, message)
        if rank < _WARNING:
            self._last_plain[service, _text(row.get("trace_id"))] = number
        if rank < ERROR:
            return
        exception = raised(row.get("exception"))
        error = _Error(line.time, number, key, service, message, exception, rank >= _CRITICAL)
        (self._errors if len(self._errors) < _MOST_ERRORS else self._late_errors).append(error)

    def cause(self) -> Failure | None:
        """Return the failure that the others follow from; ``None`` where nothing failed."""
        top = self._top()
        if top is None:
            return self._cause_in_logs() or next(iter(self.failures()), None)
        chain = self._chain(top)
        found = self._of(chain[-1])
        crash = next((it for it in reversed(self._errors) if it.is_critical), None)
        if crash is not None and crash.key not in self._spans and not top.is_open:
            texts = [text for span in chain for text in (_said(span), found.message) if text]
            if crash.time > top.end and not any(_relates(crash, it, exactly=True) for it in texts):
                return self._of_log(crash)
        other = self._elsewhere(chain, found.message)
        return found if other is None else self._of(self._chain(other)[-1])

    def failures(self) -> list[Failure]:
        """Return what failed first, with nothing below that failed, and errors outside of all spans."""
        failed = [span for span in self._spans.values() if span.is_error or self._gave_up(span)]
        told = {span.key for span in failed}
        found: list[_Span | _Error] = [
            span
            for span in failed
            if not any(self._spans[key].is_error for key in self._children.get(span.key, ()))
        ]
        found += [it for it in self._errors if it.key not in told]
        found.sort(key=lambda it: it.start if isinstance(it, _Span) else it.time)
        return [
            self._of(it)._replace(handled=self._is_survived(it))
            if isinstance(it, _Span)
            else self._of_log(it)
            for it in found[: _MOST_TOLD + 1]
        ]

    def _top(self) -> _Span | None:
        """Return the span that nobody called at which the search begins."""
        roots = [self._spans[key] for key in self._children.get(None, ())]
        went_well = {it.name: it.start for it in roots if not it.is_error and not it.is_open}
        bad = [span for span in roots if span.is_error]
        lasting = [it for it in bad if went_well.get(it.name, "") <= it.start]
        failed = next(iter(lasting or bad), None)
        opened = [span for span in roots if span.is_open]
        if opened:
            last = opened[-1]
            leaf = self._chain(last)[-1]
            until = self._last_time.get(leaf.key) or leaf.start
            return failed if failed is not None and failed.start > until else last
        return failed or next(filter(self._gave_up, roots), None)

    def _chain(self, top: _Span) -> list[_Span]:
        """Return *top* and the spans below it that it failed of, the deepest last."""
        chain = [top]
        seen = {top.key}
        while (below := self._responsible(chain[-1])) is not None and below.key not in seen:
            seen.add(below.key)
            chain.append(below)
        return chain

    def _responsible(self, span: _Span) -> _Span | None:
        """Return the span below *span* that this one failed of; ``None`` where it failed itself."""
        below = [self._spans[key] for key in self._children.get(span.key, ())]
        if span.is_open and (opened := [it for it in below if it.is_open]):
            return opened[-1]
        failed = [it for it in below if it.is_error or self._gave_up(it)]
        said = [_said(span), *(it.message for it in self._errors_in.get(span.key, ()))]
        said += [
            ": ".join(it.exception) for it in self._errors_in.get(span.key, ()) if it.exception
        ]
        said = [text for text in said if text][:_MOST_TOLD]
        hidden = [] if failed else self._failed_below(span)
        for each in (failed, hidden):
            for it in each[:_MOST_ERRORS]:
                if any(self._is_about(text, it) for text in said):
                    return it
        fatal = [it for it in failed if not self._is_survived(it) or (span.is_error and not said)]
        causes = [it for it in fatal if not _CANCELLED.search(_said(it))] or fatal
        if not causes:
            return None
        last = max(causes, key=lambda it: it.end)
        alike = [it for it in causes if pattern(_said(it)) == pattern(_said(last))]
        return alike[0]

    def _failed_below(self, span: _Span) -> list[_Span]:
        """Return the spans that failed below others that did not, below *span*."""
        found = []
        waiting = list(self._children.get(span.key, ()))
        seen: set[Key] = set()
        while waiting:
            here = self._spans[waiting.pop()]
            if here.key in seen:
                continue
            seen.add(here.key)
            if here.is_error:
                found.append(here)
            else:
                waiting.extend(self._children.get(here.key, ()))
        return found

    def _is_about(self, text: str, span: _Span) -> bool:
        """Tell whether *text* quotes what *span* says about its failure."""
        errors = self._errors_in.get(span.key, ())
        theirs = [_said(span), *(span.exception or ())[1:], *(it.message for it in errors)]
        return any(it and are_related(it, text, exactly=True) for it in theirs)

    def _is_survived(self, span: _Span) -> bool:
        """Tell whether the caller of *span*, which failed, did something else behind it."""
        parent = None if span.parent is None else self._spans.get(span.parent)
        if parent is None:
            return False
        if not parent.is_error and not parent.is_open and not self._gave_up(parent):
            return True
        if parent.service != span.service:
            return False
        last = self._last_well_below.get(parent.key, "")
        return self._last_plain_in.get(parent.key, "") > span.end or last >= span.end

    def _gave_up(self, span: _Span) -> bool:
        """Tell whether the last that *span* did was to log an error."""
        errors = self._errors_in.get(span.key)
        if not errors or span.is_open or _HANDLED.search(errors[-1].message):
            return False
        time = errors[-1].time
        last = max(self._last_plain_in.get(span.key, ""), self._last_here_below.get(span.key, ""))
        return last <= time

    def _elsewhere(self, chain: list[_Span], message: str) -> _Span | None:
        """Return the span of another service that *message* is about, where it has failed by itself."""
        roots = (self._spans[key] for key in self._children.get(None, ()))
        own = {span.service for span in chain}
        others = [
            it for it in roots if it.service not in own and (it.is_error or self._gave_up(it))
        ]
        leaf = chain[-1]
        named = [
            it
            for it in others
            if (it.service and it.service.lower() in message.lower())
            or self._is_about(message, self._chain(it)[-1])
        ]
        if not named and _SECONDHAND.search(f"{message} {leaf.says}"):
            named = others
        if not named:  # what failed while this one waited
            named = [it for it in others if chain[0].start <= it.start and it.end <= leaf.end]
        return named[0] if named else None

    def _of(self, span: _Span) -> Failure:
        """Return the failure of *span* in the words of the log line that tells it best, if there is one."""
        span = self._behind(span)
        errors = self._errors_in.get(span.key, [])
        said = _said(span)
        error = next((it for it in errors if said and _relates(it, said)), None)
        if error is None and errors and (not said or self._gave_up(span)):
            error = next((it for it in errors if not _HANDLED.search(it.message)), errors[-1])
        is_dead = span.is_open and not span.is_error
        if is_dead and (error is None or error.message != self._last_in.get(span.key)):
            error, said = None, said or self._last_in.get(span.key, "")
        return Failure(
            "open" if is_dead and error is None else "error",
            span.start if error is None else error.time,
            span.service,
            self._path(span),
            (said or self._warning_in.get(span.key, "")) if error is None else error.message,
            (error and error.exception) or span.exception,
            *span.key,
            handled=self._is_survived(span) and not span.is_open,
            duration_ns=span.duration_ns,
        )

    def _behind(self, span: _Span) -> _Span:
        """Return the span of another service that warned of what *span* failed of, or *span* itself."""
        if not _SECONDHAND.search(_said(span)):
            return span
        waiting = deque(self._children.get(span.key, ()))
        for _ in range(_MOST_TOLD):
            if not waiting:
                break
            here = self._spans[waiting.popleft()]
            if here.service != span.service and here.key in self._warning_in:
                return here
            waiting.extend(self._children.get(here.key, ()))
        return span

    def _cause_in_logs(self) -> Failure | None:
        """Return the earliest error that the fatal one is about, of those outside of spans that failed.

        Fatal is the last that is critical, else the first whose service did nothing more.
        """
        errors = [it for it in self._errors if it.key not in self._errors_in]
        if not errors:
            return None
        fatal = [it for it in errors if not self._of_log(it).handled] or errors[:1]
        last = next((it for it in reversed(fatal) if it.is_critical), fatal[0])
        texts = [last.message, *(last.exception or ())[1:]]
        texts = [text for text in texts if text]
        first = next(
            it
            for it in errors
            if it is last or any(_relates(it, text, exactly=True) for text in texts)
        )
        return self._of_log(first)._replace(handled=self._of_log(last).handled)

    def _of_log(self, error: _Error) -> Failure:
        trace_id, span_id = error.key or ("", "")
        span = None if error.key is None else self._spans.get(error.key)
        went_on = self._last_plain.get((error.service, trace_id), -1) > error.number
        survived = went_on or span is not None or _HANDLED.search(error.message) is not None
        return Failure(
            kind="error",
            time=error.time,
            service=error.service,
            path=() if span is None else self._path(span),
            message=error.message,
            exception=error.exception,
            trace_id=trace_id,
            span_id=span_id,
            handled=survived and not error.is_critical,
        )

    def _path(self, span: _Span) -> tuple[str, ...]:
        """Return the names of the spans down to *span*."""
        return tuple(it.name for it in reversed([span, *self._above(span)]))

    def _above(self, span: _Span) -> Iterator[_Span]:
        seen = {span.key}
        here = self._spans.get(span.parent) if span.parent is not None else None
        while here is not None and here.key not in seen:
            seen.add(here.key)
            yield here
            here = self._spans.get(here.parent) if here.parent is not None else None

    def open_spans(self) -> list[Failure]:
        """Return the spans that never ended, the deepest last."""
        opened = [span for span in self._spans.values() if span.is_open]
        return [self._open(span) for span in opened[-_MOST_TOLD:]]

    def _open(self, span: _Span) -> Failure:
        return Failure(
            kind="open",
            time=span.start,
            service=span.service,
            path=self._path(span),
            message=self._last_in.get(span.key, ""),
            exception=None,
            trace_id=span.key[0],
            span_id=span.key[1],
            handled=False,
        )

    def retries(self) -> list[Retry]:
        """Return what was tried again under one parent: spans of one name, or one warning."""
        found: list[tuple[int, int, _Span, str]] = []
        for parent, keys in self._children.items():
            if parent is None:
                continue
            groups: dict[str, list[_Span]] = {}
            for key in keys:
                groups.setdefault(self._spans[key].name, []).append(self._spans[key])
            for several in groups.values():
                bad = [it for it in several if it.is_error]
                if len(several) > 1 and bad:
                    found.append((len(bad), len(several), several[0], _said(bad[-1])))
        for place, times in self._warned.items():
            span = self._spans.get(place[0])
            if times > 1 and span is not None:
                found.append((times, times, span, self._texts[place]))
        found.sort(key=lambda it: -it[0])
        return [
            Retry(self._path(span), attempts, failed, said)
            for failed, attempts, span, said in found[:_MOST_TOLD]
        ]

    def slowest(self, least_ns: int) -> Failure | None:
        """Return the span that took most of the session's time itself, *least_ns* or more; else ``None``."""
        total = self.tally.summary("").duration_ns or 0
        found: tuple[int, _Span] | None = None
        for span in self._spans.values():
            below = sum(self._spans[key].duration_ns for key in self._children.get(span.key, ()))
            own = span.duration_ns - below
            if found is None or own > found[0]:
                found = own, span
        if found is None or found[0] < least_ns or found[0] * 2 < total:
            return None
        own, span = found
        return self._open(span)._replace(kind="slow", duration_ns=own)


def _around(lines: Iterable[Line], cause: Failure) -> tuple[Line, ...]:
    """Return the lines around the *cause*, up to 20."""
    stream = iter(lines)
    before: deque[Line] = deque(maxlen=_BEFORE)
    for line in stream:
        before.append(line)
        row = line.row
        is_here = line.time == cause.time and _text(row.get("span_id")) == cause.span_id
        if is_here and (line.kind == "span" or _text(row.get("message")) == cause.message):
            break
    return (*before, *itertools.islice(stream, _AFTER))


def _relates(error: _Error, text: str, *, exactly: bool = False) -> bool:
    """Tell whether *text* is about an *error* that was logged."""
    kind, message = error.exception or ("", "")
    texts = [error.message, message, f"{kind}: {message}" if kind else ""]
    return any(it and are_related(it, text, exactly=exactly) for it in texts)


def _said(span: _Span) -> str:
    """Return what a span says about its failure."""
    return span.says or (": ".join(filter(None, span.exception)) if span.exception else "")


def _key(row: dict[str, Any], name: str) -> Key | None:
    span_id = row.get(name)
    return (_text(row.get("trace_id")), span_id) if isinstance(span_id, str) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
