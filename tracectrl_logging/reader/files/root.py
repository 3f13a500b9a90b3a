"""The sessions under a root, for readers: while files are renamed, and in little memory.

A listing may miss a file that is renamed meanwhile, under either name; then the next one is asked as
well. The status of many files is asked for by several processes.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import time
from array import array
from typing import TYPE_CHECKING

from tracectrl.files import listing
from tracectrl.files.listing import (
    StoredSession,
    is_by_others,
    joined,
    probed,
    scan_names,
    why_unread,
)
from tracectrl.files.names import (
    LIVE_SUFFIXES,
    OVERFLOW_STEM,
    parsed_suffix,
    root_dir,
    stem_of,
)
from tracectrl_logging.reader.model import Damage

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from tracectrl_logging.reader.model import Report

_STEMS = frozenset({OVERFLOW_STEM, stem_of(OVERFLOW_STEM)})

LISTINGS = 3
"""How often a root is listed that changes all the time."""

TICK_NS = 20_000_000
"""Two changes of a directory within one tick of the kernel's clock have one time."""

_SMALL_BYTES = 2 * 1024 * 1024
"""A directory of this size (not of what is in it) has some tens of thousands of names."""

_FEW = 2000
"""Among so few sessions it takes no time to ask for each file's status."""

_SLICE = 32
_ATTEMPTS = 10


class Listing:
    """The sessions under *root* as they were when it was listed.

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
        self.root = root_dir(root)
        self.sessions: list[StoredSession]
        """In no order."""
        with _without_collector():
            found, self._at_rest_ns, self.unread = _names(self.root)
            """The names of files that begin as a session's and end otherwise: nobody reads them."""
            self.sessions = [
                StoredSession(self.root, *item, at_rest_ns=self._at_rest_ns)
                for item in found.items()
            ]
            del found
            self.with_times = with_times or len(self.sessions) < _FEW
            if self.with_times:
                self._add_times(parallel=parallel and len(self.sessions) >= _FEW)

    def size_bytes(self) -> int:
        """Return how much there is to read."""
        return sum(session.size_bytes for session in self.sessions)

    def workers(self) -> int:
        """Return how many processes are worth their start to read all of it."""
        from tracectrl_logging.reader.files.workers import (  # noqa: PLC0415 - not for one session
            MUCH,
            workers_for,
        )

        return workers_for(self.size_bytes() if self.with_times else MUCH)

    def sort_by_id(self) -> None:
        """Put the sessions into the order of their IDs."""
        self.sessions.sort(key=listing.id_of)

    def is_at_rest(self) -> bool:
        """Tell whether no file was made, renamed or removed since the root was listed."""
        return self._at_rest_ns == os.stat(self.root).st_mtime_ns

    def _add_times(self, *, parallel: bool) -> None:
        """Find out about the times and sizes of the sessions' files."""
        from tracectrl_logging.reader.files.workers import (  # noqa: PLC0415 - not for one session
            MUCH,
            spread,
            workers_for,
        )

        sessions = self.sessions
        starts = range(0, len(sessions), _SLICE)
        at = 0

        def look_at(start: int) -> Iterator[array[int]]:
            yield array("q", _statuses(sessions[start : start + _SLICE]))

        for statuses in spread(look_at, starts, workers=workers_for(MUCH) if parallel else 1):
            for newest, size, plain in zip(*[iter(statuses)] * 3, strict=True):
                known = sessions[at]
                sessions[at] = StoredSession(
                    known.root, known.stem, known.suffixes, newest, size, plain, known.at_rest_ns
                )
                at += 1


def sessions_named(
    root: str, stems: Iterable[str], report: Report | None = None
) -> dict[str, StoredSession]:
    """Return the sessions whose files' stems are among *stems*, by one listing of *root*.

    *report* hears of files that begin as theirs and end otherwise.

    Raises:
        OSError: the root does not exist, is no directory or may not be listed.
    """
    starts = tuple(stem + live for stem in stems for live in LIVE_SUFFIXES)
    found, _, unread = _names(root, starts)
    if report is not None:
        tell_unread(root, unread, report)
    return {stem: StoredSession(root, stem, suffixes) for stem, suffixes in found.items()}


