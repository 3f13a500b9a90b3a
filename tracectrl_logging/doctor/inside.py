"""The observation of a program, from the command to the process and back.

It begins before the program runs (:mod:`tracectrl_logging.program.injection`), watches the records pass
and, when the program ends, looks at what is set up. Each process leaves its findings in a file of its
own.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from tracectrl_logging.doctor.finding import MOST_POSITIONS, Finding
from tracectrl_logging.program.injection import DOCTOR_ENV, injected

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType


def environment(base: Mapping[str, str], directory: str) -> dict[str, str]:
    """Return *base* with what makes Python processes leave their findings in *directory*."""
    return injected(base, **{DOCTOR_ENV: os.path.abspath(directory)})


def gather(directory: str) -> tuple[list[Finding], int]:
    """Return the findings in *directory*, equal ones merged, and the number of processes."""
    merged: dict[tuple[str, str, str], Finding] = {}
    names = sorted(name for name in os.listdir(directory) if name.endswith(".json"))
    for name in names:
        with open(os.path.join(directory, name), encoding="utf-8") as file:
            rows = json.load(file)
        for row in rows:
            finding = Finding(**{**row, "positions": tuple(row["positions"])})
            key = (finding.check, finding.subject, finding.message)
            known = merged.get(key)
            merged[key] = finding if known is None else _sum(known, finding)
    return list(merged.values()), len(names)


def start() -> None:
    """Observe this process, where its environment says so; never raises."""
    directory = os.environ.get(DOCTOR_ENV)
    if not directory:
        return
    # What is registered first runs last: after the program's own, and after logging has flushed.
    atexit.unregister(logging.shutdown)
    atexit.register(_leave, directory)
    atexit.register(logging.shutdown)
    try:
        from tracectrl_logging.doctor.observe import observe  # noqa: PLC0415 - in such a process

        observe()
        before = signal.getsignal(signal.SIGTERM)
        if before is signal.SIG_DFL or callable(before):  # of another tool that starts with Python
            signal.signal(signal.SIGTERM, partial(_end, before))
    except Exception as error:  # noqa: BLE001 - the program is not ours to stop
        print(f"tracectrl-logs doctor: nothing is observed: {error}", file=sys.stderr)  # noqa: T201


def _end(before: Any, number: int, frame: FrameType | None) -> None:
    """Write the findings, then have the signal do what it did *before*."""
    directory = os.environ.get(DOCTOR_ENV)
    if directory:
        _leave(directory)
    if callable(before):
        before(number, frame)
        return
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _leave(directory: str) -> None:
    try:
        from tracectrl_logging.doctor.program import examine_program  # noqa: PLC0415 - as above

        rows = [finding.row() for finding in examine_program()]
        path = os.path.join(directory, f"{os.getpid()}")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(rows, file)
        os.replace(path, f"{path}.json")
    except Exception as error:  # noqa: BLE001 - as above
        print(f"tracectrl-logs doctor: nothing was found out: {error!r}", file=sys.stderr)  # noqa: T201


def _sum(one: Finding, other: Finding) -> Finding:
    from dataclasses import replace  # noqa: PLC0415 - for several processes only

    positions = tuple(dict.fromkeys(one.positions + other.positions))[:MOST_POSITIONS]
    return replace(one, count=one.count + other.count, positions=positions)
