"""What the reader hands out: small frozen records.

Named tuples, which are made and loaded several times faster than frozen dataclasses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tracectrl.schema import UNKNOWN, Kind

if TYPE_CHECKING:
    from typing import Final, TypeAlias

    from typing_extensions import Self


class Line(NamedTuple):
    """A stored line, of a log or of a span.

    Two numbers of one line may differ: :attr:`row` holds an integer past 64 bits as a float,
    :attr:`raw` holds it as it was written.
    """

    kind: Kind
    row: dict[str, Any]
    """The line as a dictionary; a span or record stored as OTLP/JSON has the keys of a
    span or log line, and under ``_otlp`` what these do not say."""
    raw: bytes
    """The line as it is in the file, without its newline; strict JSON, also where the file's is not."""
    time: str
    """When: ``timestamp`` or ``start_time`` in UTC to the microsecond, so that texts compare.

    A line without one has the time of the line before it in its file, ``""`` before any.
    """
    path: str
    number: int
    """The place in the file at *path*, counted from 1; 0 where it was not counted."""
    session_id: str = UNKNOWN
    """The session of the line: its own, or where it names none that of its file."""


State: TypeAlias = Literal["running", "ended", "crashed"]
"""Whether a session goes on: see :attr:`SessionSummary.state`."""

RUNNING: Final = "running"


class SessionSummary(NamedTuple):
    """One session's files in numbers; damaged lines do not count."""

    session_id: str
    first_time: str | None
    """The earliest time in any line, in UTC to the microsecond; ``None`` where no line has one."""
    last_time: str | None
    """The latest time in any line, the end of a span included."""
    logs: int
    spans: int
    errors: int
    """Log lines at ERROR or above, by the number of their severity."""
    services: tuple[str, ...]
    """The services that wrote the lines, sorted."""
    duration_ns: int | None
    """From the first time to the last, in nanoseconds."""
    first_message: str | None
    """The message of the earliest log line; ``None`` where there is no such text."""
    error_spans: int = 0
    """Spans whose status is ERROR."""
    model_calls: int = 0
    """Calls of language models; a span above another such call is none."""
    input_tokens: int = 0
    """Tokens that models were given, those of a cache among them."""
    output_tokens: int = 0
    """Tokens that models have made, those of reasoning among them."""
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    """What the calls cost whose models have a known price, in US dollars; ``None`` where none has, or
    where the extra ``genai`` is missing."""
    open_spans: int = 0
    """Spans that have not ended, as far as the lines say."""
    state: State = "ended"
    """``running``: a process has one of the files open for writing, or a span of the session, or a
    block that was to say its end. ``crashed``: there are such spans or blocks, and no such process.
    Else ``ended``."""
    parent: str | None = None
    """The session that began this one, by what its lines say."""
    ancestors: tuple[str, ...] = ()
    """Those above its parent, the outermost first, the same way."""
    previous: str | None = None
    """The session that this one goes on from, the same way."""


COUNTS: Final = (
    *("logs", "spans", "errors"),
    *(name for name, none in SessionSummary._field_defaults.items() if type(none) is int),
)
"""The fields of a summary that add up."""


class Damage(NamedTuple):
    """What could not be read: one line, or the rest of a file."""

    path: str
    line: int | None
    """Counted from 1; ``None`` for the file as a whole."""
    reason: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}: line {self.line}"
        return f"{place}: {self.reason}"


Report: TypeAlias = Callable[[Damage], object]


def unheard(damage: Damage) -> None:
    """Take no note of *damage*; whoever reads the lines does."""


def warn(damage: Damage) -> None:
    """Say *damage* as a :class:`DamagedLineWarning`."""
    import warnings  # noqa: PLC0415 - where there is damage

    warnings.warn(str(damage), DamagedLineWarning, stacklevel=3)


class Closing:
    """A context manager that closes itself."""

    def close(self) -> None:
        """Let go of what is open."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


class DamagedLineWarning(UserWarning):
    """A line could not be read; the others were."""


class UnknownSessionError(LookupError):
    """No file under the root belongs to the session."""


class StoreError(OSError):
    """A store cannot be read; the message is one line, without a password."""


class StoreUnavailableError(StoreError):
    """It cannot be read now, and may be later: nobody answers, or too much is asked at once."""


class UnsupportedError(StoreError):
    """A store of its kind has no such thing; the message names what has."""


class InvalidCursorError(ValueError):
    """A cursor is none, or what it stands in is gone."""
