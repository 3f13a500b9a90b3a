# ruff: noqa: T201 - for programs, which print
"""What the programs of this directory share: their option, their records, their verdict.

They are started as files, so this directory is where they import from.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

import orjson
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from tracectrl.schema import SESSION_ATTRIBUTE
from tracectrl_logging.reader import UnknownSessionError, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SKIPPED = 77
"""The exit status of a program that cannot run here; it says why."""

ALPHABET = random.Random(4).choices(" abcdefghijklmnopqrstuvwxyzäé—0123456789", k=800_000)  # noqa: S311
TEXT = "".join(ALPHABET)
"""What messages are cut from."""

SMALLEST, LARGEST = 100, 400_000
_PATIENCE_S = 300.0
_RESOURCE = Resource({"service.name": "stress"})


class Verdict:
    """What a program has done and what it found wrong."""

    def __init__(self, doc: str) -> None:
        self.wrong: list[str] = []
        self._start = time.monotonic()
        parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
        parser.add_argument("--short", action="store_true", help="ten seconds, for the gate")
        self.is_short = bool(parser.parse_args().short)

    def done(self, text: str) -> None:
        """Print what was done, and how long it took so far."""
        print(f"{time.monotonic() - self._start:6.1f} s  {text}", flush=True)

    def expect(self, expected: object, actual: object, what: str) -> None:
        """Note as wrong that *what* is not as *expected*."""
        if expected != actual:
            self.wrong.append(f"{what}: expected {expected!r}, found {actual!r}")

    def status(self) -> int:
        """Print what is wrong; return the exit status."""
        for text in self.wrong[:40]:
            print(f"WRONG: {text}")
        self.done(f"{len(self.wrong)} things are wrong" if self.wrong else "nothing is wrong")
        return 1 if self.wrong else 0


@contextlib.contextmanager
def home() -> Iterator[str]:
    """Yield a new directory, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="tracectrl-stress-") as path:
        yield path


def size_of(rng: random.Random, skew: float) -> int:
    """Return a number of characters: from :data:`SMALLEST` to :data:`LARGEST`, mostly small.

    With a *skew* of 1 each power of ten is as likely as another; the larger it is, the smaller are
    most.
    """
    return int(SMALLEST * (LARGEST / SMALLEST) ** (rng.random() ** skew))


def text_of(writer: int, number: int, size: int) -> str:
    """Return the text of the line *number* of *writer*, *size* characters long."""
    start = (writer * 7919 + number * 104_729) % (len(TEXT) - size)
    return TEXT[start : start + size]


def record(sid: str, message: str, **fields: Any) -> logging.LogRecord:
    """Return a log record of the session *sid*."""
    return logging.makeLogRecord(
        {"name": "stress", "levelname": "INFO", "msg": message, "session_id": sid, **fields}
    )


def span(sid: str, **attributes: str | int) -> ReadableSpan:
    """Return a span of the session *sid*, which has ended."""
    return ReadableSpan(
        "stress",
        attributes={SESSION_ATTRIBUTE: sid, **attributes},
        resource=_RESOURCE,  # to find out the default one takes threads
        start_time=time.time_ns(),
        end_time=time.time_ns(),
    )


def rows(root: str, sid: str, wrong: list[str]) -> Iterator[dict[str, Any]]:
    """Yield what the reader finds of the session *sid*; damage is *wrong*."""
    with contextlib.suppress(UnknownSessionError):
        for line in read(sid, root, on_damage=lambda it: wrong.append(str(it))):
            yield line.row


def plain_lines(root: str, suffix: str = ".logs.jsonl") -> Iterator[tuple[str, bytes]]:
    """Yield each line of the files under *root*, backups too, with its file's name; no reader."""
    for name in sorted(os.listdir(root)):
        if suffix in name:
            with open(os.path.join(root, name), "rb") as file:
                for line in file:
                    yield name, line


def strict(line: bytes) -> dict[str, Any] | None:
    """Return what *line* says, ``None`` where it is not one object of strict JSON."""
    try:
        row = orjson.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and line.endswith(b"\n") else None


def run_threads(tasks: Iterable[Callable[[], None]]) -> list[str]:
    """Run *tasks*, each on a thread of its own, to their ends; return what they raised."""
    raised: list[str] = []

    def run(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - nothing may raise
            raised.append(f"raised {error!r}")

    threads = [threading.Thread(target=run, args=(task,), daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    until = time.monotonic() + _PATIENCE_S
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return raised + ["a thread hangs"] * sum(thread.is_alive() for thread in threads)


def say(path: str, what: dict[str, Any]) -> None:
    """Leave *what* at *path* for :func:`heard`."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump(what, file)


def heard(path: str) -> dict[str, Any]:
    """Return what a process has left at *path*, nothing where it has not come so far."""
    with contextlib.suppress(FileNotFoundError, ValueError), open(path, encoding="utf-8") as file:
        said: dict[str, Any] = json.load(file)
        return said
    return {}


def skip(reason: str) -> int:
    """Print why the program cannot run here; return the exit status that says so."""
    print(f"SKIPPED: {reason}", file=sys.stderr)
    return SKIPPED
