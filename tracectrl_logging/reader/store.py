"""Where sessions are read from: a directory, or whatever else answers the same questions.

The commands, the public functions of :mod:`tracectrl_logging.reader` and whoever shows sessions know
this module, the questions (:mod:`tracectrl_logging.reader.filters`) and the answers
(:mod:`tracectrl_logging.reader.model`); none of them knows where a session lies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Any, TypeAlias

    from typing_extensions import Self

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.filters.search import Count, Hit, Search
    from tracectrl_logging.reader.filters.selection import Selection
    from tracectrl_logging.reader.filters.sessions import SessionQuery
    from tracectrl_logging.reader.model import Line, SessionSummary
    from tracectrl_logging.reader.sql import Rows

    Params: TypeAlias = Sequence[Any] | Mapping[str, Any] | None
    OnProgress: TypeAlias = Callable[[int, int | None], object]
    OnStart: TypeAlias = Callable[[Callable[[], None]], object]

DEFAULT_COUNT = 10
"""How many lines of what was before :meth:`Store.tail` gives."""

KINDS: Sequence[Kind] = ("log", "span")
"""All kinds of lines."""


class Store(Protocol):
    """Where sessions are read from.

    What can be long is an iterator, and memory is bounded. Damaged lines never hide the others; a
    store reports them to whoever opened it.
    """

    @property
    def name(self) -> str:
        """What people call it: a directory, or an address without a password."""

    def ids(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
        """Yield the IDs of sessions that start with *prefix*, in no order, each once.

        The one that is *prefix* itself comes first. *limit* is how many at most.
        """

    def sessions(self, query: SessionQuery, *, at_once: bool = False) -> Iterable[SessionSummary]:
        """Return the sessions that *query* means, in its order and up to its limit.

        *at_once* is for somebody who waits, and is told better later: where it takes long to find
        them among many, some that are meant, the latest most likely.

        Raises:
            OSError: the store cannot be read.
        """

    def is_running(self, sid: str, owners: Collection[str | None] = ()) -> bool:
        """Tell whether a process is in the session *sid*.

        That is one that has its files open for writing, or, where its lines name *owners* of spans or
        blocks that have not ended, one of these.

        Raises:
            UnknownSessionError: there is no such session.
            OSError: the store cannot be read.
        """

    def read(self, sid: str, selection: Selection = ...) -> Iterator[Line]:
        """Return the lines of the session *sid* that *selection* means, as an iterator.

        They are in the order of their times: a span where it starts, before log lines of the same
        microsecond; lines of one kind and time in the order of writing.

        Raises:
            UnknownSessionError: there is no such session.
            OSError: the store cannot be read.
        """

    def search(self, search: Search, sids: Collection[str] = ()) -> Iterator[Hit | Count]:
        """Return what *search* finds, by the IDs of sessions, in each in the order of writing.

        *sids* are the sessions to search; none for all. Where the search counts, there is one
        :class:`~tracectrl_logging.reader.filters.search.Count` for each session with a match.

        Raises:
            UnknownSessionError: one of *sids* is no session.
            OSError: the store cannot be read.
        """

    def tail(
        self,
        sids: Collection[str] = (),
        selection: Selection = ...,
        *,
        kinds: Sequence[Kind] = KINDS,
        count: int | None = DEFAULT_COUNT,
        after: str | None = None,
        complete: bool = True,
    ) -> Tail:
        """Return the last lines of sessions, and a way to those that come.

        Args:
            sids: the sessions; none for all, also those that begin later. They need not exist yet.
            selection: which lines are meant.
            kinds: log lines, spans, or both.
            count: how many of the lines that are there; ``None`` for all.
            after: a :attr:`Tail.cursor`: then :meth:`Tail.last` has nothing, and :meth:`Tail.poll`
                gives all that came after it. It is one of these sessions and kinds; the selection
                may be another. The empty one stands before all lines.
            complete: leave a last line whose newline is not there yet to :meth:`Tail.poll`.

        Raises:
            InvalidCursorError: *after* is no cursor, or lines that came after it may be gone.
            ValueError: *count* is negative.
            OSError: the store cannot be read.
        """

    def query(
        self,
        sql: str,
        *,
        params: Params = None,
        memory_mb: int = ...,
        timeout_s: float | None = None,
        on_start: OnStart | None = None,
    ) -> Rows:
        """Run *sql* over the views ``logs``, ``spans`` and ``sessions``; return the rows, streamed.

        *params* are the values of its parameters; *timeout_s* is how many seconds it may take, the
        reading of its rows included. *on_start* is called with what ends the query, from any thread.

        Raises:
            QueryError: the SQL is wrong, or needs more memory or time.
            OSError: the store cannot be read.
        """

    def query_to_parquet(
        self, sql: str, path: str, *, params: Params = None, memory_mb: int = ...
    ) -> int:
        """Run *sql* as :meth:`query` does, into the Parquet file at *path*; return how many rows it has.

        Raises:
            QueryError: as :meth:`query`.
            OSError: the store cannot be read, or the file not be written.
        """


class Tail(Protocol):
    """The end of sessions: what is there, and what comes. A context manager that closes it."""

    def last(self) -> Iterator[Line]:
        """Return the last lines that were there, in time order, as an iterator; once."""

    def poll(self) -> list[Line]:
        """Return what has come since, in time order, a span where it ends. It never waits.

        A span that stays open has a line for that before; both are returned, the end last.

        Each line comes once, a moment after it was written: so that what was written before, and is
        read later, comes before it.
        """

    @property
    def cursor(self) -> str:
        """Where it stands: behind all that :meth:`last` and :meth:`poll` have returned.

        Letters, digits and ``.-_`` alone. A tail that begins after it, also in another process and
        much later, gives what has come since: no line twice, and none left out.
        """

    def cursor_after(self, count: int) -> str:
        """Return where it stands behind the first *count* lines that :meth:`poll` returned last.

        *count* is not less than in the call before. Whoever sends each line with a cursor of its own
        asks so; once in a while, :attr:`cursor` takes less.
        """

    def pause_s(self, poll_s: float) -> float:
        """Return how many seconds to wait before the next :meth:`poll`: *poll_s* where it is quiet."""

    @property
    def is_behind(self) -> bool:
        """Whether there was more to read than the last :meth:`poll` could read in a moment."""

    @property
    def is_rewritten(self) -> bool:
        """Whether lines that were handed out are gone, and others are in their place: not by rotation."""

    def close(self) -> None:
        """Let go of what is open."""

    def __enter__(self) -> Self:
        """Return it."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
