"""What a diagnosis consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from tracectrl_logging.reader.model import Line, SessionSummary

CauseKind: TypeAlias = Literal["error", "open", "slow"]


class Failure(NamedTuple):
    """Something that went wrong."""

    kind: CauseKind
    time: str
    service: str
    path: tuple[str, ...]
    """The names of the spans that it is in, the outermost first."""
    message: str
    exception: tuple[str, str] | None
    """The type and message of the exception that the others of its chain were raised from."""
    trace_id: str
    span_id: str
    handled: bool
    """Whether its caller went on."""
    duration_ns: int | None = None

    def row(self) -> dict[str, Any]:
        """Return it as a row of JSON."""
        raised = self.exception and {"type": self.exception[0], "message": self.exception[1]}
        return {**self._asdict(), "path": list(self.path), "exception": raised}


class Retry(NamedTuple):
    """What was tried several times under one parent, and failed."""

    path: tuple[str, ...]
    attempts: int
    failed: int
    message: str


class Diagnosis(NamedTuple):
    """What is known about how a session went."""

    summary: SessionSummary
    cause: Failure | None
    """``None`` where nothing failed, and nothing was slow."""
    others: tuple[Failure, ...]
    """The other failures, in the order of their times, as far as they are few."""
    open: tuple[Failure, ...]
    """Spans that never ended."""
    retries: tuple[Retry, ...]
    last: dict[str, Line]
    """The last log line of each service."""
    around: tuple[Line, ...]
    """The lines around the cause."""

    def row(self, of_line: Callable[[Line], Any]) -> dict[str, Any]:
        """Return it as a row of JSON, without the summary; *of_line* returns the row of a line."""
        return {
            "cause": self.cause and self.cause.row(),
            "others": [it.row() for it in self.others],
            "open": [it.row() for it in self.open],
            "retries": [{**it._asdict(), "path": list(it.path)} for it in self.retries],
            "last": {service: of_line(line) for service, line in sorted(self.last.items())},
            "around": list(map(of_line, self.around)),
        }
