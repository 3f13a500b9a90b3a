"""The contents under a root while they are followed: which there are, and which of them grow.

The files of a session's log lines, and of its spans, are a chain: new ones come in front, and names
move up. A walk from the newest name on meets each file of it, however often names move meanwhile, and
ends at the oldest content that is still of interest: all behind that was read. What a file holds says
which content it is; its number (inode), its size and its time are hints whether to look.

Descriptors are held for the files that change, up to a bound. Of sessions at rest, of which there may
be hundreds of thousands, no more is kept than how far they have been read. The module is long, since
one table holds all of it, and each step of a round reads and changes that.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, TypeAlias

from tracectrl.files.names import OVERFLOW_STEM, is_stem, parse_name
from tracectrl.schema import Kind
from tracectrl_logging.reader.files.following.content import Content, File, Noted
from tracectrl_logging.reader.files.following.walk import FAR, Walk
from tracectrl_logging.reader.files.opening import KIND_OF, SUFFIX_OF

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from tracectrl.files.names import ParsedName

Key: TypeAlias = tuple[str, Kind]
"""What a chain is of: the stem of its files, and what their lines are."""

QUIET_S = 10.0
"""What has not changed for so long is at rest."""

SETTLED_S = 5.0
"""So long after its renaming nobody writes a backup: who does has looked at its name meanwhile."""

MAX_OPEN = 256
"""How many files are open at once."""

_TICK_NS = 20_000_000  # two changes within one tick of the kernel's clock have one time
_LISTINGS = 3
_WALKS = 3
_SEARCHES = 20
_PAUSE_S = 0.05
_KNOWN_AT_ONCE = 2000
_FORGOTTEN_S = 60.0
_END = ".jsonl"
_SWEEP_S = 0.02
_SWEEP_STEP = 128


def key_of(parsed: ParsedName) -> Key:
    """Return the chain that the file of this name belongs to."""
    return parsed.stem, KIND_OF[parsed.kind]


class Chain:
    """The contents of one session's log lines, or spans, the newest first.

    All that is older than the last one was read and handed out.
    """

    __slots__ = (
        "base",
        "changed_at",
        "contents",
        "copies",
        "is_flagged",
        "is_undecided",
        "key",
        "newest",
    )

    def __init__(self, key: Key) -> None:
        self.key = key
        self.base = key[0] + SUFFIX_OF[key[1]]
        """The name of the file that is written."""
        self.contents: list[Content] = []
        self.copies: set[tuple[int, int, int]] = set()
        """Files that hold nothing else: their numbers, sizes and times."""
        self.newest: tuple[Content, int] | None = None
        """The first of the contents when names stood still last, and its file's number."""
        self.is_flagged = False
        """Whether its names may have changed."""
        self.is_undecided = False
        """Whether there is a file of which nobody can tell yet whether it was read."""
        self.changed_at = 0.0

    def unread(self) -> list[Content]:
        """Return the contents that were not read to their ends, the oldest first."""
        return [content for content in reversed(self.contents) if not content.drained]

    @property
    def pending_bytes(self) -> int:
        """How much of it was read and waits."""
        return sum(content.pending_bytes for content in self.contents)

    def settle(self, now: float) -> list[Content]:
        """Forget the contents behind the first that was read and that nobody writes; return them."""
        contents, settled = self.contents, []
        while len(contents) > 1 and not self.is_flagged:
            last, before = contents[-1], contents[-2]
            since = last.is_backup_since
            if since is None or now - since < SETTLED_S or not last.is_all_given():
                break
            if before.file is None or before.head is None:
                break
            settled.append(contents.pop())
        return settled


