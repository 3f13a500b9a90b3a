"""The lines of a whole root as one stream, for a database that reads JSON Lines.

What the database is not good at happens here: names and links, compressed and damaged files, OTLP.
Most files are passed on as they are, unparsed; one with anything unusual in it is looked at again,
line by line.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import math
import os
import stat
import threading
from typing import TYPE_CHECKING

import orjson

from tracectrl._json import well_formed
from tracectrl.files.listing import StoredSession, scan_names
from tracectrl.files.names import LOG_SUFFIX, SPAN_SUFFIX
from tracectrl_logging.reader.files.lines import flat_rows
from tracectrl_logging.reader.files.opening import UNREADABLE, OpenFile, close_all, open_chain
from tracectrl_logging.reader.files.root import session_named, tell_unread
from tracectrl_logging.reader.model import Damage
from tracectrl_logging.reader.sql.passing import (
    NeedsCareError,
    TooLongError,
    acceptable,
    sid_of,
    too_long,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Report

SEPARATOR = b"\x01"
"""Stands between the columns: no JSON holds it."""

_SUFFIX: dict[Kind, str] = {"log": LOG_SUFFIX, "span": SPAN_SUFFIX}
_BLOCK_BYTES = 1024 * 1024
_SMALL_BYTES = 32 * 1024
_LARGE_BYTES = 2 * 1024 * 1024
_WRITE_BYTES = 256 * 1024
_PIPE_BYTES = 1024 * 1024
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_UNUSUAL = (b"\r", b"\0", SEPARATOR)


class Feed:
    """Writes the lines of one *kind* into a pipe, on a thread of its own.

    Args:
        root: the trace directory.
        kind: log lines or spans.
        careful: parse each line; a damaged one is reported and left out. Otherwise damage is the
            database's to find, and :class:`NeedsCareError` is the failure where it could not.
        max_line_bytes: the length of the longest line that is passed on.
        skips_long: report longer ones, instead of failing with :class:`TooLongError`.
        report: hears of damage, on the thread.
    """

    def __init__(
        self,
        root: str,
        kind: Kind,
        report: Report,
        *,
        careful: bool,
        max_line_bytes: int,
        skips_long: bool = False,
    ) -> None:
        self.failure: Exception | None = None
        """Why what was written is not all."""
        self._root, self._kind, self._report = root, kind, report
        self.with_place = False
        """Whether the file's name and the session's ID, as JSON, stand in front of each line."""
        self._careful = careful
        self._max_line_bytes, self._skips_long = max_line_bytes, skips_long
        self.fd, self._target = os.pipe()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):  # more than this user may have
                fcntl.fcntl(self._target, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._run, name="tracectrl-feed", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; whoever reads the pipe must have ended."""
        os.close(self.fd)
        if self._thread is None:
            os.close(self._target)
        else:
            self._thread.join()

    def _run(self) -> None:
        waiting: list[bytes] = []
        size = 0
        try:
            for block in self.blocks():
                if len(block) > _LARGE_BYTES:
                    self._write(b"".join(waiting))
                    waiting.clear()
                    size = 0
                    self._write(block)
                    continue
                waiting.append(block)
                size += len(block)
                if size >= _WRITE_BYTES:
                    self._write(b"".join(waiting))
                    waiting.clear()
                    size = 0
            self._write(b"".join(waiting))
        except BrokenPipeError:  # the database has seen enough
            pass
        except Exception as error:  # noqa: BLE001 - raised where the result is used
            self.failure = error
        finally:
            os.close(self._target)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._target, view) :]

    def blocks(self) -> Iterator[bytes]:
        """Yield whole lines, any number in one block."""
        live = _SUFFIX[self._kind]
        unread: list[str] = []
        found = scan_names(self._root, unread=unread)
        tell_unread(self._root, (name for name in unread if live in name), self._report)
        for stem in sorted(found):
            suffixes = [suffix for suffix in found[stem] if suffix.startswith(live)]
            session: StoredSession | None = StoredSession(self._root, stem, tuple(suffixes))
            if suffixes == [live]:
                try:
                    yield from self._plain(os.path.join(self._root, stem + live), stem)
                    continue
                except FileNotFoundError:  # rotated, compressed or removed just now
                    session = session_named(self._root, stem)
            if suffixes and session is not None:
                yield from self._chain(session)

    def _plain(self, path: str, stem: str) -> Iterator[bytes]:
        """Yield the lines of the one file of a session, which is not compressed."""
        try:
            fd = os.open(path, _FLAGS)
        except FileNotFoundError:
            raise
        except OSError as error:
            self._report(Damage(path, None, error.strerror or str(error)))
            return
        # Lines are read through a buffer, blocks are not.
        with open(fd, "rb", buffering=_BLOCK_BYTES if self._careful else 0) as stream:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                self._report(Damage(path, None, "not a regular file"))
                return
            yield from self._lines(OpenFile(path, stream, status.st_size), stem, status.st_size)

    def _chain(self, found: StoredSession) -> Iterator[bytes]:
        files = open_chain(found, self._kind, self._report)
        try:
            for file in files:
                yield from self._lines(file, found.stem, _BLOCK_BYTES)
        finally:
            close_all(files)

    def _lines(self, file: OpenFile, stem: str, size: int) -> Iterator[bytes]:
        blocks = self._parsed(file, stem, 0) if self._careful else self._unparsed(file, stem, size)
        if not self.with_place:
            yield from blocks
            return
        place = SEPARATOR.join(
            (
                os.path.basename(file.path).encode(),
                orjson.dumps(well_formed(sid_of(file.path, stem))),
                b"",
            )
        )
        for block in blocks:
            if len(block) > _LARGE_BYTES and block.find(b"\n") == len(block) - 1:
                yield place
                yield block  # one line, of which there should be no further copies
                continue
            yield place + block.replace(b"\n", b"\n" + place)[: -len(place)]

    def _unparsed(self, file: OpenFile, stem: str, size: int) -> Iterator[bytes]:
        path, stream, present_bytes = file
        end_bytes = math.inf if present_bytes is None else present_bytes
        at = 0
        read, block_bytes, next_bytes = stream.read, min(size, _BLOCK_BYTES) + 1, _BLOCK_BYTES
        if hasattr(stream, "read1"):  # a block of a damaged file is lost as a whole: small ones
            read, block_bytes, next_bytes = stream.read1, _SMALL_BYTES, _SMALL_BYTES
        rest: list[bytes] = []  # the start of a line whose end has not been read yet
        rest_bytes = number = 0
        while at < end_bytes:  # what is written faster than it is read has no end of its own
            try:
                data = read(block_bytes)
            except UNREADABLE as error:
                reason = f"the file cannot be read from here on: {error}"
                self._report(Damage(path, number + 1, reason))
                data = b""
            if not data:
                break
            at += len(data)
            end = data.rfind(b"\n") + 1
            if end:
                number += data.count(b"\n", 0, end)
                block = data[:end] if end < len(data) else data
                if rest:
                    block = b"".join((*rest, block))
                    rest.clear()
                    rest_bytes = 0
                yield from self._checked(path, stem, block, number)
                data = data[end:]
            if data:
                rest.append(data)
                rest_bytes += len(data)
            if rest_bytes > self._max_line_bytes:
                rest.clear()
                raise too_long(stream, rest_bytes)
            block_bytes = next_bytes
        if rest:
            yield from self._checked(path, stem, b"".join((*rest, b"\n")), number + 1)

    def _checked(self, path: str, stem: str, block: bytes, last: int) -> Iterator[bytes]:
        for sign in _UNUSUAL:
            if sign in block:
                raise NeedsCareError
        if self._kind == "span" and b'"resourceSpans"' in block:
            first = last - block.count(b"\n")
            yield from self._parsed(OpenFile(path, io.BytesIO(block)), stem, first)
            return
        yield block

    def _parsed(self, file: OpenFile, stem: str, before: int) -> Iterator[bytes]:
        """Yield the lines of *file*, of which *before* lines were read already, each by itself."""
        path = file.path

        def report(damage: Damage) -> None:
            if not self._careful:
                raise NeedsCareError
            line = None if damage.line is None else damage.line + before
            self._report(Damage(damage.path, line, damage.reason))

        for number, raw, row in flat_rows(file, self._kind, sid_of(path, stem), report):
            yield from self._short(path, number, acceptable(raw, row))

    def _short(self, path: str, number: int, line: bytes) -> Iterator[bytes]:
        """Yield *line* with its newline, where it is no longer than the database expects."""
        if len(line) <= self._max_line_bytes:
            yield line + b"\n"
        elif self._skips_long:
            self._report(Damage(path, number, f"longer than {self._max_line_bytes} bytes"))
        else:
            raise TooLongError
