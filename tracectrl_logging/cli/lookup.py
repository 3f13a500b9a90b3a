"""The store and the sessions that a user names: by an ID, the start of one, or nearly one."""

from __future__ import annotations

import heapq
import os
from typing import TYPE_CHECKING

from tracectrl.errors import MissingExtraError
from tracectrl.files.names import TRACE_DIR_ENV, is_address, root_dir, session_id_of
from tracectrl_logging.cli.errors import NotFoundError, UnusableError
from tracectrl_logging.cli.text import shown
from tracectrl_logging.cli.typed_line import can_be_typed
from tracectrl_logging.reader import open_store
from tracectrl_logging.reader.model import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final

    from tracectrl_logging.cli.problems import Problems
    from tracectrl_logging.reader import Store
    from tracectrl_logging.reader.store import OnProgress

_MANY: Final = 1000
_PIECES: Final = 4
_SUGGESTIONS: Final = 3
_NAMES_TO_COMPLETE: Final = 200_000


def opened(
    root: str | None,
    problems: Problems | None = None,
    *,
    on_progress: OnProgress | None = None,
    parallel: bool = False,
) -> Store:
    """Return the store that *root* means, which can be read.

    Args:
        root: what was given for ``--root``.
        problems: hears of what cannot be read in it.
        on_progress: as for :func:`~tracectrl_logging.reader.open_store`.
        parallel: the same.

    Raises:
        UnusableError: the store cannot be read.
    """
    store = made(root, problems, on_progress=on_progress, parallel=parallel)
    try:
        next(store.ids(limit=1), None)
    except StoreError:
        raise  # one line, which says all
    except OSError as error:
        hint = f"--root DIR or ${TRACE_DIR_ENV} names another"
        text = f"cannot read the trace directory '{shown(store.name)}': {error.strerror}; {hint}"
        raise UnusableError(text) from error
    return store


def made(root: str | None, problems: Problems | None = None, **options: Any) -> Store:
    """Return the store that *root* means, which may not be there yet; the arguments are as for :func:`opened`.

    Raises:
        UnusableError: *root* means none, or what it needs is not installed.
    """
    try:
        return open_store(root, on_damage=problems, **options)
    except (ValueError, MissingExtraError) as error:
        raise UnusableError(shown(str(error))) from error


def is_awaited(store: Store) -> bool:
    """Tell whether *store* is a directory that is not there yet."""
    return not is_address(store.name) and not os.path.lexists(store.name)


def checked_root(root: str | None) -> str:
    """Return the trace directory that *root* means, for a command that is about its files.

    Raises:
        UnusableError: it cannot be read.
    """
    return opened(root_dir(root)).name


def session_meant(given: str, store: Store) -> str:
    """Return the ID of the session that *given* names: an ID, the start of one, or a file's path.

    What a terminal shows of an ID that holds control characters is understood, too.

    Raises:
        UnusableError: several sessions start with it, it is empty, or a file in another directory.
        NotFoundError: there is no such session.
    """
    if not given:
        text = "a session ID cannot be empty"
        raise UnusableError(text)
    if next(store.ids(given, limit=1), None) == given:
        return given
    found = list(store.ids(given))
    if len(found) != 1:
        known = found if found and "\\" not in given else list(store.ids())
        found = [sid for sid in known if shown(sid) == given] or found or _in_file(given, store)
        if not found:
            raise _unknown(given, known, store.name)
    if len(found) > 1:
        raise _ambiguous(given, found)
    return found[0]


def _in_file(path: str, store: Store) -> list[str]:
    """Return the ID of the session whose file in *store* is at *path*; nothing where none is."""
    try:
        sid = session_id_of(path)
        place = os.path.dirname(path) or os.curdir
        is_here = os.path.lexists(path) and os.path.samefile(place, store.name)
    except (ValueError, OSError):
        return []
    if is_here:
        return [sid]
    if os.path.lexists(path):
        text = f"'{shown(path)}' is not in {shown(store.name)}; --root {shown(place)} reads it"
        raise UnusableError(text)
    return []


def starting_with(given: str, store: Store, most: int) -> list[str]:
    """Return up to *most* IDs of sessions that start with *given*.

    IDs that would be an option, or that a command line cannot show as they are, are left out. Of
    more than *most* the last is among those returned, so that all that they have in common is true
    of the others, too. Of hundreds of thousands the last ones are not looked at: a shell waits.
    """
    found = {
        sid
        for sid in store.ids(given, limit=_NAMES_TO_COMPLETE)
        if sid[0] != "-" and can_be_typed(sid)
    }
    if len(found) <= most:
        return sorted(found)
    return [*heapq.nsmallest(most - 1, found), max(found)]


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
