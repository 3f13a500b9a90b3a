# ruff: noqa: RUF001, T201 - look-alikes are what it is about; a program, which prints
r"""100,000 session IDs, made up and known from attacks: one file each, inside the root, and back.

    python tests/stress/session_ids.py [--short]

- Each ID has a name of its own, inside the root, that any file system takes, also one that does not
  tell upper from lower case; and ``session_id_of`` gives the ID back.
- Ten thousand of them, the long ones among them, are really written, by the logging handler and by
  both forms of the span exporter, and read back; nothing appears outside the root.
- A flood of them past ``max_sessions_per_minute`` is found in the overflow file.
- At the places of files there are links, pipes, devices, sockets and directories: they are refused,
  what is behind them stays as it is, nobody blocks, and the neighbours go on.

Prints what was done and what was found wrong; the exit status is 1 where anything was.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import os
import random
import re
import socket
import stat
import string
import sys
import tempfile
import time
import unicodedata
from typing import TYPE_CHECKING

import hypothesis
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan

from tracectrl.exporter import FileSpanExporter
from tracectrl.files import log_path, session_id_of, span_path
from tracectrl.files.names import MAX_BYTES_IN_NAME, OVERFLOW_STEM, stem_of
from tracectrl_logging import SessionFileHandler
from tracectrl_logging.reader import open_store, read, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEVICES = (
    "CON",
    "PRN",
    "AUX",
    "NUL",
    "CLOCK$",
    "CONIN$",
    "CONOUT$",
    "COM0",
    "COM9",
    "COM¹",
    "LPT1",
)
SAFE = frozenset(string.ascii_letters + string.digits + "._-%~")
DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
LONGEST_NAME = 255
LONGEST_REST = len(".spans.jsonl.1000.zst")
PER_EXAMPLE = 20
READS = 500
LIMIT = 50
FLOOD = 400
FLOOD_READS = 30
FOLDERS = ("deep", "er", "traces", "otlp", "flood")

KNOWN = [
    *("../x", "..", ".", "../../etc/passwd", "a/../../b", "..\\..\\x", "a/b", "/etc/passwd", "//x"),
    *("C:\\x", "C:x", "\\\\host\\share", "file:///x", "~", "~root", "$HOME", "`id`", "$(id)", "|id"),
    *("a\0b", "\0", "a\0.logs.jsonl", "\n", "a\nb", "a\rb", "\x1b[31m", "\x9b31m", "\x7f", "\t", " "),
    *DEVICES,
    *("con", "nul.txt", "LPT²", "con.\nx", "CON ", "con.", "nul.\u00fc", "aux%20", "com1.logs.jsonl"),
    *(".hidden", "..hidden", "-rf", "--help", "-", "_", "%", "a.", "a..", "a ", " a", "a. ", "..."),
    *("%2e%2e%2f", "%2F", "%252F", "%", "%%", "%25", "%41", "%-", "%-mfrggzdfmy", "%~", "%~x.0a", "%00"),
    *("%-MFRGGZDFMY", "%-mfrggzdf", "%-a", f"%~prefix.{'0' * 64}", OVERFLOW_STEM, "%overflow.1"),
    *("a.logs.jsonl", "a.spans.jsonl", "a.logs.jsonl.1", "a.logs.jsonl.gz", "a.1.zst", "a.gz"),
    *("unknown", "Unknown", "UNKNOWN", "unknown ", "unknown.", "unkno\u2060wn", "mfrggzdfmy", "MFRGGZDF"),
    *("admin", "аdmin", "ａｄｍｉｎ", "ad\u200bmin", "ad\u00admin", "\ufeffadmin", "nimda\u202e"),
    *("é", "e\u0301", "Å", "\u212b", "A\u030a", "ﬁ", "fi", "K", "\u212a", "ı", "i", "İ", "i\u0307", "ß", "ss", "ẞ"),
    *("．．／x", "\u2024\u2024/x", "\u2215x", "\u29f8x", "한", "\u1112\u1161\u11ab", "💥", "👩\u200d💻"),
    *("\ud800", "\udfff", "\ud83d\ude00", "\ude00\ud83d", "😀", "a\udc80", "\udcff" * 40, "\ud83d" * 43),
    *("{}", "{0}", "%s", "%d%n", "'", '"', "<x>", "a:b", "a*", "a?", "a|b", "a;b", "a&b", "\\"),
    *("x" * 127, "x" * 128, "x" * 129, "ü" * 64, "ü" * 65, "/" * 66, "/" * 67, "😀" * 32, "😀" * 33),
    *("x" * 65536, "../" * 21845, "\0" * 65536, "ü" * 32768, "x" * 65535 + "y", "\ud83d\ude00" * 9999),
    *("/" * 128, "." * 128, "-" * 129, "A" * 200, "a" * 200, "x" * 64 + "\n" + "y" * 64),
]  # fmt: skip


def main() -> int:
    """Run it all; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="4,000 IDs instead of 100,000")
    short = parser.parse_args().short
    wrong: list[str] = []
    start = time.monotonic()
    ids = made_up(4_000 if short else 100_000)
    with tempfile.TemporaryDirectory(prefix="tracectrl-stress-") as home:
        root = os.path.join(home, "deep", "er", "traces")
        long = check_names(ids, root, wrong)
        written = chosen(ids, long, 400 if short else 10_000)
        with surroundings(home, wrong):
            write_and_read(written, root, 60 if short else READS, wrong)
            # A line of many says its own ID; where JSON cannot, nobody else does.
            flood([sid for sid in written if is_json(sid)][-FLOOD:], root, wrong)
        planted(os.path.join(home, "planted"), home, wrong)
    print(f"{time.monotonic() - start:.0f} s in all")
    for text in wrong[:40]:
        print(f"WRONG: {text[:500]}")
    print("one file each, inside the root, and back" if not wrong else f"{len(wrong)} are wrong")
    return 1 if wrong else 0