class Contents:
    """What the session files in *directory*, which need not exist, hold.

    Args:
        directory: the root.
        stems: the stems of the sessions' files, ``None`` for all; the file that takes the lines of
            many sessions always is meant.
        kinds: which files are meant.
        report: is told what is wrong with a file.
    """

    def __init__(
        self,
        directory: str,
        stems: Collection[str] | None,
        kinds: Iterable[Kind],
        report: Callable[[File, str], object],
    ) -> None:
        self.directory = directory
        self.hot: dict[Chain, None] = {}
        """The chains that change, or have something to come."""
        self.is_rewritten = False
        """Whether a file was written anew: what was read of it is in no file any more."""
        self.report = report
        self._suffixes = tuple(SUFFIX_OF[kind] for kind in kinds)
        self._stems = None if stems is None else frozenset(stems) | {OVERFLOW_STEM}
        self._starts = tuple(stem + end for stem in self._stems or () for end in self._suffixes)
        self._names: dict[str, int] = {}
        self._backups: dict[str, list[str]] | None = None
        self._listed: tuple[int, int, int] | None = None
        self._chains: dict[Key, Chain] = {}
        self._idle: dict[Key, list[Noted]] = {}
        self.dated: set[str] = set()
        """The names that stand for a date whose files are known: nothing moves them."""
        self._open: OrderedDict[File, None] = OrderedDict()
        self._max_open = MAX_OPEN
        self._sweeping: list[Key] = []
        self._sweep_at = 0
        self._tidy_at = 0.0
        self._is_shut_out = False

    # --- where it begins --------------------------------------------------------------------------

    def begin(self) -> list[Noted]:
        """Take what is there now as read, and return its files as they are.

        Raises:
            OSError: the directory is there, but cannot be listed.
        """
        noted = self._noted()
        chains: dict[Key, list[Noted]] = {}
        for it in noted:
            chains.setdefault(key_of(it.parsed), []).append(it)
        self.dated.update(it.name for it in noted if it.parsed.backup >= FAR)
        quiet_ns = time.time_ns() - int(QUIET_S * 1e9)
        for key, files in chains.items():
            files.sort(key=lambda it: (it.parsed.backup, it.parsed.packed or ""))
            settled = (n for n, it in enumerate(files, 1) if _is_settled(it, quiet_ns))
            self._idle[key] = files[: next(settled, len(files))]
        latest = sorted(self._idle, key=lambda key: -self._idle[key][0].mtime_ns)
        for key in latest[:_KNOWN_AT_ONCE]:
            chain = self._chain(key)
            for content in chain.contents:
                self._resolve(content)
            if chain.contents[0].seen[1] > quiet_ns:
                self._flag(chain)
            else:
                self._rest(chain)
        return noted

    def resume(self, positions: Mapping[Key, Sequence[Content]]) -> Mapping[Key, Chain]:
        """Take what a cursor says as known, find the files that hold it, and return the chains.

        Raises:
            OSError: the directory is there, but cannot be listed.
        """
        for key, contents in positions.items():
            chain = self._chain(key)
            chain.contents = list(contents)
            self._flag(chain)
        for _ in range(_SEARCHES):
            self.update()
            for key in positions:
                self._walk(self._chains[key])
            if all(it.file is not None for its in positions.values() for it in its):
                break
            time.sleep(_PAUSE_S)
        quiet_ns = time.time_ns() - int(QUIET_S * 1e9)
        for key in positions:
            chain = self._chains[key]
            if all(map(_is_read, chain.contents)) and chain.contents[0].seen[1] < quiet_ns:
                self._rest(chain)
        return self._chains

    def _noted(self) -> list[Noted]:
        """Return the files that there are; where a plain one has not gone yet, it stands for both."""
        noted: dict[str, Noted] = {}
        for _ in range(_LISTINGS):  # one may miss a file that is renamed meanwhile
            self._list()
            for name in self._names:
                self._note(name, noted)
            if self._listed is not None:
                break
        return [
            it
            for name, it in noted.items()
            if it.parsed.packed is None or name.rpartition(".")[0] not in noted
        ]

    def _note(self, name: str, noted: dict[str, Noted]) -> None:
        parsed = self._meant(name)
        if parsed is None:
            return
        try:
            status = self.stat(name)
        except OSError:
            noted.pop(name, None)
            self._say_if_shut_out(name, parsed)
            return
        if stat.S_ISREG(status.st_mode):
            numbers = status.st_ino, status.st_size, status.st_mtime_ns
            noted[name] = Noted(name, parsed, *numbers)

    # --- the directory ----------------------------------------------------------------------------

    def update(self) -> None:
        """Look for new, renamed and removed files, and for sessions at rest that have grown.

        Raises:
            OSError: the directory is there, but cannot be listed.
        """
        before = self._names
        try:
            is_listed = self._list()
        except OSError as error:
            if not self._is_short_of_descriptors(error):
                raise
            is_listed = False
        if is_listed:
            now = self._names
            changed = [name for name, ino in now.items() if before.get(name) != ino]
            for name in (*(before.keys() - now.keys()), *changed):
                parsed = self._meant(name)
                if parsed is not None:
                    self._flag(self._chain(key_of(parsed)))
            for chain in self.hot:
                chain.is_flagged = True
        self._sweep()
        self._tidy()

    def _list(self) -> bool:
        """List the directory, unless its time says that nothing has changed."""
        try:
            status = os.stat(self.directory)
            listed = status.st_dev, status.st_ino, status.st_mtime_ns
            if listed == self._listed:
                return False
            # What changes in the very tick of the listing does not change the time again.
            is_quiet = time.time_ns() - status.st_mtime_ns > _TICK_NS
            starts, suffixes = self._starts or ("",), self._suffixes
            with os.scandir(self.directory) as entries:
                names = {
                    entry.name: entry.inode()
                    for entry in entries
                    if ".jsonl" in entry.name
                    and entry.name.startswith(starts)
                    and any(suffix in entry.name for suffix in suffixes)
                }
            # What was renamed meanwhile may be missing.
            is_quiet = is_quiet and os.stat(self.directory).st_mtime_ns == status.st_mtime_ns
        except FileNotFoundError:
            self._listed, self._names, self._backups = None, {}, None
            return True
        self._listed, self._names, self._backups = (listed if is_quiet else None), names, None
        return True

    def _sweep(self) -> None:
        """Look whether sessions at rest have grown: all, or where that takes long the next few."""
        deadline = time.monotonic() + _SWEEP_S
        prefix = os.path.join(self.directory, "")
        lstat = os.lstat
        if self._sweep_at >= len(self._sweeping):
            self._sweep_at = 0
            cold = (key for key, chain in self._chains.items() if chain not in self.hot)
            self._sweeping = [*self._idle, *cold]
        while self._sweep_at < len(self._sweeping) and time.monotonic() < deadline:
            start = self._sweep_at
            self._sweep_at += _SWEEP_STEP
            for key in self._sweeping[start : self._sweep_at]:
                live = self._live(key)
                if live is None:
                    continue
                try:
                    status = lstat(prefix + live.name)
                except OSError:
                    self._listed = None
                    continue
                if (status.st_ino, status.st_size, status.st_mtime_ns) != (
                    live.ino,
                    live.size,
                    live.mtime_ns,
                ):
                    self._flag(self._chain(key))

    def _live(self, key: Key) -> File | Noted | None:
        """Return the file of the chain *key*, which is at rest, that may grow."""
        first: File | Noted | None
        if key in self._idle:
            first = self._idle[key][0]
        else:
            chain = self._chains.get(key)
            if chain is None or chain in self.hot or not chain.contents:
                return None
            first = chain.contents[0].file
        is_live = first is not None and not (first.parsed.backup or first.parsed.packed)
        return first if is_live else None

    def _tidy(self) -> None:
        now = time.monotonic()
        if now < self._tidy_at:
            return
        self._tidy_at = now + _FORGOTTEN_S / 4
        for key, chain in list(self._chains.items()):
            if chain not in self.hot and now - chain.changed_at > _FORGOTTEN_S:
                left = [it for it in chain.contents if it.file is not None or it.stored]
                if not left:
                    del self._chains[key]
                elif any(it.head is not None for it in left):
                    chain.contents = left

    def _chain(self, key: Key) -> Chain:
        chain = self._chains.get(key)
        if chain is None:
            chain = self._chains[key] = Chain(key)
            for noted in self._idle.pop(key, ()):
                content = Content(*key)
                content.noted = noted
                content.file = file = File(noted.name, noted.parsed, noted.ino)
                file.size, file.mtime_ns = content.seen = noted.size, noted.mtime_ns
                content.drained = content.is_placed = True
                content.is_backup_since = 0.0 if noted.parsed.backup else None
                chain.contents.append(content)
        return chain

    def _flag(self, chain: Chain) -> None:
        chain.is_flagged = True
        chain.changed_at = time.monotonic()
        self.hot[chain] = None

    def _meant(self, name: str) -> ParsedName | None:
        parsed = parse_name(name)
        if parsed is None:
            return None
        means = is_stem(parsed.stem) if self._stems is None else parsed.stem in self._stems
        return parsed if means else None

    def stat(self, name: str) -> os.stat_result:
        """Return the status of the file *name*."""
        return os.lstat(os.path.join(self.directory, name))

    def _say_if_shut_out(self, name: str, parsed: ParsedName) -> None:
        """Say once that nothing in the directory can be looked at, where that is so."""
        if not self._is_shut_out and not os.access(self.directory, os.X_OK):
            self._is_shut_out = True
            what = "Permission denied: this user cannot look into the directory"
            self.report(File(name, parsed, 0), what)

    # --- descriptors ------------------------------------------------------------------------------

    def opened(self, file: File) -> bool:
        """Open *file*, or tell that it cannot be now: its name is another's, or nobody's.

        Raises:
            OSError: it cannot be opened.
            ImportError: nothing that is installed can read it.
        """
        if file.fd >= 0:
            self._open.move_to_end(file)
            return True
        try:
            if not file.open(self.directory):
                return False
        except OSError as error:
            if self._is_short_of_descriptors(error):
                return False
            raise
        self._open[file] = None
        while len(self._open) > self._max_open:
            self.shut(next(iter(self._open)))
        return file.fd >= 0

    def shut(self, file: File) -> None:
        """Close *file*; what has been read of it stays known."""
        self._open.pop(file, None)
        with contextlib.suppress(OSError):
            file.close()

    def close(self) -> None:
        """Close all files."""
        while self._open:
            self.shut(next(iter(self._open)))

    def _is_short_of_descriptors(self, error: OSError) -> bool:
        """Tell whether that is the *error*; if so, make do with fewer from now on."""
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            return False
        for file in list(self._open)[: 1 + len(self._open) // 2]:
            self.shut(file)
        self._max_open = max(1, len(self._open))
        return True

    def attempt(self, file: File) -> bool | None:
        """Open *file* as :meth:`opened` does; where it cannot be read, report why, and return ``None``."""
        try:
            return self.opened(file)
        except (OSError, ImportError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            self.report(file, reason or str(error))
            return None

    # --- chains -----------------------------------------------------------------------------------

    def chains(self) -> Iterator[Chain]:
        """Yield all chains, with all that a cursor needs to know of them."""
        for key in list(self._idle):
            self._chain(key)
        for chain in list(self._chains.values()):
            for content in chain.contents:
                if content.noted is not None:
                    self._resolve(content)
                    if chain not in self.hot and content.file is not None:
                        self.shut(content.file)
            yield chain

    def look(self, chain: Chain) -> None:
        """Find out which contents *chain* has now, and which of them have grown."""
        for content in () if chain.is_flagged else chain.contents:
            file = content.file
            if file is None:
                continue
            try:
                status = os.fstat(file.fd) if file.fd >= 0 else self.stat(file.name)
            except OSError:
                chain.is_flagged = True
                break
            is_moved = not status.st_nlink or status.st_ino != file.ino
            if is_moved or not self.is_still(content, file, status):
                chain.is_flagged = True
                break
        if chain.is_flagged:
            self._walk(chain)
        now = time.monotonic()
        for content in chain.contents:
            file = content.file
            if file is None:
                content.drained = True
            elif file.status != content.seen:
                content.drained = False
                chain.changed_at = now
            if file is not None and content.is_backup_since is None and file.parsed.backup:
                content.is_backup_since = now

    def is_still(self, content: Content, file: File, status: os.stat_result) -> bool:
        """Tell whether *file*, which has this *status* now, holds *content* still."""
        if file.status == (status.st_size, status.st_mtime_ns):
            return True
        if file.is_packed:
            self.shut(file)  # what was read of it may have ended in its middle
        if not self.attempt(file):
            return False
        status = os.fstat(file.fd)
        if content.noted is not None:
            is_still = status.st_size >= content.noted.size
        else:
            is_still = content.head is None or (file.head() == content.head and file.has(content))
        file.take(status)
        if not is_still:
            file.size = -1  # so that whoever asks again is told the same
        return is_still

    def ready(self, chain: Chain, content: Content) -> bool | None:
        """Open the file of *content* to be read; ``False`` where that has to wait, ``None`` for ever."""
        for _ in range(_WALKS):
            file = content.file
            is_open = None if file is None else self.attempt(file)
            if file is None or is_open is None:
                return None
            if is_open:
                if content.head is None:
                    content.head = file.head()
                return True
            self._walk(chain)
        return False

    def is_final(self, file: File) -> bool:
        """Tell whether nobody writes *file*, which is open, any more."""
        return file.is_packed or not os.fstat(file.fd).st_nlink

    def let_go(self, content: Content) -> None:
        """Take the file of *content*, which was removed, as gone."""
        if content.file is not None:
            self.shut(content.file)
            content.file = None

    def retire(self) -> None:
        """Forget what is settled, and leave the chains that are at rest."""
        now = time.monotonic()
        for chain in list(self.hot):
            for content in chain.settle(now):
                self.let_go(content)
            is_read = all(it.drained and not it.pending_bytes for it in chain.contents)
            if is_read and not chain.is_flagged and now - chain.changed_at > QUIET_S:
                self._rest(chain)

    def _rest(self, chain: Chain) -> None:
        self.hot.pop(chain, None)
        for content in chain.contents:
            if content.file is not None:
                self.shut(content.file)

    def _walk(self, chain: Chain) -> None:
        chain.is_flagged = False
        for content in chain.contents:
            if content.noted is not None:
                self._resolve(content)
        for _ in range(_WALKS):
            if Walk(self, chain, self._places(chain)).go():
                return
        chain.is_flagged = True  # names move so fast that the next round has to see

    def _places(self, chain: Chain) -> dict[int, list[str]]:
        """Return the listed names of the files of *chain* by their numbers."""
        if self._backups is None:
            self._backups = {}
            for name in self._names:
                if not name.endswith(_END):
                    base = name[: name.rindex(_END) + len(_END)]
                    self._backups.setdefault(base, []).append(name)
        places: dict[int, list[str]] = {}
        for name in sorted(self._backups.get(chain.base, ())):
            parsed = parse_name(name)
            if parsed is not None:
                places.setdefault(parsed.backup, []).append(name)
        return places

    def _resolve(self, content: Content) -> None:
        """Find out what the file holds that was noted as read, if its name still is its own."""
        noted, file = content.noted, content.file
        if noted is None or file is None or not self.attempt(file) or file.size < noted.size:
            return
        content.take_as_read(file, file.head(), noted.size)


def _is_read(content: Content) -> bool:
    """Tell whether a cursor stands at the end of the file of *content*; if so, it is read."""
    file = content.file
    if file is None or file.is_packed or file.size != content.offset or content.skip:
        return False
    content.seen, content.drained = file.status, True
    return True


def _is_settled(noted: Noted, quiet_ns: int) -> bool:
    """Tell whether nobody writes what is older: the file holds something, and rests."""
    return noted.parsed.packed is not None or (noted.size > 0 and noted.mtime_ns < quiet_ns)
