"""The file that took the lines of new sessions past a limit, sorted by session.

It is read once; what is kept in memory is where the lines of each session are. Each line carries
its own session ID; one without is of ``unknown``.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from array import array
from typing import TYPE_CHECKING, Any

from tracectrl._json import encode_line
from tracectrl.files.names import parse_name, stem_of
from tracectrl_logging.reader.files.lines import OTLP_KEY, parse, rows, spans_of
from tracectrl_logging.reader.files.opening import UNREADABLE, OpenFile, close_all, open_chain
from tracectrl_logging.reader.model import Damage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracectrl_logging.reader.files.listing import SessionFiles
    from tracectrl_logging.reader.model import Kind, Report

_UNKNOWN = "unknown"
_CHUNK_BYTES = 128 * 1024
_FIELDS = 4  # the number of the file, where in it the line starts and ends, the line's number


class Overflow:
    """Where in the files *found* the lines of each session are, as they were just now."""

    def __init__(self, found: SessionFiles) -> None:
        self._places: dict[Kind, dict[str, array[int]]] = {"log": {}, "span": {}}
        self._paths: list[str] = []
        self._fds: list[int] = []
        self._stems: dict[str, str] = {}
        self._damages: list[Damage] = []
        for kind in self._places:
            files = open_chain(found, kind, self._damages.append)
            try:
                for file in files:
                    self._add(kind, file)
            finally:
                close_all(files)
        self.stems = frozenset(self._stems.values())
        """The stems of the sessions that have lines here."""
        self._ids = {stem: sid for sid, stem in self._stems.items() if stem != sid}

    def __del__(self) -> None:
        for fd in self._fds:
            with contextlib.suppress(OSError):
                os.close(fd)

    def id_of(self, stem: str) -> str | None:
        """Return the ID of the session that has lines here under *stem*, ``None`` for none."""
        return self._ids.get(stem, stem if stem in self._stems else None)

    def sources(
        self, stem: str, kind: Kind, report: Report
    ) -> Iterator[tuple[str, Iterator[tuple[int, bytes, dict[str, Any]]]]]:
        """Yield the paths of the files, and from each the lines of one session.

        *report* hears of the damaged lines, once.
        """
        while self._damages:
            report(self._damages.pop(0))
        places = self._places[kind].get(stem, array("Q"))
        for place, path in enumerate(self._paths):
            here = [
                places[at + 1 : at + _FIELDS]
                for at in range(0, len(places), _FIELDS)
                if places[at] == place
            ]
            if here:
                yield path, self._rows(place, here, stem, kind)

    def _rows(
        self, place: int, lines: list[array[int]], stem: str, kind: Kind
    ) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
        for start, end, number in lines:
            # Damaged lines before it may be there as well.
            data = os.pread(self._fds[place], end - start, start).rstrip(b"\n")
            try:
                row, raw = parse(data.rpartition(b"\n")[2])
            except ValueError:  # somebody has changed the file since
                continue
            if kind == "span" and OTLP_KEY in row:
                for span in spans_of(self._paths[place], number, row, _UNKNOWN, _ignored):
                    if self._stem(span["session_id"]) == stem:
                        yield number, encode_line(span)[:-1], span
            else:
                yield number, raw, row

    def _add(self, kind: Kind, file: OpenFile) -> None:
        with self._kept(file) as kept:
            place = len(self._fds)
            self._paths.append(file.path)
            self._fds.append(os.dup(kept.stream.fileno()))
            start = 0
            for number, _, row in rows(kept, self._damages.append):
                end = kept.stream.tell()
                for stem in self._stems_in(kind, row, file.path, number):
                    places = self._places[kind].setdefault(stem, array("Q"))
                    places.extend((place, start, end, number))
                start = end

    def _stems_in(self, kind: Kind, row: dict[str, Any], path: str, number: int) -> set[str]:
        if kind == "span" and OTLP_KEY in row:
            spans = spans_of(path, number, row, _UNKNOWN, self._damages.append)
            return {self._stem(span["session_id"]) for span in spans}
        return {self._stem(row.get("session_id"))}

    def _stem(self, sid: object) -> str:
        if not isinstance(sid, str) or not sid:
            sid = _UNKNOWN
        stem = self._stems.get(sid)
        if stem is None:
            stem = self._stems[sid] = stem_of(sid)
        return stem

    @contextlib.contextmanager
    def _kept(self, file: OpenFile) -> Iterator[OpenFile]:
        """Return *file* as one whose lines can be read again from where they are."""
        parsed = parse_name(file.path)
        if parsed is None or parsed.packed is None:
            yield file
            return
        with tempfile.TemporaryFile(prefix="tracectrl-logs-") as spooled:
            try:
                while chunk := file.stream.read1(_CHUNK_BYTES):  # type: ignore[attr-defined]
                    spooled.write(chunk)
            except UNREADABLE as error:
                reason = f"the file cannot be read from here on: {error}"
                self._damages.append(Damage(file.path, None, reason))
            spooled.seek(0)
            yield OpenFile(file.path, spooled)


def _ignored(damage: Damage) -> None:
    """Take no note of *damage*, which was reported before."""
