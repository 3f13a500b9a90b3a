"""Following sessions, wherever they lie: as an iterator that waits, and in rounds that do not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tracectrl_logging.reader import open_store
from tracectrl_logging.reader.filters.selection import ALL
from tracectrl_logging.reader.model import Closing
from tracectrl_logging.reader.store import DEFAULT_COUNT

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from typing_extensions import Self

    from tracectrl_logging.reader.filters.selection import Selection
    from tracectrl_logging.reader.model import Line, Report
    from tracectrl_logging.reader.store import Tail


class Follower(Closing):
    """Gives what is written to sessions in rounds, and never waits.

    Use :meth:`begin` once, then :meth:`poll` again and again. It is a context manager that closes
    what is open. The arguments are those of :func:`tracectrl_logging.reader.follow`; with *after*
    there is nothing to begin with.

    Raises:
        InvalidCursorError: *after* is no cursor, or lines that came after it may be gone.
    """

    def __init__(
        self,
        *sids: str,
        root: str | os.PathLike[str] | None = None,
        selection: Selection | None = None,
        after: str | None = None,
        on_damage: Report | None = None,
    ) -> None:
        self._store = open_store(root, on_damage=on_damage)
        self._sids = sids
        self._selection = ALL if selection is None else selection
        self._tail: Tail | None = None
        if after is not None:
            self._tail = self._store.tail(sids, self._selection, after=after)

    def begin(self, count: int | None = DEFAULT_COUNT, *, complete: bool = True) -> Iterator[Line]:
        """Return the last *count* lines until now as an iterator; :meth:`poll` gives those after.

        Args:
            count: how many; ``None`` for all.
            complete: leave a last line whose newline is not there yet to :meth:`poll`.

        Raises:
            OSError: the root is no directory or may not be listed.
            ValueError: *count* is negative.
        """
        return self._begun(count, complete=complete).last()

    def poll(self) -> list[Line]:
        """Return what has come, in time order, a span where it ends."""
        return self._begun().poll()

    @property
    def cursor(self) -> str:
        """Where it stands: behind all that :meth:`begin` and :meth:`poll` have returned.

        As *after*, also in another process, it is where to go on.
        """
        return self._begun().cursor

    def cursor_after(self, count: int) -> str:
        """Return where it stands behind the first *count* lines that :meth:`poll` returned last.

        *count* is not less than in the call before.
        """
        return self._begun().cursor_after(count)

    def pause_s(self, poll_s: float) -> float:
        """Return how many seconds to wait before the next :meth:`poll`: *poll_s* where it is quiet."""
        return self._begun().pause_s(poll_s)

    def close(self) -> None:
        """Close what is open."""
        if self._tail is not None:
            self._tail.close()

    def _begun(self, count: int | None = 0, *, complete: bool = True) -> Tail:
        if self._tail is None:
            tail = self._store.tail(self._sids, self._selection, count=count, complete=complete)
            self._tail = tail
        return self._tail


class Following(Closing):
    """Yields the last lines of sessions, then those that come, and waits for them; never ends.

    :func:`tracectrl_logging.reader.follow` returns one.
    """

    def __init__(self, tail: Tail, poll_s: float) -> None:
        self._tail = tail
        self._poll_s = poll_s
        self._last: Iterator[Line] | None = tail.last()
        self._lines: list[Line] = []
        self._count = 0
        self._is_polled = False
        self._is_closed = False

    def __iter__(self) -> Self:
        """Return it."""
        return self

    def __next__(self) -> Line:
        """Return the next line, when it is there."""
        if self._is_closed:
            raise StopIteration
        if self._last is not None:
            line = next(self._last, None)
            if line is not None:
                return line
            self._last = None
        while self._count >= len(self._lines):
            if self._is_polled:
                time.sleep(self._tail.pause_s(self._poll_s))
            self._is_polled = True
            self._lines, self._count = self._tail.poll(), 0
        self._count += 1
        return self._lines[self._count - 1]

    @property
    def cursor(self) -> str:
        """Where it stands: behind the line that was given last, or where what comes begins."""
        return self._tail.cursor_after(self._count)

    def close(self) -> None:
        """Close what is open; no line comes any more."""
        self._is_closed = True
        self._tail.close()
