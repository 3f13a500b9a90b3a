"""The end of sessions in a directory of files: what is there, and what comes, merged by time.

Each file is read in rounds, one after the other, so a process's second line may be read before its
first, which is in another file. So what is read waits for a moment, and then goes in the order of
time, together with what has come meanwhile and is not later. The module is long: what waits, what has gone out
and where a cursor stands are one state.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import time
from collections import Counter, deque
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from tracectrl._json import timestamp_ns
from tracectrl._time import ns_of, time_of
from tracectrl.files.names import LOG_SUFFIX, OVERFLOW_STEM
from tracectrl.schema import TIME_KEY, UNKNOWN
from tracectrl_logging.reader.files.following.content import ALL, Content, Stored
from tracectrl_logging.reader.files.following.contents import Contents
from tracectrl_logging.reader.files.following.cursor import positions_of, text_of
from tracectrl_logging.reader.files.following.last_lines import (
    Backlog,
    MovedError,
    Wanted,
    damaged_lines,
    parse_whole,
    sid_of,
)
from tracectrl_logging.reader.files.lines import flat, session_of
from tracectrl_logging.reader.files.root import sessions_named, stems_for
from tracectrl_logging.reader.model import Closing, Damage, InvalidCursorError, Line, unheard
from tracectrl_logging.reader.parsing import row_of
from tracectrl_logging.reader.timeline.open_spans import end_of, is_open, is_unsettled

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.files.following.content import File
    from tracectrl_logging.reader.files.following.contents import Chain, Key
    from tracectrl_logging.reader.files.following.cursor import Position
    from tracectrl_logging.reader.filters.selection import Selection
    from tracectrl_logging.reader.model import Report

WINDOW_S = 0.25
"""How long a line waits for those that were written before."""

_ATTEMPTS = 10
# What a round takes where there is much to read, after it has looked everywhere: the first ones give what
# there is soon, and what one reads is bounded, for it waits in memory for a reader that is slow. So is what
# is held back for lines that are late, while there is more to read.
_FIRST_ROUND_S = 0.025
_ROUND_S = 0.1
_ROUND_BYTES = 512 * 1024
_MOST_HELD_BYTES = 256 * 1024
_BLOCK_BYTES = 32 * 1024
_BEFORE_BYTES = 64 * 1024
_LONG_BYTES = 1024 * 1024
_LEAST_PAUSE_S = 0.01
# A line that is earlier than the one before was on its way, where it is by so little, or where both
# are of this minute, perhaps through a queue; else a clock was set, or somebody writes as he likes.
_LATE_NS = 2_000_000_000
_LIVE_NS = 60_000_000_000
_AHEAD_NS = 50_000_000
_NEVER = "~"  # later than all times
_NO_ROW: dict[str, Any] = {}
_key = attrgetter("key")


class FileTail(Closing):
    """The end of sessions in *directory*, as :class:`~tracectrl_logging.reader.Tail`.

    Args:
        directory: the root.
        sids: the sessions; none for all.
        selection: which lines are meant.
        report: called for each line or file that cannot be read.
        kinds: log lines, spans, or both.
        count: how many of the lines that are there; ``None`` for all.
        after: a cursor, behind which it begins, or ``""`` for the start; *count* is not asked for then.
        complete: leave a last line whose newline is not there yet to :meth:`poll`.

    Raises:
        InvalidCursorError: *after* is no cursor, or what it stands in is gone.
        ValueError: *count* is negative.
        OSError: the directory is there, but cannot be listed.
    """

    def __init__(
        self,
        directory: str,
        sids: Collection[str],
        selection: Selection,
        report: Report,
        *,
        kinds: Sequence[Kind] = ("log", "span"),
        count: int | None,
        after: str | None = None,
        complete: bool = True,
    ) -> None:
        if count is not None and count < 0:
            msg = f"count must be 0 or more lines, or None for all, got {count!r}"
            raise ValueError(msg)
        self._directory = os.path.abspath(directory)
        self._kinds = kinds
        predicates = {kind: selection.predicate(kind) for kind in kinds}
        self._wanted = Wanted(predicates, _stems(directory, sids) if sids else None)
        self._report = report
        self._damaged: Counter[str] = Counter()
        self._pending: list[Stored] = []
        self._given: deque[Stored] = deque()
        self._marked = 0
        self._round = 0
        self._round_ns = 0
        self._undrained = 0
        self._has_read = False
        self._live = ("", "")
        self._contents = self._new_contents()
        self._last: Iterator[Line] = iter(())
        if after is not None:
            self._resume(positions_of(after) if after else {})
        else:
            self._last = self._begin(count, complete=complete)

    def last(self) -> Iterator[Line]:
        """Return the last lines."""
        return self._last

    def poll(self) -> list[Line]:
        """Return what has come and has waited for long enough, in time order."""
        self._mark_given(None)
        self._round += 1
        self._round_ns = now_ns = time.time_ns()
        self._live = timestamp_ns(now_ns - _LIVE_NS), timestamp_ns(now_ns + _AHEAD_NS)
        contents = self._contents
        contents.update()
        behind = self._read_round()
        due = self._due(behind)
        contents.retire()
        self._given, self._marked = deque(due), 0
        return [line for stored in due for line in map(_with_row, stored.lines[stored.given :])]

    @property
    def cursor(self) -> str:
        """Where it stands: behind all that :meth:`last` and :meth:`poll` have returned."""
        return self.cursor_after(None)

    def cursor_after(self, count: int | None) -> str:
        """Return where it stands behind the first *count* lines that :meth:`poll` returned last.

        Args:
            count: not less than in the call before; ``None`` for all of them.
        """
        self._mark_given(count)
        return text_of(self._contents.chains())

    def pause_s(self, poll_s: float) -> float:
        """Return how many seconds to wait before the next :meth:`poll`: *poll_s* where it is quiet."""
        if self._undrained:
            return 0.0 if self._has_read else min(poll_s, _LEAST_PAUSE_S)
        if not self._pending:
            return poll_s
        first = min(stored.read_at for stored in self._pending)
        wait_s = first + WINDOW_S - time.monotonic()
        return min(poll_s, max(_LEAST_PAUSE_S, wait_s))

    @property
    def is_behind(self) -> bool:
        """Whether there was more to read than the last :meth:`poll` could read in a moment."""
        return self._undrained > 0

    @property
    def is_rewritten(self) -> bool:
        """Whether a file was written anew, so that lines which were handed out are gone."""
        return self._contents.is_rewritten

    def close(self) -> None:
        """Close the files."""
        self._contents.close()

    # --- where it begins --------------------------------------------------------------------------

    def _new_contents(self) -> Contents:
        return Contents(self._directory, self._wanted.stems, self._kinds, self._tell)

    def _begin(self, count: int | None, *, complete: bool) -> Iterator[Line]:
        backlog = Backlog(self._directory, self._wanted, self._report, complete=complete)
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._contents.close()
                self._contents = self._new_contents()
            files = self._contents.begin()
            lines = backlog.last(files, count)
            try:
                first = next(lines, None)
            except MovedError:
                continue
            return _with_first(first, lines)
        return iter(())

    def _resume(self, positions: Mapping[Key, list[Position]]) -> None:
        stems = self._wanted.stems
        meant = None if stems is None else {*stems, OVERFLOW_STEM}
        positions = {
            key: known
            for key, known in positions.items()
            if key[1] in self._kinds and (meant is None or key[0] in meant)
        }
        contents = {key: [it.content for it in known] for key, known in positions.items()}
        chains = self._contents.resume(contents)
        for (stem, kind), known in positions.items():
            is_asked_for = stems is not None and stem in stems
            files = [it.file for it in chains[stem, kind].contents if it.file is not None]
            is_lost = any(it.content.file is None for it in known if it.has_more)
            if known[0].content.file is None:
                # The newest of what was there: it was removed, and more with it perhaps.
                is_lost |= is_asked_for or any(file.parsed.backup for file in files)
            if is_lost or (is_asked_for and not files):
                what = "log lines" if kind == "log" else "spans"
                sid = sid_of(stem + LOG_SUFFIX)
                msg = f"the cursor is not valid any more: {what} of the session {sid!r} that it stands in are gone"
                raise InvalidCursorError(msg)

    # --- reading ----------------------------------------------------------------------------------

    def _read_round(self) -> str | None:
        """Read on where there is something to read: everywhere a little, then where it is oldest.

        Returns:
            The earliest time up to which a session was read that has more; ``None`` for no such.
        """
        deadline = time.monotonic() + min(self._round * _FIRST_ROUND_S, _ROUND_S)
        left = _ROUND_BYTES
        chains = list(self._contents.hot)
        waiting: list[tuple[str, int]] = []
        self._has_read = False
        for number, chain in enumerate(chains):
            self._contents.look(chain)
            if not chain.pending_bytes:
                self._read_on(chain)
            reached = self._reached(chain)
            if reached is not None:
                waiting.append((reached, number))
        heapq.heapify(waiting)
        stuck: list[tuple[str, int]] = []
        while waiting:
            _, number = heapq.heappop(waiting)
            is_ready = self._read_on(chains[number])
            reached = self._reached(chains[number])
            if reached is not None:
                heapq.heappush(waiting if is_ready else stuck, (reached, number))
            left -= _BLOCK_BYTES
            if left < 0 or time.monotonic() > deadline:
                break
        self._undrained = len(waiting) + len(stuck)
        if not self._undrained:
            return None
        first, _ = min(waiting + stuck)
        late_ns = ns_of(first)
        is_much = sum(chain.pending_bytes for chain in chains) > _MOST_HELD_BYTES
        return first if late_ns is None or is_much else timestamp_ns(late_ns - _LATE_NS)

    def _reached(self, chain: Chain) -> str | None:
        """Return the time about which *chain* goes on; ``None`` where all was read."""
        unread = chain.unread()
        if chain.is_undecided:
            return ""
        if not unread:
            return None
        times = [time for time in map(self._next_time, unread) if time]
        # Where nothing has a time, nothing has to wait for it.
        return min(times, default=_NEVER if unread[0].offset else "")

    def _next_time(self, content: Content) -> str:
        """Return the time about which *content* goes on, if that is known."""
        if not content.latest and content.first is None and content.file is not None:
            rows = self._rows(content.file, content, content.file.first_line)
            times = [end_of(content.kind, row) or "" for row in rows]
            content.first = max(times, default="")
            content.file.first_line = b""
        return content.latest or content.first or ""

    def _read_on(self, chain: Chain) -> bool:
        """Read a block of *chain*, of the oldest content first; ``False`` where that has to wait."""
        contents = self._contents
        left = _BLOCK_BYTES
        for content in reversed(list(chain.contents)):
            if content.drained:
                continue
            is_ready = contents.ready(chain, content)
            file = content.file
            if is_ready is False:
                return False
            if file is None or not is_ready or content.offset == ALL:
                content.seen, content.drained = (-1, -1) if file is None else file.status, True
                continue
            left -= self._read_block(chain, file, content)
            if not content.drained or left <= 0:
                break
        return True

    def _read_block(self, chain: Chain, file: File, content: Content) -> int:
        """Read on in *file*; return how many bytes."""
        self._has_read = True
        status, start = file.status, content.offset
        lines = file.read(content, _BLOCK_BYTES, lambda what: self._tell(file, what))
        content.drained = file.drained
        if file.drained:
            content.seen = status
            if file.error is None and self._contents.is_final(file):
                lines += file.rest(content)
                if not file.is_packed:
                    self._contents.let_go(content)
        if content.time is None:
            content.time = self._time_before(chain, content, start)
        self._take(file, content, lines)
        return content.offset - start

    def _time_before(self, chain: Chain, content: Content, offset: int) -> str:
        """Return the time of a line at *offset* that names none: that of the line before."""
        contents = chain.contents
        for older in contents[contents.index(content) :]:
            if older.time:
                return older.time
            file = older.file
            if file is None or not self._contents.ready(chain, older):
                continue
            end = offset if older is content else older.offset
            end = file.end()[0] if end == ALL else end
            start = max(0, end - _BEFORE_BYTES)
            for line in reversed(file.at(start, end - start).split(b"\n")):
                for row in self._rows(file, older, line):
                    time_text = time_of(row.get(TIME_KEY[content.kind]))
                    if time_text:
                        return time_text
        return ""

    def _rows(self, file: File, content: Content, line: bytes) -> list[dict[str, Any]]:
        """Return what the stored *line* says, the last first; nothing where it is damaged."""
        with contextlib.suppress(ValueError):
            whose = content.kind, UNKNOWN
            found = flat(file.name, 0, parse_whole(line), whose, unheard)
            return [row for _, row in found][::-1]
        return []

    def _take(self, file: File, content: Content, lines: list[tuple[int, bytes, bytes]]) -> None:
        """Keep *lines* where they are meant."""
        path = os.path.join(self._directory, file.name)
        read_at = time.monotonic()
        sid = sid_of(path)
        whose = content.kind, sid
        lines.reverse()
        while lines:
            start, before, raw = lines.pop()
            if not raw or raw.isspace():
                continue
            try:
                found = flat(path, 0, parse_whole(raw), whose, self._report)
            except ValueError as damage:
                self._damaged[str(damage)] += 1
                continue
            rows = self._lines(content, path, sid, found)
            given = content.skip.pop(start, 0)
            if len(rows) > given:
                stored = Stored(content, start, before, len(raw))
                stored.lines, stored.given, stored.key = rows, given, self._key
                stored.read_at, stored.round = read_at, self._round
                content.stored.append(stored)
                content.pending_bytes += len(raw)
                self._pending.append(stored)
            del raw, found, rows  # they may be long, and so may the next
        for what, count in self._damaged.items():
            self._tell(file, damaged_lines(count, what))
        self._damaged.clear()

    def _lines(
        self, content: Content, path: str, sid: str, found: Iterable[tuple[bytes, dict[str, Any]]]
    ) -> list[Line]:
        """Return those of the lines *found* that are meant; :attr:`_key` is by what to sort them."""
        lines = []
        key = ""
        kind = content.kind
        for raw, row in found:
            if kind == "span" and is_unsettled(row) and not is_open(row):
                continue
            end = end_of(kind, row)
            moment = end if kind == "log" else time_of(row.get("start_time"))
            key = max(key, end or moment or "")
            content.time = moment or content.time or ""
            if self._wanted.means(kind, content.stem, row):
                kept = row if len(raw) < _LONG_BYTES else _NO_ROW
                lines.append(Line(kind, kept, raw, content.time, path, 0, session_of(row, sid)))
        since, until = self._live
        latest = content.latest
        if not key:
            key = latest or (until if content.drained else "")
        if key >= latest:
            content.latest = key
        elif latest > until or (key < since and _is_before(key, latest)):
            key = latest
        self._key = key
        return lines

    # --- handing out ------------------------------------------------------------------------------

    def _due(self, behind: str | None) -> list[Stored]:
        """Take from what is pending that which is due, in order.

        Args:
            behind: the earliest time up to which a file has been read that has more in it.
        """
        now_ns = time.time_ns()
        waited_at = time.monotonic() - WINDOW_S
        old_text, now_text = timestamp_ns(self._round_ns - _LATE_NS), timestamp_ns(now_ns)
        # What was written before such a line, to a file that was looked at earlier in its round, is
        # here now; and before one so old, in its round already.
        ready = [
            it.key
            for it in self._pending
            if it.key <= old_text or (it.round < self._round and it.read_at <= waited_at)
        ]
        cut = min(max(ready, default=""), now_text)
        due: list[Stored] = []
        left: list[Stored] = []
        for it in self._pending:
            is_due = it.key <= cut or (it.round < self._round and it.read_at <= waited_at)
            is_held = behind is not None and it.key > behind
            (due if is_due and not is_held else left).append(it)
        self._pending = left
        due.sort(key=_key)
        for it in due:
            it.content.pending_bytes -= it.size
        return due

    def _mark_given(self, count: int | None) -> None:
        """Take the first *count* lines of what was returned last as handed out."""
        while self._given and (count is None or self._marked < count):
            stored = self._given[0]
            left = len(stored.lines) - stored.given
            step = left if count is None else min(left, count - self._marked)
            stored.given += step
            self._marked += step
            if step == left:
                stored.content.forget()
                self._given.popleft()

    def _tell(self, file: File, what: str) -> None:
        self._report(Damage(os.path.join(self._directory, file.name), None, what))


def _is_before(key: str, latest: str) -> bool:
    """Tell whether *key* is by more before *latest* than a line is on its way."""
    return (ns_of(latest) or 0) - (ns_of(key) or 0) > _LATE_NS


def _with_row(line: Line) -> Line:
    return line if line.row is not _NO_ROW else line._replace(row=row_of(line.kind, line.raw))


def _with_first(first: Line | None, lines: Iterator[Line]) -> Iterator[Line]:
    if first is not None:
        yield first
        yield from lines


def _stems(root: str, sids: Iterable[str]) -> frozenset[str]:
    """Return the stems of the files of *sids* under *root*; of what is not there yet, all it may have."""
    stems: set[str] = set()
    for sid in sids:
        may_be = stems_for(sid)
        there: Collection[str] = ()
        if len(may_be) > 1:
            with contextlib.suppress(OSError):  # there may be no directory yet
                there = sessions_named(root, may_be)
        stems.update([stem for stem in may_be if stem in there][:1] or may_be)
    return frozenset(stems)
