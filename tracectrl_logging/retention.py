"""Removing old sessions from within the application, and how ages and sizes are written."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from tracectrl.files.names import root_path
from tracectrl.files.retention.prune import prune
from tracectrl.files.write.reentrant import start

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from tracectrl.files.retention.prune import Pruned

AGE_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
"""Seconds in a unit of an age."""

SIZE_UNITS: Final = {
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", 1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", 1)},
}
"""Bytes in a unit of a size, in lower case."""

EVERY_S: Final = 60.0
"""How long to wait between two prunings, at least."""

_REST: Final = 20  # pruning takes a twentieth of the time at most
_JOIN_S: Final = 5.0
_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", re.ASCII)


class Retention(TypedDict, total=False):
    """What ``configure(retention=...)`` takes: which sessions to remove; at least one of these."""

    older_than: str | float | timedelta | None
    """Those whose last write is longer ago: ``"7d"``, seconds, or a timedelta."""
    max_total: str | int | None
    """The oldest, until the files of all take no more than this: ``"10GB"``, or bytes."""
    keep: int | None
    """The oldest, until so many are left."""


class Limits(NamedTuple):
    """The same in numbers."""

    older_than_s: float | None = None
    max_total_bytes: int | None = None
    keep: int | None = None


def limits(retention: Retention) -> Limits:
    """Return *retention* in numbers.

    Raises:
        TypeError: a value is of another type.
        ValueError: a value is out of range or not understood, a key is not known, or there is none.
    """
    if not isinstance(retention, dict):
        msg = f"retention must be a dict like {{'older_than': '7d'}}, got {type(retention).__name__} {retention!r}"
        raise TypeError(msg)
    known = Retention.__annotations__
    for key in retention:
        if key not in known:
            msg = f"retention's keys must be of {', '.join(known)}, got {key!r}"
            raise ValueError(msg)
    older_than, max_total = retention.get("older_than"), retention.get("max_total")
    keep = retention.get("keep")
    if keep is not None:
        _check_number("keep", keep, "a whole number", whole=True)
    found = Limits(
        None if older_than is None else age_s(older_than, "older_than"),
        None if max_total is None else size_bytes(max_total, "max_total"),
        keep,
    )
    if found == Limits():
        msg = f"retention needs one of {', '.join(known)}, or is None"
        raise ValueError(msg)
    return found


def age_s(value: str | float | timedelta, name: str = "the age") -> float:
    """Return an age in seconds: ``"30s"``, ``"10m"``, ``"12h"``, ``"7d"``, ``"2w"``, or a number.

    Raises:
        TypeError: *value* is of another type; the text names it *name*.
        ValueError: it is negative, no number, or not understood.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        if match is None or match[2] not in AGE_UNITS:
            msg = (
                f"{name} must be a number with a unit, as in 30s, 10m, 12h, 7d or 2w, got {value!r}"
            )
            raise ValueError(msg)
        return float(match[1]) * AGE_UNITS[match[2]]
    _check_number(name, value, "text like '7d', seconds or a timedelta")
    return float(value)


def size_bytes(value: str | int, name: str = "the size") -> int:
    """Return a size in bytes: ``"500KB"``, ``"10GB"``, ``"1GiB"``, ``"1000"``, or a number.

    KB, MB, GB and TB are powers of 1000; KiB, MiB, GiB and TiB are powers of 1024.

    Raises:
        TypeError: *value* is of another type; the text names it *name*.
        ValueError: it is negative, no number, or not understood.
    """
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        unit = None if match is None else SIZE_UNITS.get(match[2].lower() or "b")
        if match is None or unit is None:
            msg = f"{name} must be a number of bytes, or one with a unit, as in 500KB, 10GB or 1GiB, got {value!r}"
            raise ValueError(msg)
        return int(match[1]) * unit if match[1].isdigit() else int(float(match[1]) * unit)
    _check_number(name, value, "text like '10GB' or a whole number of bytes", whole=True)
    return value


def pruning(
    root: str | os.PathLike[str] | None, retention: Retention
) -> Callable[[logging.Handler], Callable[[], None]]:
    """Return what starts to prune *root*, and returns what ends it.

    It takes the handler whose ``handleError`` is told of failures.

    Raises:
        TypeError: see :func:`limits`.
        ValueError: the same.
    """
    given = limits(retention)
    directory = os.path.abspath(root_path(root))

    def start(handler: logging.Handler) -> Callable[[], None]:
        record = logging.makeLogRecord(
            {"name": "tracectrl", "levelname": "ERROR", "msg": "old sessions cannot be removed"}
        )
        return Pruner(directory, given, lambda: handler.handleError(record)).stop

    return start


class Pruner:
    """Prunes *root* at once and then about once a minute, on a daemon thread.

    Nothing is raised: *report* is called in the ``except`` block of a failure, once until it has
    worked again. A forked child has no such thread; its parent has.

    Args:
        root: the trace directory, as an absolute path.
        given: which sessions to remove.
        report: says what went wrong.
    """

    def __init__(self, root: str, given: Limits, report: Callable[[], object]) -> None:
        self._root = root
        self._limits = given
        self._report = report
        self._has_failed = False
        self._end = threading.Event()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="tracectrl-retention", daemon=True)
        start(self._thread)

    def stop(self) -> None:
        """End the thread; what it is removing is removed."""
        if self._pid == os.getpid():  # else the thread, which may hold a lock, is not here
            self._end.set()
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        while True:
            start = time.monotonic()
            try:
                self._prune()
            except _EndedError:
                return
            except FileNotFoundError:  # no root, nothing to prune
                pass
            except Exception:  # noqa: BLE001 - nothing may reach the application
                self._say()
            else:
                self._has_failed = False
            if self._end.wait(max(EVERY_S, _REST * (time.monotonic() - start))):
                return

    def _prune(self) -> None:
        errors: list[OSError] = []

        def look(pruned: Pruned) -> None:
            if pruned.error is not None and not errors:
                errors.append(pruned.error)
            if self._end.is_set():
                raise _EndedError

        prune(self._root, **self._limits._asdict(), report=look)
        if errors:
            raise errors[0]

    def _say(self) -> None:
        if not self._has_failed:
            self._has_failed = True
            with contextlib.suppress(Exception):  # a handleError of the user's may raise
                self._report()


class _EndedError(Exception):
    """The thread is to end."""


def _check_number(name: str, value: object, wanted: str, *, whole: bool = False) -> None:
    """Raise what says why *value* is no number for *name*."""
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        msg = f"{name} must be {wanted}, got {type(value).__name__} {value!r}"
        raise TypeError(msg)
    if not math.isfinite(value) or value < 0:
        msg = f"{name} must be 0 or more, got {value!r}"
        raise ValueError(msg)
