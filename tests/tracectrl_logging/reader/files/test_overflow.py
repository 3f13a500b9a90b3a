"""The file of the sessions past a limit: each line is found with its session."""

from __future__ import annotations

import gzip
import json
import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal

import pytest

from tracectrl.exporter import FileSpanExporter
from tracectrl.files.retention.compress import compress
from tracectrl.session import session
from tracectrl_logging import SessionFileHandler
from tracectrl_logging.reader import Damage, UnknownSessionError, open_store, read, sessions

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]

HOSTILE_IDS = ["../x", "a b", "übung", "x" * 300, "é" * 300, "con", "%"]


def line(sid: str, number: int, **more: object) -> bytes:
    """Return a log line of the session *sid*, written at the second *number*."""
    time = f"2025-01-01T00:00:{number:02}.000000Z"
    return json.dumps({"timestamp": time, "session_id": sid, "n": number, **more}).encode()


def numbers(root: Path, sid: str, damages: list[Damage] | None = None) -> list[int]:
    """Return the numbers of the lines of *sid*, as they are read."""
    seen = [] if damages is None else damages
    found = [it.row["n"] for it in read(sid, root, on_damage=seen.append)]
    assert damages is not None or seen == []
    return found


@pytest.fixture
def flood(root: Path) -> Callable[..., None]:
    """Return the function that logs to sessions of which one alone may have a file."""

    def log(*ids: str) -> None:
        from logging import makeLogRecord  # noqa: PLC0415 - for this alone

        handler = SessionFileHandler(root, max_sessions_per_minute=1)
        for sid in ids:
            handler.emit(makeLogRecord({"name": "app", "msg": "hello", "session_id": sid}))
        handler.close()

    return log


def test_what_the_handler_writes(flood: Callable[..., None], root: Path) -> None:
    """Sessions that were given no file are read and known as all the others; listed is their file."""
    ids = ["first", *HOSTILE_IDS]
    flood(*ids, *ids)
    assert {"first.logs.jsonl", "%overflow.logs.jsonl"} == set(os.listdir(root))
    others = 2 * len(HOSTILE_IDS)
    assert {"first": 2, "%overflow": others} == {it.session_id: it.logs for it in sessions(root)}
    assert others == sum(1 for _ in read("%overflow", root))
    for sid in ids:
        assert [sid, sid] == [it.row["session_id"] for it in read(sid, root)]
        assert sid in open_store(root).ids(sid)
    assert set(ids) | {"%overflow"} == set(open_store(root).ids())
    with pytest.raises(UnknownSessionError):
        read("second", root)


def test_merged_with_its_own_files(write: Write, root: Path) -> None:
    """A session that got a file later, or had one before, has the lines of both, by their times."""
    write("s.logs.jsonl", line("s", 1), line("s", 4, level="ERROR", service="a"))
    write("%overflow.logs.jsonl.1", line("s", 2), line("t", 2))
    write("%overflow.logs.jsonl", line("t", 3), line("s", 3), line("s", 5, service="b"))
    assert ([1, 2, 3, 4, 5], [2, 3]) == (numbers(root, "s"), numbers(root, "t"))
    both = {it.session_id: it for it in sessions(root)}
    assert (5, 1, ("a", "b")) == (both["s"].logs, both["s"].errors, both["s"].services)
    assert (2, (), {"s", "%overflow"}) == (
        both["%overflow"].logs,
        both["%overflow"].services,
        set(both),
    )
    assert [2, 3] == numbers(root, "%overflow")


