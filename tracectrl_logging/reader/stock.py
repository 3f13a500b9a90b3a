"""All sessions under a root, in little memory."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from typing import TYPE_CHECKING

from tracectrl.files.names import OVERFLOW_STEM, id_of_stem, root_path
from tracectrl.files.stored import StoredSession, scan, scan_names, sid_of
from tracectrl_logging.reader.listing import LISTINGS, TICK_NS, SessionFiles
from tracectrl_logging.reader.workers import MUCH, workers_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tracectrl_logging.reader.overflow import Overflow

_FEW = 2000
"""Among so few sessions it takes no time to ask for each file's status."""


class Stock:
    """The sessions under *root* as they were when it was listed.

    A listing may miss a file that is renamed meanwhile, under either name; then the next one is
    asked as well.

    Args:
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        with_times: find out about the files' times and sizes. Under a large root these are 0
            otherwise.

    Raises:
        OSError: the root does not exist, is no directory or may not be listed.
    """

    def __init__(
        self, root: str | os.PathLike[str] | None = None, *, with_times: bool = True
    ) -> None:
        self.root = os.fspath(root_path(root))
        self.with_times = with_times
        self.sessions: list[StoredSession]
        """In no order."""
        self.overflow: Overflow | None = None
        """Where more lines of sessions are, among those of others."""
        self._at_rest_ns: int | None = None
        with _without_collector():
            found = {} if with_times else self._listed(scan_names)
            if len(found) < _FEW:
                self.with_times = True
                found = self._listed(lambda root: scan(root).sessions)
        shared = found.pop(OVERFLOW_STEM, None)
        if shared is not None:
            self._add_overflow(shared, found)
        self.sessions = list(found.values())

    def files(self, session: StoredSession) -> SessionFiles:
        """Return the names of the files of *session*."""
        overflow = self.overflow
        if overflow is not None and session.stem not in overflow.stems:
            overflow = None
        return SessionFiles(self.root, session.stem, session.suffixes, overflow)

    def size_bytes(self) -> int:
        """Return how much there is to read."""
        return sum(session.size_bytes for session in self.sessions)

    def workers(self) -> int:
        """Return how many processes are worth their start to read all of it."""
        return workers_for(self.size_bytes() if self.with_times else MUCH)

    def id_of(self, session: StoredSession) -> str:
        """Return the ID of *session*, or the stem that stands for it."""
        if self.overflow is not None and session.stem in self.overflow.stems:
            return self.overflow.id_of(session.stem) or session.stem
        return id_of_stem(session.stem) or sid_of(self.root, session) or session.stem

    def sort_by_id(self) -> None:
        """Put the sessions into the order of their IDs."""
        self.sessions.sort(key=self.id_of)

    def is_at_rest(self) -> bool:
        """Tell whether no file was made, renamed or removed since the root was listed."""
        return self._at_rest_ns == os.stat(self.root).st_mtime_ns

    def _listed(self, scan: Callable[[str], list[StoredSession]]) -> dict[str, StoredSession]:
        found: dict[str, StoredSession] = {}
        for _ in range(LISTINGS):
            before_ns = os.stat(self.root).st_mtime_ns
            was_quiet = time.time_ns() - before_ns > TICK_NS
            listed = scan(self.root)
            while listed:
                session = listed.pop()
                known = found.get(session.stem)
                found[session.stem] = session if known is None else _both(known, session)
            if was_quiet and os.stat(self.root).st_mtime_ns == before_ns:
                self._at_rest_ns = before_ns
                break
        return found

    def _add_overflow(self, shared: StoredSession, found: dict[str, StoredSession]) -> None:
        # Only where there is such a file.
        from tracectrl_logging.reader.overflow import Overflow  # noqa: PLC0415

        self.overflow = Overflow(SessionFiles(self.root, OVERFLOW_STEM, shared.suffixes))
        for stem in self.overflow.stems:
            last_ns = shared.last_write_ns
            known = found.get(stem, StoredSession(stem, (), last_ns, 0, 0))
            found[stem] = known._replace(last_write_ns=max(known.last_write_ns, last_ns))


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the garbage collector from going through a hundred thousand new tuples again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _both(first: StoredSession, second: StoredSession) -> StoredSession:
    """Return what two listings say of one session."""
    if first == second:
        return first
    more = tuple(suffix for suffix in second.suffixes if suffix not in first.suffixes)
    return StoredSession(
        first.stem,
        first.suffixes + more,
        max(first.last_write_ns, second.last_write_ns),
        max(first.size_bytes, second.size_bytes),
        max(first.plain_bytes, second.plain_bytes),
    )
