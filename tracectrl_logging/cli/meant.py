"""Which session a user means who does not give a whole ID: the start of one, or nearly one.

A root may hold hundreds of thousands of sessions, so names are compared before anything is read, and
closely only the few that come near.
"""

from __future__ import annotations

import heapq
import os
from typing import TYPE_CHECKING

from tracectrl.files.names import LOG_SUFFIX, OVERFLOW_STEM, id_of_stem, parse_name
from tracectrl_logging.cli.common import NotFoundError, UnusableError, shown
from tracectrl_logging.cli.typed_line import can_be_typed
from tracectrl_logging.reader.files.find import find, find_all, id_of
from tracectrl_logging.reader.files.listing import SessionFiles, suffixes_of
from tracectrl_logging.reader.files.probe import names_in
from tracectrl_logging.reader.model import UnknownSessionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

_MANY: Final = 1000
_PIECES: Final = 4
_SUGGESTIONS: Final = 3
_NAMES_TO_COMPLETE: Final = 200_000


def meant(given: str, root: str) -> tuple[str, SessionFiles]:
    """Return the ID and the files of the one session that *given*, no whole ID, names.

    What a terminal shows of an ID that holds control characters is understood, too.

    Raises:
        UnusableError: several sessions start with it.
        NotFoundError: none does; the error says which come near.
    """
    known = _known(root)
    found = [sid for sid in known if shown(sid) == given] or [
        sid for sid in known if sid.startswith(given)
    ]
    if len(found) == 1:
        return found[0], _files(found[0], known[found[0]], root)
    raise _ambiguous(given, found) if found else _unknown(given, list(known), root)


def starting_with(given: str, root: str, most: int) -> list[str]:
    """Return up to *most* IDs of sessions that start with *given*, from a look at the names alone.

    IDs that would be an option, or that a command line cannot show as they are, are left out. Of
    more than *most* the last is among those returned, so that all that they have in common is true
    of the others, too. In a root with hundreds of thousands of names the last ones are not looked at: a shell waits.
    """
    found: set[str] = set()
    for looked_at, stem in enumerate(_stems(root)):
        if looked_at >= _NAMES_TO_COMPLETE:
            break
        sid = _sid_in_name(stem) if "%" in stem else stem
        if sid is not None and sid.startswith(given) and sid[0] != "-" and can_be_typed(sid):
            found.add(sid)
    if len(found) <= most:
        return sorted(found)
    return [*heapq.nsmallest(most - 1, found), max(found)]


def _known(root: str) -> dict[str, str]:
    """Return the stems of all sessions under *root* by their IDs."""
    stems = set(_stems(root))
    known: dict[str, str] = {}
    if OVERFLOW_STEM in stems:  # its sessions have no names of their own
        return {id_of(found): found.stem for found in find_all(root)}
    for stem in stems:
        if not stem.startswith("%~"):
            sid = _sid_in_name(stem)
            if sid is not None:
                known[sid] = stem
            continue
        known[id_of(SessionFiles(root, stem, suffixes_of(stem, names_in(root, stem))))] = stem
    return known


def _files(sid: str, stem: str, root: str) -> SessionFiles:
    for name in (sid, stem):
        try:
            return find(name, root)
        except UnknownSessionError:
            continue
    return SessionFiles(root, stem, ())


def _stems(root: str) -> Iterator[str]:
    """Yield the stems of the session files under *root*, some of them repeatedly."""
    with os.scandir(root) as entries:
        for entry in entries:
            name = entry.name
            if name.endswith(LOG_SUFFIX):
                yield name[: -len(LOG_SUFFIX)]
            elif ".jsonl" in name and (parsed := parse_name(name)) is not None:
                yield parsed.stem


def _sid_in_name(stem: str) -> str | None:
    try:
        return id_of_stem(stem)
    except ValueError:
        return None


def _ambiguous(given: str, found: list[str]) -> UnusableError:
    some = ", ".join(map(shown, heapq.nsmallest(_SUGGESTIONS, found)))
    more = ", ..." if len(found) > _SUGGESTIONS else ""
    return UnusableError(f"{len(found)} sessions start with '{shown(given)}': {some}{more}")


def _unknown(given: str, known: list[str], root: str) -> NotFoundError:
    near = _near(given, known)
    hint = f"; did you mean {' or '.join(map(shown, near))}?" if near else ""
    return NotFoundError(f"no session '{shown(given)}' in {shown(root)}{hint}")


def _near(given: str, known: list[str]) -> list[str]:
    """Return the IDs that *given* may be a slip for, or the start of one."""
    import difflib  # noqa: PLC0415 - for a mistake only

    whole = difflib.get_close_matches(given, _nearest(given, known), _SUGGESTIONS)
    if whole:
        return whole
    starts: dict[str, str] = {}
    for sid in sorted(known):
        starts.setdefault(sid[: len(given)], sid)
    near = difflib.get_close_matches(given, _nearest(given, starts), _SUGGESTIONS)
    return [starts[start] for start in near]


def _nearest(given: str, names: Iterable[str]) -> list[str]:
    """Return *names*, or where they are many, those that share most pieces with *given*.

    Of four pieces of a name, a slip or two leaves some as they were.
    """
    many = list(names)
    if len(many) <= _MANY:
        return many
    size = -(-len(given) // _PIECES)
    pieces = {given[at : at + size] for at in range(0, len(given), size)}

    def shared(name: str) -> int:
        return sum(piece in name for piece in pieces)

    return [name for name in heapq.nlargest(_MANY, many, key=shared) if shared(name)]