@pytest.mark.parametrize("is_copied", [False, True])
def test_the_latest_is_in_both(
    is_copied: bool,  # noqa: FBT001 - a parameter
    write: Write,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Among many a session is the latest by its line in the shared file, and meets conditions there."""
    monkeypatch.setattr("tracectrl_logging.reader.files.overview._SMALL_SESSIONS", 0)
    monkeypatch.setattr("tracectrl_logging.reader.files.overview._HEAD", 2)
    for number in range(9):
        path = write(f"s{number}.logs.jsonl", line(f"s{number}", number))
        second = datetime(2025, 1, 1, 0, 0, number, tzinfo=timezone.utc).timestamp()
        os.utime(path, (second + 1000 * is_copied,) * 2)
    write("%overflow.logs.jsonl", line("s3", 40, x=1), line("other", 41))
    latest = [it.session_id for it in sessions(root, limit=3)]
    assert ["%overflow", "s3", "s8"] == latest
    assert ["s3"] == [it.session_id for it in sessions(root, where=["x=1"], limit=1)]


def test_tail_of_its_name(write: Write, root: Path) -> None:
    """The name means the shared file where that is there; another one means the session named so."""
    stranger = write("%25overflow.logs.jsonl", line("%overflow", 1))
    write("%overflow.logs.jsonl", line("s", 2), line("%overflow", 3))

    def tailed(sid: str) -> list[int]:
        with open_store(root).tail([sid]) as following:
            return [it.row["n"] for it in following.last()]

    assert ([2, 3], [1, 3]) == (tailed("%overflow"), tailed("%25overflow"))
    os.remove(root / "%overflow.logs.jsonl")
    assert [1] == tailed("%overflow")
    os.remove(stranger)
    assert [] == tailed("%overflow")


def test_lines_without_a_session(write: Write, root: Path) -> None:
    """A line that carries no ID is of ``unknown``."""
    write("%overflow.logs.jsonl", b'{"n":1}', b'{"n":2,"session_id":5}', line("unknown", 3))
    assert [1, 2, 3] == numbers(root, "unknown")
    assert ["%overflow"] == [it.session_id for it in sessions(root)]


def test_damage(write: Write, root: Path) -> None:
    """Damaged lines are reported once, by their places, and hide no other."""
    path = write("%overflow.logs.jsonl", b"bad", line("s", 1), b"", b"[]", line("t", 2), b"bad")
    expected = [
        Damage(str(path), 1, "not JSON"),
        Damage(str(path), 4, "not a JSON object"),
        Damage(str(path), 6, "not JSON"),
    ]
    for sid, number in (("s", 1), ("t", 2)):
        damages: list[Damage] = []
        assert [number] == numbers(root, sid, damages)
        assert expected == damages
    damages = []
    assert [2] == [it.logs for it in sessions(root, on_damage=damages.append)]
    assert expected == damages
    assert [2, 5] == [it.number for sid in "st" for it in read(sid, root, on_damage=damages.append)]


def test_spans(root: Path, write: Write) -> None:
    """Spans in such a file are found like log lines, the OTLP ones among them."""
    write(
        "%overflow.spans.jsonl",
        *(b'{"session_id":"%s","start_time":"x"}' % it for it in (b"s", b"t")),
    )
    otlp = b'{"resourceSpans":[{"scopeSpans":[{"spans":[%s]}]}]}'
    span = b'{"name":"%s","attributes":[{"key":"session.id","value":{"stringValue":"%s"}}]}'
    write(
        "%overflow.spans.jsonl.1",
        otlp % b",".join((span % (b"a", b"s"), span % (b"b", b"t"))),
        b'{"resourceSpans":5}',
    )
    damages: list[Damage] = []
    found = [it.row.get("name") for it in read("s", root, on_damage=damages.append)]
    assert (["a", None], ["not OTLP/JSON"]) == (found, [damage.reason for damage in damages])
    assert {"%overflow": 4} == {
        it.session_id: it.spans for it in sessions(root, on_damage=damages.append)
    }


def test_spans_of_the_exporter(root: Path, file_tracer: object, logger: logging.Logger) -> None:
    """The exporter's own file of many is read in either format."""
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - for this alone
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415

    from tracectrl.processor import SessionSpanProcessor  # noqa: PLC0415

    del file_tracer, logger
    forms: tuple[Literal["flat", "otlp"], ...] = ("flat", "otlp")
    for form in forms:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SessionSpanProcessor())
        exporter = FileSpanExporter(root / form, format=form, max_sessions_per_minute=1)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        for sid in ("s", "t", "u"):
            with session(sid), provider.get_tracer("x").start_as_current_span(sid):
                pass
        provider.shutdown()
        spans = {it.session_id: it.spans for it in sessions(root / form)}
        assert {"s": 1, "%overflow": 2} == spans
        assert ["u"] == [it.row["name"] for it in read("u", root / form)]


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_compressed(packed: str, write: Write, root: Path) -> None:
    """The file is read compressed, too, and what of it is damaged is reported."""
    for start in range(3):
        path = write("%overflow.logs.jsonl", *(line("s", start * 10 + it) for it in range(10)))
        compress(root, packed=packed)  # type: ignore[arg-type]
    assert list(range(30)) == numbers(root, "s")
    path = root / f"%overflow.logs.jsonl.1.{packed}"
    path.write_bytes(path.read_bytes()[:-5])
    damages: list[Damage] = []
    assert list(range(20)) == numbers(root, "s", damages)[:20]
    assert [str(path)] == [it.path for it in damages]


def test_descriptors(write: Write, root: Path, run_python: Callable[..., str]) -> None:
    """Nothing stays open once the session is read; counted where no other test has a thread."""
    write("%overflow.logs.jsonl", line("s", 1))
    (root / "%overflow.logs.jsonl.1.gz").write_bytes(gzip.compress(line("s", 0)))
    source = """
import gc, os, sys
from tracectrl_logging.reader import read
before = len(os.listdir("/proc/self/fd"))
for _ in range(5):
    assert [0, 1] == [it.row["n"] for it in read("s", sys.argv[1])]
gc.collect()
assert before == len(os.listdir("/proc/self/fd"))
"""
    assert "" == run_python(source, str(root))
