"""Which lines are meant: by time, level, logger, trace, and by what they hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracectrl._time import time_of
from tracectrl.schema import TIME_KEY
from tracectrl_logging.reader.filters.conditions import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tracectrl.schema import Kind

    Predicate = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The lines that meet all of this; with nothing given, every line.

    A span has neither a level nor a logger: where one of these is asked for, no span is meant.
    """

    since: str | None = None
    """Lines at this moment or later, as :func:`~tracectrl_logging.reader.filters.moments.moment` returns it."""
    until: str | None = None
    """Lines at this moment or earlier. A span is at its start."""
    level: str | None = None
    """Log lines at this level or above."""
    logger: str | None = None
    """Log lines of this logger or of one below it."""
    trace_id: str | None = None
    """Lines of this trace; its beginning is enough."""
    where: tuple[Condition, ...] = ()

    def predicate(self, kind: Kind) -> Predicate | None:
        """Return what tells whether a row of this *kind* is meant; ``None`` where every one is.

        Raises:
            ValueError: the level is not known.
        """
        tests = list(self._tests(kind))
        if not tests:
            return None
        if len(tests) == 1:
            return tests[0]
        return lambda row: all(test(row) for test in tests)

    def _tests(self, kind: Kind) -> list[Predicate]:
        if kind == "span" and (self.level is not None or self.logger is not None):
            return [_never]
        tests: list[Predicate] = []
        if self.level is not None:
            tests.append(Condition(f"level>={self.level}"))
        if self.logger is not None:
            tests.append(_of_logger(self.logger))
        if self.trace_id is not None:
            tests.append(_of_trace(self.trace_id))
        if self.since is not None or self.until is not None:
            tests.append(_within(TIME_KEY[kind], self.since or "", self.until or "~"))
        tests.extend(self.where)
        return tests


def _never(row: Mapping[str, Any]) -> bool:  # noqa: ARG001 - it is one of the tests
    return False


def _of_logger(name: str) -> Predicate:
    below = f"{name}."

    def is_of(row: Mapping[str, Any]) -> bool:
        logger = row.get("logger")
        return isinstance(logger, str) and (logger == name or logger.startswith(below))

    return is_of


def _of_trace(start: str) -> Predicate:
    def is_of(row: Mapping[str, Any]) -> bool:
        trace_id = row.get("trace_id")
        return isinstance(trace_id, str) and trace_id.startswith(start)

    return is_of


def _within(key: str, since: str, until: str) -> Predicate:
    def is_within(row: Mapping[str, Any]) -> bool:
        time = time_of(row.get(key))
        return time is not None and since <= time <= until

    return is_within


ALL = Selection()
"""Every line."""