def session_named(root: str, stem: str) -> StoredSession | None:
    """Return the session whose files' stem is *stem*, ``None`` where there is none.

    For those who go through many. Under a root with many names each name that the session can have is
    asked for; in a small root a listing is as quick. Where other programs name backups, by dates for
    one, a large root is listed as well, as far as some thousand of its names show that.

    Raises:
        OSError: the root does not exist, is no directory or may not be listed.
    """
    status = os.stat(root)
    suffixes: tuple[str, ...] = ()
    if status.st_size > _SMALL_BYTES and not _is_by_others(root, status.st_mtime_ns):
        suffixes = probed(root, stem)
    if not suffixes:
        return sessions_named(root, [stem]).get(stem)
    return StoredSession(root, stem, suffixes)


def stems_for(sid: str) -> list[str]:
    """Return the stems that the files of the session *sid* may have; the first that is there is its own.

    An ID stands for a stem, too, where it is that of the file of many sessions, of the session that
    has this one's name for its ID, or of files that do not tell their ID.
    """
    is_stem = sid in _STEMS or sid.startswith("%~")
    return [sid, stem_of(sid)] if is_stem else [stem_of(sid)] if sid else []


def session_in_list(sid: str, stems: Container[str]) -> str:
    """Return the listed session to which a line of *sid* in the file of many counts.

    That is *sid* where it has files of its own, which are among *stems*, and else the rest, named
    :data:`~tracectrl.files.names.OVERFLOW_STEM`.
    """
    return sid if sid != OVERFLOW_STEM and stem_of(sid) in stems else OVERFLOW_STEM


def tell_unread(root: str, names: Iterable[str], report: Report) -> None:
    """Say of the files *names* under *root* that nobody reads them, and why."""
    for name in sorted(names):
        report(Damage(os.path.join(root, name), None, why_unread(name)))


def id_of(session: StoredSession, report: Report | None = None) -> str:
    """Return the ID of *session*, whose files may have been renamed since.

    Where no file holds the long ID that the name is a digest of, the stem stands for it, and
    *report* is told.
    """
    stem = session.stem
    sid = listing.id_of(session)
    if sid != stem or not stem.startswith("%~"):
        return sid
    now: StoredSession | None = session
    for _ in range(_ATTEMPTS):
        before, now = now, session_named(session.root, stem)
        if now is None or now == before:
            break
        sid = listing.id_of(now)
        if sid != stem:
            return sid
    if now is not None and report is not None:
        path = os.path.join(now.root, now.names[0].name)
        report(Damage(path, None, "holds no line with the session ID its name abbreviates"))
    return stem


@functools.lru_cache(maxsize=16)
def _is_by_others(root: str, mtime_ns: int) -> bool:
    """Do as :func:`is_by_others` says, once for each time of modification of *root*."""
    del mtime_ns
    return is_by_others(root)


def _names(
    root: str, starts: tuple[str, ...] = ("",)
) -> tuple[dict[str, tuple[str, ...]], int | None, list[str]]:
    """Return what :func:`scan_names` does of a root whose files may be renamed meanwhile.

    Returns:
        The names, the directory's time of modification where it was at rest, and the names of the
        files that begin as a session's and end otherwise.
    """
    found: dict[str, tuple[str, ...]] = {}
    for _ in range(LISTINGS):
        before_ns = os.stat(root).st_mtime_ns
        was_quiet = time.time_ns() - before_ns > TICK_NS
        unread: list[str] = []
        listed = scan_names(root, starts, unread)
        for stem, suffixes in found.items():
            now = listed.get(stem, ())
            if now != suffixes:
                for suffix in suffixes:
                    if suffix not in now:
                        now = joined(now, suffix)
                listed[stem] = now
        found = listed
        if was_quiet and os.stat(root).st_mtime_ns == before_ns:
            return found, before_ns, unread
    return found, None, unread


def _statuses(sessions: list[StoredSession]) -> Iterator[int]:
    """Yield three numbers for each of *sessions*: the newest time, all bytes, those not packed."""
    for session in sessions:
        start = f"{session.root}/{session.stem}"
        newest = size = plain = 0
        for suffix in session.suffixes:
            try:
                status = os.lstat(start + suffix)
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
