"""The log files of a root while they are followed: which there are, and which of them change.

Descriptors are held for the files that change, up to a bound; of the others (there may be hundreds
of thousands) no more is kept than how far they have been read.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import os
import stat
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from tracectrl.files.names import LOG_SUFFIX
from tracectrl_logging.reader.files.copies import is_read, place_in_copy
from tracectrl_logging.reader.files.followed import Followed
from tracectrl_logging.reader.files.missed import Missed
from tracectrl_logging.reader.files.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from tracectrl.files.names import ParsedName
    from tracectrl_logging.reader.files.watch import Seen

QUIET_S = 10.0
"""A file that has not changed for so long is idle."""

QUIET_BACKUP_S = 2.0
"""The same of a backup: who writes it still has not noticed that it was rotated away."""

_MAX_OPEN = 256
_PATIENCE_S = 1.0
_NOBODYS = -1
_SWEEP_S = 0.02
_SWEEP_STEP = 128


class Tracked:
    """The log files in *directory*, which need not exist.

    Args:
        directory: the root.
        stems: the stems of the sessions' files; ``None`` for all.
        report: is told what is wrong with a file.
    """

    def __init__(
        self,
        directory: str,
        stems: Collection[str] | None,
        report: Callable[[Followed, str], object],
    ) -> None:
        self.directory = directory
        self.active: dict[Followed, None] = {}
        """The files that change, or have something to come, in the order they were found."""
        self._report = report
        self._watch = Watch(directory, stems)
        self._files: dict[int, Followed] = {}
        self._open: OrderedDict[Followed, None] = OrderedDict()
        self._missed = Missed()
        self._copies: list[Followed] = []
        self._sweeping: list[Followed] = []
        self._sweep_at = 0
        self._is_complete = False
        self._is_shut_out = False
        self.max_open = _MAX_OPEN
        """How many files may be open at once."""

    def begin(self, *, complete: bool) -> list[Followed]:
        """Take what is there now as read, and return its files.

        Args:
            complete: leave a last line whose newline is not there yet.
        """
        now_s = time.time()
        for seen in self._watch.look().appeared:
            status = self._stat_of(seen)
            if status is None:
                continue
            file = Followed(
                seen.name,
                seen.parsed,
                status.st_ino,
                offset=status.st_size,
                mtime_ns=status.st_mtime_ns,
                ctime_ns=status.st_ctime_ns,
            )
            self._files[file.ino] = file
            if seen.parsed.packed is None and now_s - status.st_mtime < QUIET_S:
                self._activate(file)
                if complete and len(self._open) < self.max_open:
                    self.opened(file)  # what stands in it tells it from another with its number
        self._watch.forget()  # a listing may miss what is renamed meanwhile
        return list(self._files.values())

    def update(self) -> None:
        """Look for new, renamed, removed and compressed files, and for idle ones that have grown.

        Raises:
            OSError: the directory is there, but cannot be listed.
        """
        self._is_complete = False
        try:
            changes = self._watch.look()
        except OSError as error:
            if not self._is_short_of_descriptors(error):
                raise
            return
        self._is_complete = changes.complete
        if changes.present is not None:
            for ino in self._files.keys() - changes.present:
                self._lose(self._files[ino])
        for seen in changes.appeared:
            if (file := self._files.get(seen.ino)) is not None and not _is_of(file, seen.parsed):
                self._lose(file)  # the number is another's by now
        for seen in changes.appeared:
            self._meet(seen)
        self._copies = [file for file in self._copies if not self._has_placed(file)]
        self._sweep()
        self._missed.tidy()

    def opened(self, file: Followed) -> bool:
        """Open *file*, or tell that it cannot be: it has another name by now, or none."""
        if file.fd >= 0:
            self._open.move_to_end(file)
            return True
        before = copy.copy(file)
        try:
            file.open(self.directory)
        except (OSError, ImportError) as error:
            if isinstance(error, OSError) and self._is_short_of_descriptors(error):
                return False
            reason = error.strerror if isinstance(error, OSError) else None
            self._report(file, reason or str(error))
            self._files.pop(file.ino, None)
            self.active.pop(file, None)
            return False
        if file.fd < 0:
            self._watch.forget()
            return False
        if file.offset < before.offset:  # another file has the number by now
            self._missed.add(before)
        self._open[file] = None
        while len(self._open) > self.max_open:
            self.shut(next(iter(self._open)))
        return True

    def shut(self, file: Followed) -> None:
        """Close *file*; what has been read of it stays known."""
        self._open.pop(file, None)
        with contextlib.suppress(OSError):
            file.close()

    def leave(self, file: Followed) -> None:
        """Take *file* as idle."""
        self.shut(file)
        del self.active[file]

    def is_complete(self) -> bool:
        """Tell whether all files that were there at :meth:`update` are known, the new ones open."""
        return (
            self._is_complete
            and not self._copies
            and not any(_is_new(file) and not self.is_gone(file) for file in self.active)
        )

    def is_current(self) -> bool:
        """Tell whether no name has changed since :meth:`update`, as far as the system tells."""
        return self._watch.is_current()

    def is_gone(self, file: Followed) -> bool:
        """Tell whether *file* has no name any more."""
        return self._files.get(file.ino) is not file

    def is_unchanged(self, file: Followed) -> bool:
        """Tell whether *file* is as it was when it was read last."""
        status = self._stat(file.name)
        return status is not None and _state(status) == (file.ino, file.size, file.mtime_ns)

    def close(self) -> None:
        """Close all files."""
        while self._open:
            self.shut(next(iter(self._open)))

    def _stat_of(self, seen: Seen) -> os.stat_result | None:
        """Do as :meth:`_stat`; where nothing in the directory can be looked at, that is said once."""
        status = self._stat(seen.name)
        if status is None and not self._is_shut_out and not os.access(self.directory, os.X_OK):
            self._is_shut_out = True
            what = "Permission denied: this user cannot look into the directory"
            self._report(Followed(seen.name, seen.parsed, seen.ino), what)
        return status

    def _stat(self, name: str) -> os.stat_result | None:
        try:
            status = os.lstat(os.path.join(self.directory, name))
        except OSError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def _activate(self, file: Followed) -> None:
        file.changed_at = time.monotonic()
        file.size = -1
        self.active[file] = None

    def _meet(self, seen: Seen) -> None:
        status = self._stat_of(seen)
        if status is None or status.st_ino != seen.ino:  # it has another name by now
            self._watch.correct(seen)
            self._is_complete = False
        if status is None:
            return
        parsed, mtime_ns = seen.parsed, status.st_mtime_ns
        file = self._files.get(status.st_ino)
        if file is None and parsed.packed is None and self._has_returned(seen, status.st_ino):
            return
        if (
            file is not None
            and _is_of(file, parsed)
            and (parsed.packed is None or file.mtime_ns == mtime_ns)
        ):
            file.name, file.parsed = seen.name, parsed
            if parsed.packed is not None:
                return  # compressed files do not change; whether there is something in it was seen
            if file not in self.active and not self.is_unchanged(file):
                self._activate(file)
            if _is_new(file):
                self.opened(file)
            return
        if file is not None:  # the number has gone over to another
            self._missed.add(file)
        file = Followed(seen.name, parsed, status.st_ino, mtime_ns=mtime_ns)
        self._files[file.ino] = file
        if parsed.packed is None:
            self._activate(file)
            self.opened(file)  # before it is removed
        else:
            file.changed_at = time.monotonic()
            self._copies.append(file)

    def _has_returned(self, seen: Seen, ino: int) -> bool:
        """Tell whether *seen* is a file that was taken as gone: a listing may miss one.

        Whether it is that one, and not another with its number, shows when it is opened.
        """
        for file in self._missed.of(seen.parsed.stem):
            if file.ino != ino or file.parsed.packed is not None:
                continue
            before = file.name, file.parsed
            file.name, file.parsed = seen.name, seen.parsed
            self._files[ino] = file
            if self.opened(file):
                self._missed.remove(file)
                self._activate(file)
            elif self._files.pop(ino, None) is not None:
                file.name, file.parsed = before
                self._watch.correct(seen)  # it has moved on
                self._is_complete = False
            return True
        return False

    def _lose(self, file: Followed) -> None:
        """Take *file* as gone, unless it is open and has a name: then the listing has missed it."""
        if file.fd >= 0 and os.fstat(file.fd).st_nlink:
            self._watch.forget()
            return
        del self._files[file.ino]
        self._missed.add(file)
        if file.fd >= 0:
            file.ino = _NOBODYS  # it cannot come back

    def _has_placed(self, packed: Followed) -> bool:
        """Find out what of the compressed file *packed* is to be read; ``False`` for not yet.

        For that all files have to be known that it may have been made from, if that can be.
        """
        if not self._is_complete and time.monotonic() - packed.changed_at < _PATIENCE_S:
            return False
        if not self.opened(packed):
            return self.is_gone(packed)
        start = None
        known = list(self._originals(packed))
        if not is_read(packed.mtime_ns, known):
            # One of those, one whose name is not known this moment, or nobody's who has been read.
            known += [file for file in self.active if file.parsed.stem == packed.parsed.stem]
            start = place_in_copy(packed, known)
        if start is None:
            self.shut(packed)
        else:
            packed.offset, packed.drained = start, False
            self._activate(packed)
        return True

    def _originals(self, packed: Followed) -> Iterator[Followed]:
        """Yield the files that *packed* may have been made from."""
        stem = packed.parsed.stem
        yield from self._missed.of(stem)
        for number in range(packed.parsed.backup, -1, -1):
            name = f"{stem}{LOG_SUFFIX}.{number}" if number else f"{stem}{LOG_SUFFIX}"
            ino = self._watch[name]
            file = None if ino is None else self._files.get(ino)
            if file is not None:
                yield file

    def _sweep(self) -> None:
        """Look whether idle files have grown: at all, or where that takes long at the next few."""
        deadline = time.monotonic() + _SWEEP_S
        prefix = os.path.join(self.directory, "")
        lstat = os.lstat
        if self._sweep_at >= len(self._sweeping):
            self._sweep_at = 0
            self._sweeping = [
                file
                for file in self._files.values()
                if not (file.parsed.backup or file.parsed.packed)
            ]
        while self._sweep_at < len(self._sweeping) and time.monotonic() < deadline:
            start = self._sweep_at
            self._sweep_at += _SWEEP_STEP
            for file in self._sweeping[start : self._sweep_at]:
                try:
                    status = lstat(prefix + file.name)
                except OSError:
                    self._watch.forget()
                    continue
                if status.st_size == file.size and status.st_mtime_ns == file.mtime_ns:
                    continue
                if status.st_ino != file.ino:
                    self._watch.forget()
                elif file not in self.active:
                    self._activate(file)

    def _is_short_of_descriptors(self, error: OSError) -> bool:
        """Tell whether that is the *error*; if so, make do with fewer from now on."""
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            return False
        for file in list(self._open)[: 1 + len(self._open) // 2]:
            self.shut(file)
        self.max_open = max(1, len(self._open))
        return True


def _is_new(file: Followed) -> bool:
    """Tell whether *file* has not been open yet."""
    return not file.was_open and file.size < 0


def _is_of(file: Followed, parsed: ParsedName) -> bool:
    """Tell whether *file* may be called as *parsed* says: a rename changes but the backup's number."""
    return (file.parsed.stem, file.parsed.packed) == (parsed.stem, parsed.packed)


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
