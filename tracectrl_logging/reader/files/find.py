"""Which files belong to which session.

A session's files are the live one and its backups (``.1`` is the newest), each plain or compressed,
for its log lines and for its spans. Lines of new sessions past a limit are in one file together; a
session's own among them are found, too.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tracectrl.files.names import (
    OVERFLOW_STEM,
    id_of_stem,
    root_dir,
    session_id_of,
    stem_of,
)
from tracectrl_logging.reader.files.listing import SessionFiles, suffixes_of
from tracectrl_logging.reader.files.opening import UNREADABLE
from tracectrl_logging.reader.files.probe import names_in
from tracectrl_logging.reader.model import Damage, UnknownSessionError

if TYPE_CHECKING:
    from tracectrl_logging.reader.model import Report

_ATTEMPTS = 10


def find_all(root: str | os.PathLike[str] | None = None) -> list[SessionFiles]:
    """Return the files of every session under *root*, in no order.

    Raises:
        OSError: the root does not exist, is no directory or may not be listed.
    """
    from tracectrl_logging.reader.files.root import Stock  # noqa: PLC0415 - not for one session

    stock = Stock(root)
    return [stock.files(session) for session in stock.sessions]


def find(sid: str, root: str | os.PathLike[str] | None = None) -> SessionFiles:
    """Return the files of the session *sid*, which may also be the stem of a file's name.

    Raises:
        UnknownSessionError: there are none.
        OSError: as :func:`find_all` says.
    """
    stems = [stem_of(sid)] if sid else []
    if sid.startswith("%~") or sid == OVERFLOW_STEM:  # what stands for an ID that is not to be had
        stems.append(sid)
    for stem in stems:
        found = _find_stem(stem, root)
        if found is not None:
            return found
    raise UnknownSessionError(sid)


def id_of(found: SessionFiles, report: Report | None = None) -> str:
    """Return the session ID of the files *found*.

    Where no file holds the long ID that the name is a digest of, the stem stands for it, and
    *report* is told.
    """
    sid = found.stem if found.stem == OVERFLOW_STEM else id_of_stem(found.stem)
    if sid is not None:
        return sid
    names = list(found.names)
    damage: Damage | None = None
    for _ in range(_ATTEMPTS):
        is_gone = False
        for name in names:
            path = os.path.join(found.root, name.name)
            try:
                return session_id_of(path)
            except FileNotFoundError:
                is_gone = True
            except (*UNREADABLE, ValueError, ImportError):
                what = "holds no line with the session ID its name abbreviates"
                damage = Damage(path, None, what)
        if not is_gone:
            break
        names = names_in(found.root, found.stem)
    if damage is not None and report is not None:
        report(damage)
    return found.stem


def _find_stem(stem: str, root: str | os.PathLike[str] | None) -> SessionFiles | None:
    directory = root_dir(root)
    names = names_in(directory, stem)
    return SessionFiles(directory, stem, suffixes_of(stem, names)) if names else None
