"""The lines of a whole root as one stream, for a database.

Lines are read as every other command reads them (:mod:`tracectrl_logging.reader.files.lines`), and
what a query uses of them is passed on (:mod:`tracectrl_logging.reader.sql.fields`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
from typing import TYPE_CHECKING, Any

from tracectrl.files.listing import StoredSession, scan_names
from tracectrl.files.names import OVERFLOW_STEM
from tracectrl.files.presence import is_present
from tracectrl.schema import BLOCK_KEY, PRESENCE_KEY, SESSION_END, SESSION_START, UNKNOWN
from tracectrl_logging.reader.files.lines import MAX_LINE_BYTES, Limits, flat_rows, session_of
from tracectrl_logging.reader.files.opening import (
    SUFFIX_OF,
    OpenFile,
    close_all,
    is_being_written,
    open_chain,
)
from tracectrl_logging.reader.files.root import (
    id_of,
    session_in_list,
    session_named,
    tell_unread,
)
from tracectrl_logging.reader.model import RUNNING, Damage
from tracectrl_logging.reader.sql.fields import FIRST, SEPARATOR, takers
from tracectrl_logging.reader.sql.views import COLUMNS, MARK
from tracectrl_logging.reader.timeline.open_spans import Held, is_open

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from typing import Final

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Report

_BLOCK_BYTES: Final = 1024 * 1024
_SMALL_BYTES: Final = 32 * 1024
_LARGE_BYTES: Final = 2 * 1024 * 1024
_WRITE_BYTES: Final = 256 * 1024
_WRITE_LINES: Final = 4096
_PIPE_BYTES: Final = 1024 * 1024
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MEGABYTE: Final = 1_000_000
_SHARE: Final = 32
_VALUE_BYTES: Final = 150
"""The memory that a value on a line takes while the line is parsed, more or less."""


def limits_of_memory(memory_mb: int) -> Limits:
    """Return the limits for *memory_mb*: a small part of it for a line, all of it for its values.

    The database holds several buffers, in each of which the longest line has to fit.
    """
    size = memory_mb * _MEGABYTE
    line_bytes = min(max(size // _SHARE, _BLOCK_BYTES + 2), MAX_LINE_BYTES)
    return Limits(line_bytes, size // _VALUE_BYTES)


def _sent_bytes(limits: Limits) -> int:
    """Return the length of the longest line in the form in which it is passed on."""
    return limits.line_bytes + limits.line_bytes // _SHARE


class Marks:
    """What lines say of the state of a session under *root*: see :data:`~.views.MARK`.

    The two lines of a block say the same; one that has not ended has one line.
    """

    def __init__(self, root: str) -> None:
        self.is_running = False
        """Whether a process has a file of the session open for writing."""
        self._root = root
        self._blocks: dict[str, str] = {}
        self._states: dict[str, str] = {}

    def of(self, row: dict[str, Any]) -> str:
        """Return what the line *row* says; empty for nothing."""
        return RUNNING if self.is_running else self.of_owner(row)

    def of_owner(self, row: dict[str, Any]) -> str:
        """Return what the line *row* says of its process, whoever has files open."""
        if is_open(row):
            return self._state(row)
        block, message = row.get(BLOCK_KEY), row.get("message")
        if not isinstance(block, str):
            return ""
        if message == SESSION_START:
            mark = self._blocks[block] = f"{self._state(row)} {block}"
            return mark
        return self._blocks.pop(block, "") if message == SESSION_END else ""

    def _state(self, row: dict[str, Any]) -> str:
        owner = row.get(PRESENCE_KEY)
        if not isinstance(owner, str):
            return "crashed"
        if owner not in self._states:
            self._states[owner] = RUNNING if is_present(self._root, owner) else "crashed"
        return self._states[owner]


class Feed:
    """Writes the lines of one *kind* into a pipe, on a thread of its own.

    Args:
        root: the trace directory.
        kind: log lines or spans.
        report: hears of damage, on the thread.
        limits: a larger line is damage.
    """

    def __init__(self, root: str, kind: Kind, report: Report, limits: Limits) -> None:
        self.failure: Exception | None = None
        """Why what was written is not all."""
        self._root, self._kind, self._limits = root, kind, limits
        self._report = report
        self._waiting: list[str] = []
        self._size = 0
        self._names: Sequence[str] = ()
        self._with_rest = False
        self._stems: Container[str] = ()
        self._marks = Marks(root)
        self._held: Held[str] = Held()
        self._held_of_many: Held[str] = Held()  # the file of many comes first, other ends later
        self.fd, self._target = os.pipe()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):  # more than this user may have
                fcntl.fcntl(self._target, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._thread: threading.Thread | None = None

    def start(self, names: Sequence[str]) -> None:
        """Begin to write lines: the columns *names*."""
        self._names, self._with_rest = names, "extras" in names
        self._thread = threading.Thread(target=self._run, name="tracectrl-feed", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; whoever reads the pipe must have ended."""
        os.close(self.fd)
        if self._thread is None:
            os.close(self._target)
        else:
            self._thread.join()

    def measured(self) -> int:
        """Return the length of the longest line that is passed on, in bytes."""
        if not self._has_long_lines():
            self._limits = self._limits._replace(line_bytes=2 * _BLOCK_BYTES)
        return _sent_bytes(self._limits)

    def _has_long_lines(self) -> bool:
        """Tell whether a line may be longer than two blocks: one block then has no newline."""
        live = SUFFIX_OF[self._kind]
        for stem, all_suffixes in scan_names(self._root).items():
            suffixes = [suffix for suffix in all_suffixes if suffix.startswith(live)]
            if suffixes not in ([], [live]):  # rotated or compressed files
                return True
            path = os.path.join(self._root, stem + live)
            with contextlib.suppress(OSError):
                if os.lstat(path).st_size > _BLOCK_BYTES and _has_block_without_newline(path):
                    return True
        return False

    def _run(self) -> None:
        try:
            self._pass_all()
            self._write()
        except BrokenPipeError:  # the database has seen enough
            pass
        except Exception as error:  # noqa: BLE001 - raised where the result is used
            self.failure = error
        finally:
            os.close(self._target)

    def _write(self) -> None:
        self._waiting.append("")
        view = memoryview("\n".join(self._waiting).encode())
        self._waiting.clear()
        while view:
            view = view[os.write(self._target, view) :]

    def _pass_all(self) -> None:
        live = SUFFIX_OF[self._kind]
        unread: list[str] = []
        self._stems = found = scan_names(self._root, unread=unread)
        tell_unread(self._root, (name for name in unread if live in name), self._report)
        for stem in sorted(found):
            suffixes = [suffix for suffix in found[stem] if suffix.startswith(live)]
            if not suffixes:
                continue
            listed = StoredSession(self._root, stem, found[stem])
            session: StoredSession | None = listed
            self._marks.is_running = MARK in self._names and is_being_written(listed)
            sid = None if stem == OVERFLOW_STEM else id_of(listed, self._report)
            if suffixes == [live]:
                try:
                    self._pass_plain(os.path.join(self._root, stem + live), sid)
                    session = None
                except FileNotFoundError:  # rotated, compressed or removed just now
                    session = session_named(self._root, stem)
            if session is not None:
                self._pass_chain(session, sid)
            self._pass_held(self._held)
        self._pass_held(self._held_of_many)

    def _pass_plain(self, path: str, sid: str | None) -> None:
        """Pass on the lines of the one file of a session, which is not compressed."""
        try:
            fd = os.open(path, _FLAGS)
        except FileNotFoundError:
            raise
        except OSError as error:
            self._report(Damage(path, None, error.strerror or str(error)))
            return
        with open(fd, "rb", buffering=_SMALL_BYTES) as stream:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                self._report(Damage(path, None, "not a regular file"))
                return
            self._pass_lines(OpenFile(path, stream, status.st_size), sid)

    def _pass_chain(self, found: StoredSession, sid: str | None) -> None:
        files = open_chain(found, self._kind, self._report)
        try:
            for file in files:
                self._pass_lines(file, sid)
        finally:
            close_all(files)

    def _listed(self, sid: str) -> str:
        """Return the session of the list to which a line of *sid* in the file of many counts."""
        return session_in_list(sid, self._stems)

    def _mark_of_many(self, row: dict[str, Any]) -> str:
        """Return the mark of a line in the file of many, which its writer holds for no one session."""
        is_own = self._listed(session_of(row, UNKNOWN)) == OVERFLOW_STEM
        return self._marks.of(row) if is_own else self._marks.of_owner(row)

    def _pass_lines(self, file: OpenFile, sid: str | None) -> None:
        """Pass on the lines of *file*, of the session *sid*, or of many where that is ``None``."""
        path, kind, most = file.path, self._kind, _sent_bytes(self._limits)
        line_sid = UNKNOWN if sid is None else sid
        columns = takers(
            COLUMNS[kind],
            self._names,
            of_line=line_sid,
            listed=self._listed if sid is None else None,
            file=os.path.basename(path),
            mark=self._marks.of if sid is not None else self._mark_of_many,
        )
        rows = flat_rows(
            file, kind, line_sid, self._report, with_rest=self._with_rest, limits=self._limits
        )
        waiting, size = self._waiting, self._size
        held = self._held_of_many if sid is None else self._held
        for number, raw, row in rows:
            line = SEPARATOR.join([FIRST, *[take(row, raw) for take in columns]])
            if len(line) > _LARGE_BYTES and len(line.encode()) > most:
                self._report(Damage(path, number, f"longer than {self._limits.line_bytes} bytes"))
                continue
            if kind == "span":
                if held is self._held:
                    self._held_of_many.forget(row)
                if not held.passes(row, line):
                    continue
            waiting.append(line)
            size += len(line)
            if size > _WRITE_BYTES or len(waiting) > _WRITE_LINES:
                self._write()
                size = 0
        self._size = size

    def _pass_held(self, held: Held[str]) -> None:
        """Pass on the lines of spans that are open, now that no end can come."""
        lines = held.rest()
        self._waiting += lines
        self._size += sum(map(len, lines))


def _has_block_without_newline(path: str) -> bool:
    """Tell whether the file at *path* has one, by looking at as little as that takes."""
    with open(os.open(path, _FLAGS), "rb", buffering=0) as stream:
        for at in range(0, os.fstat(stream.fileno()).st_size, _BLOCK_BYTES):
            data = os.pread(stream.fileno(), _SMALL_BYTES, at)
            if b"\n" not in data and b"\n" not in os.pread(stream.fileno(), _BLOCK_BYTES, at):
                return True
    return False
