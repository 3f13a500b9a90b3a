"""All sessions under a root, in little memory."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from array import array
from typing import TYPE_CHECKING

from tracectrl.files.names import OVERFLOW_STEM, id_of_stem, root_path
from tracectrl.files.stored import StoredSession, parsed_suffix, scan_names, sid_of
from tracectrl_logging.reader.files.listing import LISTINGS, TICK_NS, SessionFiles
from tracectrl_logging.reader.files.workers import MUCH, spread, workers_for

if TYPE_CHECKING:
    from collections.abc import Iterator

_FEW = 2000
"""Among so few sessions it takes no time to ask for each file's status."""

_SLICE = 32


class Stock:
    """The sessions under *root* as they were when it was listed.

    A listing may miss a file that is renamed meanwhile, under either name; then the next one is
    asked as well.

    Args:
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        with_times: find out about the files' times and sizes. Under a large root these are 0
            otherwise.
        parallel: processes may be forked for it.

    Raises:
        OSError: the root does not exist, is no directory or may not be listed.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        with_times: bool = True,
        parallel: bool = False,
    ) -> None:
        self.root = os.fspath(root_path(root))
        self.sessions: list[StoredSession] = []
        """In no order."""
        self._at_rest_ns: int | None = None
        with _without_collector():
            found = self._listed()
            self.with_times = with_times or len(found) < _FEW
            stems = list(found.items())
            del found
            workers = workers_for(MUCH) if parallel and len(stems) >= _FEW else 1
            self._add_all(stems, workers)

    def files(self, session: StoredSession) -> SessionFiles:
        """Return the names of the files of *session*."""
        return SessionFiles(self.root, session.stem, session.suffixes)

    def size_bytes(self) -> int:
        """Return how much there is to read."""
        return sum(session.size_bytes for session in self.sessions)

    def workers(self) -> int:
        """Return how many processes are worth their start to read all of it."""
        return workers_for(self.size_bytes() if self.with_times else MUCH)

    def id_of(self, session: StoredSession) -> str:
        """Return the ID of *session*, or the stem that stands for it."""
        if session.stem == OVERFLOW_STEM:
            return OVERFLOW_STEM
        return id_of_stem(session.stem) or sid_of(self.root, session) or session.stem

    def sort_by_id(self) -> None:
        """Put the sessions into the order of their IDs."""
        self.sessions.sort(key=self.id_of)

    def is_at_rest(self) -> bool:
        """Tell whether no file was made, renamed or removed since the root was listed."""
        return self._at_rest_ns == os.stat(self.root).st_mtime_ns

    def _listed(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for _ in range(LISTINGS):
            before_ns = os.stat(self.root).st_mtime_ns
            was_quiet = time.time_ns() - before_ns > TICK_NS
            listed = scan_names(self.root)
            for stem, suffixes in found.items():
                now = listed.get(stem, ())
                if now != suffixes:
                    more = tuple(suffix for suffix in suffixes if suffix not in now)
                    listed[stem] = now + more
            found = listed
            if was_quiet and os.stat(self.root).st_mtime_ns == before_ns:
                self._at_rest_ns = before_ns
                break
        return found

    def _add_all(self, stems: list[tuple[str, tuple[str, ...]]], workers: int) -> None:
        """Add a session for each of *stems*."""
        if not self.with_times:
            self.sessions.extend(StoredSession(*item, 0, 0, 0) for item in stems)
            return
        parts = range(0, len(stems), _SLICE)
        at = 0

        def look_at(start: int) -> Iterator[array[int]]:
            yield array("q", self._statuses(stems[start : start + _SLICE]))

        for statuses in spread(look_at, parts, workers=workers):
            for last_write_ns, size, plain in zip(*[iter(statuses)] * 3, strict=True):
                self.sessions.append(StoredSession(*stems[at], last_write_ns, size, plain))
                at += 1

    def _statuses(self, stems: list[tuple[str, tuple[str, ...]]]) -> Iterator[int]:
        """Yield three numbers for each of *stems*: the newest time, all bytes, those not packed."""
        for stem, suffixes in stems:
            newest = size = plain = 0
            for suffix in suffixes:
                try:
                    status = os.lstat(f"{self.root}/{stem}{suffix}")
                except OSError:  # renamed since, or removed
                    newest = max(newest, time.time_ns())
                    continue
                newest = max(newest, status.st_mtime_ns)
                size += status.st_size
                if parsed_suffix(suffix).packed is None:
                    plain += status.st_size
            yield newest
            yield size
            yield plain


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
