"""The store of files: sessions in a trace directory."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

from tracectrl.files import listing
from tracectrl.files.listing import StoredSession
from tracectrl.files.names import OVERFLOW_STEM, root_dir, stem_of
from tracectrl.files.presence import any_present
from tracectrl_logging.reader.files.lines import session_lines
from tracectrl_logging.reader.files.opening import is_being_written
from tracectrl_logging.reader.files.root import (
    Listing,
    id_of,
    session_named,
    sessions_named,
    stems_for,
    tell_unread,
)
from tracectrl_logging.reader.filters.selection import ALL
from tracectrl_logging.reader.model import UnknownSessionError, unheard, warn
from tracectrl_logging.reader.store import DEFAULT_COUNT, KINDS

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.files.following.tail import FileTail
    from tracectrl_logging.reader.files.overview import Known
    from tracectrl_logging.reader.files.workers import Step
    from tracectrl_logging.reader.filters.search import Count, Hit, Search
    from tracectrl_logging.reader.filters.selection import Selection
    from tracectrl_logging.reader.filters.sessions import SessionQuery
    from tracectrl_logging.reader.model import Damage, Line, Report, SessionSummary
    from tracectrl_logging.reader.sql import Rows
    from tracectrl_logging.reader.store import OnProgress, OnStart, Params

_KINDS: tuple[Kind, ...] = ("span", "log")  # at equal times in this order


class FileStore:
    """Sessions in a directory of files.

    The arguments are those of :func:`tracectrl_logging.reader.open_store`.

    New sessions past a limit have their lines in one file together. A session's own lines among them
    are found where that session is asked for, and count to it where it has files, too. The others
    count as one session, named :data:`~tracectrl.files.names.OVERFLOW_STEM`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        on_damage: Report | None = None,
        on_progress: OnProgress | None = None,
        parallel: bool = False,
    ) -> None:
        self.directory = root_dir(root)
        self._report = on_damage or warn
        self._on_progress = on_progress
        self._parallel = parallel
        self._reported: set[Damage] = set()
        self._known: Known | None = None

    @property
    def name(self) -> str:
        """The directory."""
        return self.directory

    def ids(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
        """Yield IDs as :meth:`Store.ids` says; of many names the first are looked at first."""
        return itertools.islice(self._ids(prefix), limit)

    def sessions(self, query: SessionQuery, *, at_once: bool = False) -> Iterable[SessionSummary]:
        """Return what :meth:`Store.sessions` says; of many the latest few without reading all."""
        from tracectrl_logging.reader.files.overview import Known, overview  # noqa: PLC0415 - this alone

        known = self._known  # for whoever asks again
        if known is None:
            self._known = Known()
        listed = Listing(self.directory, parallel=self._parallel)
        tell_unread(self.directory, listed.unread, self._report)
        step = self._step(len(listed.sessions))
        found = overview(
            listed,
            query,
            self._report,
            step=step,
            parallel=self._parallel,
            known=known,
            at_once=at_once,
        )
        return query.in_order(found)

    def is_running(self, sid: str, owners: Collection[str | None] = ()) -> bool:
        """Return what :meth:`Store.is_running` says."""
        if any_present(self.directory, owners):
            return True
        own = (found for found in self.files_of(sid) if found.stem != OVERFLOW_STEM)
        return any(map(is_being_written, own))

    def read(self, sid: str, selection: Selection = ALL) -> Iterator[Line]:
        """Return lines as :meth:`Store.read` says."""
        from tracectrl_logging.reader.timeline.order import in_time_order, merge  # noqa: PLC0415

        several = self.files_of(sid)
        is_own = several[0].stem in (OVERFLOW_STEM, stem_of(sid))
        own = sid if is_own else id_of(several[0], self._report)

        def of_kind(kind: Kind) -> Iterator[Line]:
            test = selection.predicate(kind)
            wanted = None if test is None else lambda _, row: test(row)
            return in_time_order(session_lines(several, kind, own, self._report, wanted))

        return merge([of_kind(kind) for kind in _KINDS])

    def search(self, search: Search, sids: Collection[str] = ()) -> Iterator[Hit | Count]:
        """Return results as :meth:`Store.search` says; files that cannot match are not parsed."""
        from tracectrl_logging.reader.files.search import (  # noqa: PLC0415 - this alone
            search_all,
            search_session,
        )

        if sids:
            meant = {sid: self.files_of(sid) for sid in sorted(sids)}
            return itertools.chain.from_iterable(
                search_session(search, files, sid, self._report) for sid, files in meant.items()
            )
        with_times = search.selection.since is not None
        listed = Listing(self.directory, with_times=with_times, parallel=self._parallel)
        tell_unread(self.directory, listed.unread, self._report)
        step = self._step(len(listed.sessions))
        return search_all(search, listed, self._report, step=step, parallel=self._parallel)

    def tail(
        self,
        sids: Collection[str] = (),
        selection: Selection = ALL,
        *,
        kinds: Sequence[Kind] = KINDS,
        count: int | None = DEFAULT_COUNT,
        after: str | None = None,
        complete: bool = True,
    ) -> FileTail:
        """Return the end of sessions as :meth:`Store.tail` says."""
        from tracectrl_logging.reader.files.following.tail import FileTail  # noqa: PLC0415 - this alone

        self._tell_unread(sids)
        return FileTail(
            self.directory,
            sids,
            selection,
            self._report,
            kinds=kinds,
            count=count,
            after=after,
            complete=complete,
        )

    def query(
        self,
        sql: str,
        *,
        params: Params = None,
        memory_mb: int = 100,
        timeout_s: float | None = None,
        on_start: OnStart | None = None,
    ) -> Rows:
        """Return the rows as :meth:`Store.query` says, by DuckDB."""
        from tracectrl_logging.reader import sql as database  # noqa: PLC0415 - an extra

        return database.query(
            sql,
            self.directory,
            params=params,
            memory_mb=memory_mb,
            timeout_s=timeout_s,
            on_start=on_start,
            on_damage=self._report,
        )

    def query_to_parquet(
        self, sql: str, path: str, *, params: Params = None, memory_mb: int = 100
    ) -> int:
        """Write the rows as :meth:`Store.query_to_parquet` says, by DuckDB."""
        from tracectrl_logging.reader import sql as database  # noqa: PLC0415 - an extra

        return database.save_parquet(
            sql, path, self.directory, params=params, memory_mb=memory_mb, on_damage=self._report
        )

    def files_of(self, sid: str) -> tuple[StoredSession, ...]:
        """Return where the lines of the session *sid* are: its files, the file of many sessions.

        Raises:
            UnknownSessionError: there are none.
            OSError: the directory does not exist, is none or may not be listed.
        """
        stems = stems_for(sid)
        found = sessions_named(self.directory, [*stems, OVERFLOW_STEM], self._report_once)
        shared = found.get(OVERFLOW_STEM)
        own = next((found[stem] for stem in stems if stem in found), None)
        if own is not None:
            return (own,) if shared is None or own is shared else (own, shared)
        if shared is not None and self._is_in(shared, sid):
            return (shared,)
        raise UnknownSessionError(sid)

    def _report_once(self, damage: Damage) -> None:
        """Report that a file is not read, the first time that this store meets it."""
        if damage not in self._reported:
            self._reported.add(damage)
            self._report(damage)

    def _tell_unread(self, sids: Collection[str]) -> None:
        """Report the files that nobody reads, of the sessions *sids* or of all."""
        with contextlib.suppress(OSError):  # there may be no directory yet
            if sids:
                sessions_named(self.directory, map(stem_of, sids), self._report_once)
            else:
                unread: list[str] = []
                listing.scan_names(self.directory, unread=unread)
                tell_unread(self.directory, unread, self._report_once)

    def _named(self, stem: str) -> StoredSession | None:
        return session_named(self.directory, stem)

    def _is_in(self, shared: StoredSession, sid: str) -> bool:
        """Tell whether a line of the session *sid* is in the file of many sessions."""
        return any(
            next(session_lines((shared,), kind, sid, unheard), None) is not None for kind in _KINDS
        )

    def _ids(self, prefix: str) -> Iterator[str]:
        seen: set[str] = set()
        if prefix and self._named(stem_of(prefix)) is not None:
            seen.add(prefix)
            yield prefix
        stems: set[str] = set()
        for stem in listing.stems(self.directory):
            if stem in stems:
                continue
            stems.add(stem)
            sid = self._id_of_stem(stem)
            if sid.startswith(prefix) and sid not in seen:
                seen.add(sid)
                yield sid
        if OVERFLOW_STEM in stems:
            yield from self._ids_in_shared(prefix, seen)

    def _ids_in_shared(self, prefix: str, seen: set[str]) -> Iterator[str]:
        shared = self._named(OVERFLOW_STEM)
        for kind in _KINDS if shared is not None else ():
            for line in session_lines((shared,), kind, None, unheard):  # type: ignore[arg-type]
                sid = line.session_id
                if sid.startswith(prefix) and sid not in seen:
                    seen.add(sid)
                    yield sid

    def _id_of_stem(self, stem: str) -> str:
        found = self._named(stem) if stem.startswith("%~") else None
        return listing.id_of(found or StoredSession(self.directory, stem, ()))

    def _step(self, total: int) -> Step | None:
        on_progress = self._on_progress
        if on_progress is None:
            return None
        return lambda steps: on_progress(steps, total)
