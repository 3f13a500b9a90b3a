"""One walk along the files of a chain, from the newest name on: which contents they hold.

Files are moved up meanwhile, by rotation, or replaced by compressed ones. A file that moves up comes
to meet the walk, once or several times, and none gets past it. Afterwards it is known whether all names
stood still: then what was met behind another is the older one.
"""

from __future__ import annotations

import itertools
import os
import stat
from typing import TYPE_CHECKING

from tracectrl.files.names import parse_name
from tracectrl_logging.reader.files.following.content import Content, File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracectrl.files.names import ParsedName
    from tracectrl_logging.reader.files.following.contents import Chain, Contents

FAR = 10**9
"""No rotation counts so far: such a number stands for a date."""

_NEAR = 3
_PACKED = ("", ".gz", ".zst")


class Walk:
    """A walk along *chain*.

    Args:
        contents: what opens files.
        chain: is brought up to date.
        places: the names that were listed, by their numbers.
    """

    def __init__(self, contents: Contents, chain: Chain, places: dict[int, list[str]]) -> None:
        self._contents = contents
        self._chain = chain
        self._places = places
        self._visited: list[tuple[str, int]] = []
        self._met: dict[Content, int] = {}  # and where
        self._new: list[Content] = []
        self._old: list[tuple[File, bytes | None, int]] = []
        self._copies: dict[Content, tuple[File, int]] = {}
        self._is_disturbed = False
        self._is_behind_placed = False

    def go(self) -> bool:
        """Walk; return whether all names stood still meanwhile."""
        chain, dated = self._chain, self._contents.dated
        for names in self._numbered():
            self._visit(names)
            if self._has_met_all():
                break
        for number in sorted(self._places):
            if number >= FAR:
                self._visit([name for name in self._places[number] if name not in dated])
        is_sure = not self._is_disturbed and all(map(self._is_there, self._visited))
        for content, (file, place) in self._copies.items():
            if content in self._met:
                self._ignore(file)
            else:
                self._give(file, content, place)
        chain.contents[:0] = self._new
        chain.is_undecided = bool(self._old) and not is_sure
        for file, head, place in self._old:
            if is_sure:
                self._take_as_read(file, head, place)
            else:
                self._contents.shut(file)
        if is_sure:
            listed = itertools.chain.from_iterable(self._places.values())
            dated |= {name for name, _ in self._visited} & set(listed)
            self._contents.is_rewritten |= self._has_lost_newest()
            self._sort()
            chain.newest = next(
                ((it, it.file.ino) for it in chain.contents[:1] if it.file is not None), None
            )
        return is_sure

    def _has_met_all(self) -> bool:
        """Tell whether what is known was met: all, since after a disturbed walk its order may be wrong."""
        is_all = len(self._met) - len(self._new) == len(self._chain.contents)
        return self._is_behind_placed and is_all

    def _has_lost_newest(self) -> bool:
        """Tell whether another content is where the newest one was, which no file holds any more.

        Where there are backups, a rotation may have removed it that has given its name to another file.
        """
        if self._chain.newest is None or not self._visited:
            return False
        newest, its_ino = self._chain.newest
        name, ino = self._visited[0]
        is_there = name == self._chain.base and (len(self._visited) == 1 or ino == its_ino)
        return is_there and newest not in self._met and newest.offset != 0

    def _numbered(self) -> Iterator[list[str]]:
        """Yield the names of each number in turn, until there are no more."""
        most = max((number for number in self._places if number < FAR), default=0)
        number = missed = 0
        while number <= most or missed < _NEAR:
            base = f"{self._chain.base}.{number}" if number else self._chain.base
            names = [base + packed for packed in _PACKED]
            names += [name for name in self._places.get(number, ()) if name not in names]
            before = len(self._visited)
            yield names
            missed = missed + 1 if len(self._visited) == before else 0
            number += 1

    def _visit(self, names: list[str]) -> None:
        """Look at the first of *names* that there is: the others hold the same."""
        for name in names:
            try:
                status = self._contents.stat(name)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                self._visited.append((name, status.st_ino))
                self._identify(name, status)
                break

    def _identify(self, name: str, status: os.stat_result) -> None:
        """Find out what the file *name* holds."""
        parsed = parse_name(name)
        numbers = status.st_ino, status.st_size, status.st_mtime_ns
        if parsed is None or self._is_known(name, parsed, status) or numbers in self._chain.copies:
            return
        file = File(name, parsed, status.st_ino)
        is_open = self._contents.attempt(file)
        if not is_open:
            if is_open is None:
                self._chain.copies.add(numbers)  # nobody has to hear of it again
            self._is_disturbed |= is_open is not None
            return
        place = len(self._visited)
        head = file.head()
        content, is_whole = (None, False) if head is None else self._known_as(file, head)
        if content is not None:
            other = content.file
            if not is_whole or (content in self._met and other is not None):
                self._ignore(file)
            elif other is None or other.fd < 0 or not os.fstat(other.fd).st_nlink:
                self._give(file, content, place)
            else:
                self._copies[content] = file, place
        elif head is None and (file.is_packed or (parsed.backup and not file.size)):
            if file.error is not None and not isinstance(file.error, EOFError):
                self._contents.report(file, f"the file cannot be read: {file.error}")
            self._ignore(file)  # else it is a copy that has just been begun
        elif self._is_behind_placed:
            self._old.append((file, head, place))
        else:
            content = Content(*self._chain.key, head)
            self._new.append(content)
            self._give(file, content, place)

    def _is_known(self, name: str, parsed: ParsedName, status: os.stat_result) -> bool:
        """Tell whether that is a file of a known content, and holds it still."""
        for content in (*self._new, *self._chain.contents):
            file = content.file
            if file is None or file.ino != status.st_ino:
                continue
            file.name, file.parsed = name, parsed
            if self._contents.is_still(content, file, status):
                if content.head is None and file.fd >= 0:
                    content.head = file.head()
                self._meet(content, len(self._visited))
                return True
            self._contents.let_go(content)
        return False

    def _known_as(self, file: File, head: bytes) -> tuple[Content | None, bool]:
        """Return the content that *file*, whose first line has the mark *head*, holds too.

        And whether it holds all that was read of it.
        """
        for content in (*self._new, *self._chain.contents):
            if content.head == head:
                if file.has(content):
                    return content, True
                other = content.file
                if other is not None and other.fd >= 0 and file.is_part_of(other):
                    return content, False
            elif content.noted is not None and (file.parsed.backup or file.is_packed):
                # Nobody had read it; its own file is not where it was.
                is_same_time = file.is_packed and file.mtime_ns == content.noted.mtime_ns
                if is_same_time or file.end()[0] == content.noted.size:
                    content.take_as_read(file, head, content.noted.size)
                    return content, True
        return None, False

    def _give(self, file: File, content: Content, place: int) -> None:
        """Take *file* as the one that holds *content*."""
        self._contents.let_go(content)
        content.file = file
        content.seen = (-1, -1)
        self._meet(content, place)

    def _meet(self, content: Content, place: int) -> None:
        self._met[content] = place
        self._is_behind_placed |= content.is_placed

    def _ignore(self, file: File) -> None:
        """Take *file*, as it is now, as one that holds nothing else."""
        self._chain.copies.add((file.ino, *file.status))
        self._contents.shut(file)

    def _take_as_read(self, file: File, head: bytes | None, place: int) -> None:
        """Take *file*, which is older than a content that is known, as read."""
        content = Content(*self._chain.key)
        content.take_as_read(file, head, file.size)
        self._chain.contents.append(content)
        self._give(file, content, place)
        content.seen = file.status

    def _sort(self) -> None:
        """Put the contents in the order of their files; one without keeps its neighbour."""
        place, places = 0, {}
        for content in self._chain.contents:
            place = self._met.get(content, place)
            places[content] = place
            content.is_placed = True
        self._chain.contents.sort(key=places.__getitem__)

    def _is_there(self, visited: tuple[str, int]) -> bool:
        name, ino = visited
        try:
            return self._contents.stat(name).st_ino == ino
        except OSError:
            return False