# --- the IDs --------------------------------------------------------------------------------------


def relatives(sid: str) -> Iterator[str]:
    """Yield what could be taken for *sid*: other cases and forms, and what encodes it."""
    yield from (sid, sid.upper(), sid.lower(), sid.swapcase(), sid.title(), sid[::-1])
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        yield unicodedata.normalize(form, sid)
    stem = stem_of(sid)
    yield from (stem, stem_of(stem), stem.lower(), stem.upper(), f"{stem}.logs.jsonl")
    for more in (".", " ", "\0", "/", ".1", ".gz", ".logs.jsonl", "%", "\n", "x" * 128):
        yield from (sid + more, more + sid)


def made_up(count: int) -> list[str]:
    """Return *count* different IDs."""
    found = dict.fromkeys(other for sid in KNOWN for other in relatives(sid) if other)
    nasty = st.sampled_from(
        './\\%~-_ \0\n:*?"<>|aAbB19\u0301éß\u212aﬁ\ud83d\ude00\U0001f600\x1b\x9b\u202e'
    )
    ids = st.one_of(
        st.text(st.characters(), min_size=1),
        st.text(nasty, min_size=1, max_size=200),
        st.text(st.characters(codec="ascii"), min_size=1, max_size=300),
        st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=1).map("%-".__add__),
        st.from_regex(r"\A[%~.-]?[A-Za-z0-9._-]{1,130}\Z"),
        st.from_regex(r"\A(%[0-9A-Fa-f]{2}){1,70}\Z"),
        st.tuples(st.sampled_from(DEVICES), st.text(nasty, max_size=5)).map("".join),
        st.tuples(st.sampled_from(KNOWN), st.text(nasty, max_size=3)).map("".join),
        st.tuples(st.text(nasty, min_size=1, max_size=9), st.integers(20, 700)).map(
            lambda pair: pair[0] * pair[1]
        ),
        st.uuids().map(str),
    )  # fmt: skip

    @hypothesis.settings(
        max_examples=count // PER_EXAMPLE,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.lists(ids, min_size=PER_EXAMPLE, max_size=PER_EXAMPLE))
    def collect(some: list[str]) -> None:
        found.update(dict.fromkeys(some))

    for seed in itertools.count():  # it likes to say things twice
        if len(found) >= count:
            break
        hypothesis.seed(seed)(collect)()
    print(f"{len(found)} different IDs, of {sum(map(len, found)) // len(found)} characters each")
    return list(found)


def chosen(ids: list[str], long: list[str], count: int) -> list[str]:
    """Return those that are to be written: the known ones, some long ones and others."""
    rng = random.Random(5)  # noqa: S311 - no secret
    some = [*KNOWN, *rng.sample(long, min(len(long), count // 3)), *rng.sample(ids, count)]
    return list(dict.fromkeys(some))[:count]


def is_json(sid: str) -> bool:
    """Tell whether JSON can hold *sid*: not where it holds two surrogates that would become one."""
    return json.loads(json.dumps(sid)) == sid  # type: ignore[no-any-return]


# --- names ----------------------------------------------------------------------------------------


def check_names(ids: list[str], root: str, wrong: list[str]) -> list[str]:
    """Check the name of each of *ids*; return the long ones, whose names do not hold them."""
    long: list[str] = []
    owners: dict[str, str] = {}
    cases = 0
    for sid in ids:
        path = log_path(sid, root)
        stem = stem_of(sid)
        wrong += [f"{text}: {sid!r} {stem!r}" for text in faults(path, stem, root)]
        other = owners.setdefault(stem.lower(), sid)
        if other != sid:
            if ascii_lower(other) != ascii_lower(sid) or stem_of(other) == stem:
                wrong.append(f"one file for two: {sid!r} {other!r}")
            cases += 1
        if len(sid.encode("utf-8", "surrogatepass")) > MAX_BYTES_IN_NAME:
            long.append(sid)
            continue
        for each in (path, span_path(sid, root), f"{path}.1", f"{path}.12.gz", f"{path}.zst"):
            if session_id_of(each) != sid:
                wrong.append(f"{sid!r} comes back as {session_id_of(each)!r}")
    print(f"{len(ids) - len(long)} come back from their names; {cases} differ in case alone")
    return long


def ascii_lower(text: str) -> str:
    """Return *text* as a file system sees it that does not tell upper from lower case."""
    return text.translate({ord(upper): upper.lower() for upper in string.ascii_uppercase})


def faults(path: Path, stem: str, root: str) -> Iterator[str]:
    """Yield what is wrong with a name."""
    if os.path.dirname(path) != root or os.path.dirname(os.path.normpath(path)) != root:
        yield "outside the root"
    if not SAFE.issuperset(stem):
        yield "not every file system takes this"
    if stem[0] in "._-" or stem[-1:] in (" ", ""):
        yield "hidden, an option, or nothing"
    if DEVICE.fullmatch(stem):
        yield "a device of Windows"
    if len(stem) + LONGEST_REST > LONGEST_NAME:
        yield "too long"


# --- files ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def surroundings(home: str, wrong: list[str]) -> Iterator[None]:
    """Notice what appears outside the root meanwhile."""
    yield
    for where, folders, files in os.walk(home):
        is_root = os.path.basename(where) == "traces"
        strange = folders if is_root else [*files, *set(folders).difference(FOLDERS)]
        wrong += [f"outside the root: {os.path.join(where, name)}" for name in strange]


def write_and_read(ids: list[str], root: str, reads: int, wrong: list[str]) -> None:
    """Write a line and two spans of each session, and find them again."""
    handler = SessionFileHandler(root, max_open_files=100)
    exporters = [
        FileSpanExporter(root, max_open_files=100),
        FileSpanExporter(os.path.join(root, os.pardir, "otlp", "traces"), format="otlp"),
    ]
    for number, sid in enumerate(ids):
        handler.emit(record(sid, number))
        span = ReadableSpan(f"span {number}", attributes={"session.id": sid})
        for exporter in exporters:
            exporter.export([span])
    handler.close()
    for exporter in exporters:
        exporter.shutdown()
        wrong += [f"{exporter.lost} spans lost"] * bool(exporter.lost)
    wrong += [f"{handler.lost} lines lost"] * bool(handler.lost)
    otlp = os.path.join(os.path.dirname(root), "otlp", "traces")
    for number, sid in enumerate(ids):
        check_file(log_path(sid, root), sid, ("number", number), wrong)
        check_file(span_path(sid, root), sid, ("name", f"span {number}"), wrong)
        if back(span_path(sid, otlp)) != sid:
            wrong.append(f"{sid!r} does not come back from OTLP")
    for where in (root, otlp):
        listed = {summary.session_id for summary in sessions(where)}
        wrong += [f"listed, but never written: {sid!r}" for sid in listed - set(ids)]
        wrong += [f"not listed in {where}: {sid!r}" for sid in set(ids) - listed]
    rng = random.Random(6)  # noqa: S311 - no secret
    for sid in rng.sample(ids, min(reads, len(ids))):
        kinds = sorted(line.kind for line in read(sid, root))
        if kinds != ["log", "span"]:
            wrong.append(f"{sid!r} reads as {kinds}")
    modes = {stat.S_IMODE(os.stat(os.path.join(root, name)).st_mode) for name in os.listdir(root)}
    wrong += [f"modes {modes}"] * (modes != {0o600})
    print(f"{len(ids)} sessions written, {len(os.listdir(root))} files, all read back")


def check_file(path: Path, sid: str, expected: tuple[str, object], wrong: list[str]) -> None:
    """Check the one line at *path*, and that the path gives back whose it is."""
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    key, value = expected
    said = json.loads(json.dumps(sid))
    if [(row["session_id"], row[key]) for row in rows] != [(said, value)]:
        wrong.append(f"{path.name} of {sid!r} holds {rows}")
    if back(path) != sid:
        wrong.append(f"{sid!r} does not come back from its file")


def back(path: Path) -> str | None:
    """Return whose file is at *path*."""
    try:
        return session_id_of(path)
    except ValueError:
        return None


def flood(ids: list[str], root: str, wrong: list[str]) -> None:
    """Write sessions past the limit, and find each in the overflow file."""
    where = os.path.join(root, os.pardir, "flood", "traces")
    handler = SessionFileHandler(where, max_sessions_per_minute=LIMIT)
    for number, sid in enumerate(ids):
        handler.emit(record(sid, number))
    handler.close()
    files = len(os.listdir(where))
    wrong += [f"{files} files, not {LIMIT + 1}"] * (files != LIMIT + 1)
    for number, sid in list(enumerate(ids))[:: max(1, len(ids) // FLOOD_READS)]:
        if sid == OVERFLOW_STEM:  # which means the file of all of them
            continue
        rows = [line.row for line in read(sid, where)]
        if [(row["session_id"], row["number"]) for row in rows] != [(sid, number)]:
            wrong.append(f"past the limit, {sid!r} reads as {rows}")
    listed = {summary.session_id for summary in sessions(where)}
    wrong += ["past the limit, other sessions are listed"] * (
        len(listed) != LIMIT + 1 or not listed <= {*ids, OVERFLOW_STEM}
    )
    known = set(open_store(where).ids())
    wrong += ["past the limit, other sessions are known"] * (known != {*ids, OVERFLOW_STEM})
    print(f"{len(ids)} sessions in {files} files, all found")


# --- what is planted ------------------------------------------------------------------------------


def planted(root: str, home: str, wrong: list[str]) -> None:
    """Log to sessions at whose files' places there is something else."""
    victim = os.path.join(home, "victim")
    with open(victim, "w", encoding="utf-8") as file:
        file.write("as it was\n")
    os.mkdir(root, 0o700)
    made = []
    with contextlib.ExitStack() as stack:
        for (name, plant), suffix in itertools.product(PLANTS.items(), ("logs", "spans")):
            try:
                plant(os.path.join(root, f"{name}.{suffix}.jsonl"), victim, stack)
            except PermissionError:
                print(f"not allowed to plant: {name}")
            else:
                made.append((name, suffix))
        start = time.monotonic()
        handler, exporter = SessionFileHandler(root), FileSpanExporter(root)
        logging.raiseExceptions = False
        logging.getLogger("tracectrl").addHandler(logging.NullHandler())
        for name in PLANTS:
            for sid in (name, f"beside-{name}"):
                handler.emit(record(sid, 0))
                exporter.export([ReadableSpan("x", attributes={"session.id": sid})])
        took = time.monotonic() - start
        handler.close()
        exporter.shutdown()
    lost = handler.lost + exporter.lost
    wrong += [f"{lost} of {len(made)} counted as lost"] * (lost != len(made))
    wrong += ["writing took too long"] * (took > len(PLANTS))
    with open(victim, encoding="utf-8") as file:
        wrong += ["the victim was written to"] * (file.read() != "as it was\n")
    wrong += ["a file was made through a link"] * os.path.exists(f"{victim}-new")
    for name in PLANTS:
        found = len(list(read(f"beside-{name}", root)))
        wrong += [f"beside {name}: {found} lines"] * (found < 2)
    replaced(root, victim, wrong)
    print(f"{len(made)} planted, refused: {', '.join(dict.fromkeys(name for name, _ in made))}")


def replaced(root: str, victim: str, wrong: list[str]) -> None:
    """Put a link at the place of a file that is open already."""
    handler = SessionFileHandler(root)
    handler.emit(record("open", 0))
    os.replace(log_path("open", root), os.path.join(root, "open.logs.jsonl.1"))
    os.symlink(victim, log_path("open", root))
    time.sleep(1)
    handler.emit(record("open", 1))
    handler.close()
    with open(victim, encoding="utf-8") as file:
        wrong += ["the victim was written to, later"] * (file.read() != "as it was\n")
    wrong += [f"{handler.lost} lost behind a new link"] * (handler.lost != 1)


def bind(path: str, _: str, stack: contextlib.ExitStack) -> None:
    """Make a socket at *path*, which may be too long for one."""
    here = os.open(os.path.dirname(path), os.O_RDONLY)
    stack.callback(os.close, here)
    server = stack.enter_context(socket.socket(socket.AF_UNIX))
    server.bind(f"/proc/self/fd/{here}/{os.path.basename(path)}")


PLANTS: dict[str, Callable[[str, str, contextlib.ExitStack], object]] = {
    "link": lambda path, victim, _: os.symlink(victim, path),
    "dangling-link": lambda path, victim, _: os.symlink(f"{victim}-new", path),
    "link-to-itself": lambda path, *_: os.symlink(path, path),
    "link-to-directory": lambda path, victim, _: os.symlink(os.path.dirname(victim), path),
    "link-to-device": lambda path, *_: os.symlink("/dev/null", path),
    "pipe": lambda path, *_: os.mkfifo(path),
    "directory": lambda path, *_: os.mkdir(path),
    "socket": bind,
    "null-device": lambda path, *_: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3)),
    "full-device": lambda path, *_: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 7)),
    "block-device": lambda path, *_: os.mknod(path, 0o600 | stat.S_IFBLK, os.makedev(7, 99)),
}


def record(sid: str, number: int) -> logging.LogRecord:
    """Return a record of the session *sid*."""
    return logging.makeLogRecord(
        {"name": "stress", "levelname": "INFO", "msg": "x", "session_id": sid, "number": number}
    )


if __name__ == "__main__":
    sys.exit(main())
