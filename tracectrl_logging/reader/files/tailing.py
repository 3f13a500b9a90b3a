"""The last lines of sessions, and what comes after them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from tracectrl.files.names import root_path
from tracectrl_logging.reader.files.find import find
from tracectrl_logging.reader.files.follower import DEFAULT_COUNT, Follower

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracectrl_logging.reader.filters.selection import Selection
    from tracectrl_logging.reader.model import Line, Report


def tail(
    *sids: str,
    root: str | os.PathLike[str] | None = None,
    count: int | None = DEFAULT_COUNT,
    selection: Selection | None = None,
    on_damage: Report | None = None,
) -> Iterator[Line]:
    """Return the last log lines of sessions, in time order, as an iterator.

    Files are read from their ends backwards, those that were written last first; so
    :attr:`Line.number` is 0. Of more than 2,000 files, those are left out whose time says that they
    have nothing to add.

    Args:
        sids: the session IDs; none for all sessions.
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        count: how many lines, over all the sessions; ``None`` for all that *selection* means.
        selection: which lines are meant; ``None`` for all.
        on_damage: called for each line or file that cannot be read.

    Raises:
        UnknownSessionError: no file under the root belongs to one of the sessions.
        OSError: the root does not exist, is no directory or may not be listed.
        ValueError: *count* is negative, or the selection names a level that is not known.
    """
    directory = os.fspath(root_path(root))
    os.scandir(directory).close()
    for sid in sids:
        find(sid, directory)
    with Follower(*sids, root=root, selection=selection, on_damage=on_damage) as follower:
        return follower.begin(count, complete=False)


def follow(
    *sids: str,
    root: str | os.PathLike[str] | None = None,
    count: int | None = 0,
    selection: Selection | None = None,
    poll_s: float = 0.1,
    on_damage: Report | None = None,
) -> Iterator[Line]:
    """Yield the last *count* log lines of sessions, then what is written from now on; never ends.

    Each line comes once, whatever happens to the names of the files meanwhile (rotation, compression,
    removal), and after what its process wrote before. Sessions and a root that do not exist yet are
    waited for. :class:`Follower` does the same without waiting.

    Args:
        sids: the session IDs; none for all sessions, also those that begin later.
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        count: as :func:`tail` says.
        selection: which lines are meant; ``None`` for all.
        poll_s: how many seconds to wait before looking again where nothing has come.
        on_damage: called for each line or file that cannot be read.

    Raises:
        OSError: the root is no directory or may not be listed.
        ValueError: as :func:`tail` says.
    """
    with Follower(*sids, root=root, selection=selection, on_damage=on_damage) as follower:
        yield from follower.begin(count)
        while True:
            yield from follower.poll()
            time.sleep(follower.pause_s(poll_s))
