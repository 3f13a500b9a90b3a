"""SQL over all sessions: what the views hold, whatever state the files are in."""

from __future__ import annotations

import gzip
import json
import logging
import os
import random
import signal
import sys
import threading
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tracectrl.errors import MissingExtraError
from tracectrl.exporter import FileSpanExporter
from tracectrl.files import log_path, span_path
from tracectrl.files.retention.compress import compress
from tracectrl.processor import SessionSpanProcessor
from tracectrl.session import session
from tracectrl_logging import SessionFileHandler, reader
from tracectrl_logging.reader import sql as database
from tracectrl_logging.reader.sql.cells import converter, dumps
from tracectrl_logging.reader.sql.ready import READY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from opentelemetry import trace

    Write = Callable[..., Path]

LINE = b'{"timestamp":"2026-01-01T10:00:00.000001Z","level":"INFO","logger":"a","message":"%s","session_id":"s"}'


@pytest.fixture
def ask(root: Path) -> Callable[..., list[tuple[Any, ...]]]:
    """Return the function that runs SQL on ``root``; damage fails, unless it goes to a list."""

    def run(sql: str, damages: list[str] | None = None, **options: Any) -> list[tuple[Any, ...]]:
        found: list[str] = []
        with reader.query(sql, root, on_damage=lambda it: found.append(str(it)), **options) as rows:
            answer = list(rows)
        if damages is None:
            assert [] == found
        else:
            damages += found
        return answer

    return run


def test_logs(ask: Any, logger: logging.Logger, tracer: trace.Tracer, root: Path) -> None:
    """A log line's keys are columns with types, its extras are JSON."""
    with session("s"), tracer.start_as_current_span("span") as span:
        try:
            raise ValueError("no")  # noqa: EM101, TRY301 - for its traceback
        except ValueError:
            logger.exception("broken", extra={"tool": "search", "n": {"deep": [1, None]}})
    context = span.get_span_context()
    with reader.query("FROM logs", root) as rows:
        columns = rows.columns
        (row,) = rows
    found = dict(zip(columns, row, strict=True))
    assert f"{context.trace_id:032x}" == found["trace_id"]
    assert f"{context.span_id:016x}" == found["span_id"]
    assert ("ERROR", "app", "broken", "s") == tuple(
        found[key] for key in ("level", "logger", "message", "session_id")
    )
    assert datetime.now(timezone.utc) - found["timestamp"] < timedelta(minutes=1)
    assert {"type", "message", "stacktrace"} == found["exception"].keys()
    assert ("ValueError", "no") == (found["exception"]["type"], found["exception"]["message"])
    assert {"tool": "search", "n": {"deep": [1, None]}} == json.loads(found["extras"])
    assert str(log_path("s", root)) == found["file"]
    assert [("search",)] == ask("SELECT extras->>'tool' FROM logs WHERE exception.type LIKE 'V%'")


@pytest.mark.parametrize("form", ["flat", "otlp"])
def test_spans(form: Any, ask: Any, root: Path) -> None:
    """A span's keys are columns, however it is stored."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(root, format=form)))
    start = provider.get_tracer("t").start_as_current_span
    with session("s"), start("parent"), start("child") as child:
        child.set_attribute("k", [1, 2])
        child.add_event("e", {"x": True})
    provider.shutdown()
    expected = [("child", True, "t", "[1,2]", "e", "s"), ("parent", False, "t", None, None, "s")]
    assert expected == ask(
        "SELECT name, parent_span_id IS NOT NULL, scope, attributes->>'k', events->0->>'name', "
        "session_id FROM spans WHERE duration_ns > 0 AND end_time >= start_time ORDER BY name"
    )


def test_sessions(ask: Any, logger: logging.Logger, file_tracer: trace.Tracer, root: Path) -> None:
    """The view of sessions has the numbers that the reader has."""
    for sid in ("a", "../b"):
        with session(sid), file_tracer.start_as_current_span("span"):
            logger.error("broken")
            logger.info("mended")
    form = "%Y-%m-%dT%H:%M:%S.%fZ"
    expected = {
        it.session_id: (it.first_time, it.last_time, it.logs, it.spans, it.errors, [*it.services])
        for it in reader.sessions(root)
    }
    assert expected == {
        sid: (first.strftime(form), last.strftime(form), *rest)
        for sid, first, last, *rest in ask(
            "SELECT session_id, first_time, last_time, logs, spans, errors, services FROM sessions"
        )
    }
    assert [(True,), (True,)] == ask(
        "SELECT duration_ns = epoch_ns(last_time) - epoch_ns(first_time) FROM sessions"
    )


def test_sessions_of_sessions(
    ask: Any, logger: logging.Logger, file_tracer: trace.Tracer, root: Path
) -> None:
    """The view names the parent and the session before, as the reader does; the tables do not."""
    with session("top"):
        logger.info("begun")
        with session("../child", parent=True), file_tracer.start_as_current_span("span"):
            pass
        with session("next", previous=True):
            logger.info("goes on", extra={"tracectrl.session.parent_id": "next"})

    expected = sorted((it.session_id, it.parent, it.previous) for it in reader.sessions(root))
    assert [("../child", "top", None), ("next", None, "top"), ("top", None, None)] == expected
    assert expected == ask("SELECT session_id, parent, previous FROM sessions ORDER BY 1")
    columns = {name for name, *_ in ask("DESCRIBE SELECT * FROM logs")}
    assert not [name for name in columns if name.startswith("session_") and name != "session_id"]


@pytest.mark.parametrize("packed", [None, "gz", "zst"])
def test_rotated_and_compressed(packed: Any, ask: Any, root: Path) -> None:
    """Each line is there once, whichever of a session's files it is in."""
    handler = SessionFileHandler(root, max_bytes=2000, backup_count=99)
    for index in range(100):
        record = logging.makeLogRecord({"msg": f"{index}", "session_id": f"s{index % 2}"})
        handler.handle(record)
    handler.close()
    if packed is not None:
        compress(root, packed=packed)
    assert [(100, 100, 2)] == ask(
        "SELECT count(*), count(DISTINCT message), count(DISTINCT session_id) FROM logs"
    )


def test_damage(ask: Any, write: Write) -> None:
    """Damaged lines are left out and reported with their places; the others are all there."""
    lone = b'{"message":"\\ud800","level":"L"}'
    path = write("s.logs.jsonl", LINE % b"1", b"bad", b"[1]", b"", b"null", lone, LINE % b"2")
    garbage = write("g.logs.jsonl", bytes(range(256)) * 100)
    cut = write("c.logs.jsonl", LINE % b"3", b'{"level":"cut')
    nul = write("n.logs.jsonl", LINE % b"4", b"\0" * 100, LINE % b"5\\r")
    write("r.logs.jsonl", LINE % b"6" + b"\r")
    for sql in (
        "SELECT message FROM logs WHERE level = 'INFO' ORDER BY 1",
        "SELECT message FROM logs, range(3000) WHERE level = 'INFO' GROUP BY 1 ORDER BY 1",
    ):
        damages: list[str] = []
        assert [("1",), ("2",), ("3",), ("4",), ("5\r",), ("6",)] == ask(sql, damages)
        assert f"{cut}: line 2: not JSON" in damages
        assert {
            f"{path}: line 2: not JSON",
            f"{path}: line 3: not a JSON object",
            f"{path}: line 5: not a JSON object",
            f"{nul}: line 2: holds NUL bytes",
        } <= {*damages}
        assert any(it.startswith(str(garbage)) for it in damages)
    assert [(7,)] == ask("SELECT count(*) FROM logs", [])


def test_truncated_gzip(ask: Any, root: Path, write: Write) -> None:
    """What is left of a truncated file is there, and the rest is reported."""
    write("s.logs.jsonl", LINE % b"1")
    lines = b"".join(LINE % random.randbytes(20).hex().encode() + b"\n" for _ in range(20_000))  # noqa: S311
    data = gzip.compress(lines)
    (root / "t.logs.jsonl.1.gz").write_bytes(data[: len(data) // 2])
    damages: list[str] = []
    ((count,),) = ask("SELECT count(*) FROM logs", damages)
    assert 8000 < count < 12_000
    assert any("t.logs.jsonl.1.gz" in it and "cannot be read" in it for it in damages)


def test_large_answers_are_streamed(ask: Any, write: Write) -> None:
    """An answer too large to be held back is whole, and each line is in it once, damage or not."""
    lines = [LINE % str(index).encode() for index in range(5000)]
    path = write("s.logs.jsonl", *lines[:4000], b"bad", *lines[4000:])
    damages: list[str] = []
    assert [str(index) for index in range(5000)] == [
        message for (message,) in ask("SELECT message FROM logs", damages)
    ]
    assert [f"{path}: line 4001: not JSON"] == damages


@pytest.mark.parametrize("megabytes", [1, 3, 10, 13])
def test_long_lines(megabytes: int, ask: Any, write: Write) -> None:
    """A line of many megabytes is a line like the others."""
    long = b"x" * (megabytes * 1_000_000)
    write("s.logs.jsonl", LINE % b"1", LINE % long, LINE % b"2")
    assert [(1,), (1,), (len(long),)] == ask(
        "SELECT length(message) FROM logs ORDER BY 1", memory_mb=500
    )


@pytest.mark.parametrize("end", [b"", b"\n", b"\n" + LINE % b"1" + b"\n"])
def test_too_long_lines(end: bytes, ask: Any, write: Write) -> None:
    """A line past the limit of all commands is damage, cut off or not; the others are there."""
    path = write("s.logs.jsonl", LINE % b"1", LINE % b"2")
    with path.open("ab") as file:
        file.write((LINE % (b"x" * 33 * 1024 * 1024)) + end)
    damages: list[str] = []
    expected = [("1", 2 if b"1" in end else 1), ("2", 1)]
    assert expected == ask("SELECT message, count(*) FROM logs GROUP BY 1 ORDER BY 1", damages)
    assert [f"{path}: line 3: longer than 3125000 bytes"] == damages


def test_hostile_names(ask: Any, root: Path, write: Write, tmp_path: Path) -> None:
    """Nothing but regular files counts, and no name means another file."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(LINE % b"secret")
    write("s.logs.jsonl", LINE % b"1")
    for name in ("[s]*.logs.jsonl", "it's.logs.jsonl", "a\nb.logs.jsonl", "*.logs.jsonl"):
        write(name, LINE % b"not a session's file")
    (root / "link.logs.jsonl").symlink_to(elsewhere)
    os.mkfifo(root / "fifo.logs.jsonl")
    (root / "directory.logs.jsonl").mkdir()
    assert [("1",)] == ask("SELECT message FROM logs")


def test_hostile_root(tmp_path: Path) -> None:
    """The root's own name may hold anything."""
    root = tmp_path / "it's [a] *\n\x01"
    handler = SessionFileHandler(root)
    handler.handle(logging.makeLogRecord({"msg": "m", "session_id": "s"}))
    handler.close()
    with reader.query("SELECT file, message FROM logs", root) as rows:
        assert [(str(log_path("s", root)), "m")] == list(rows)


@pytest.mark.parametrize("sid", ["../x", "a b", "übung", "x" * 300, "\x1b[2Ja\nb\x01", "'", "con"])
def test_sessions_of_lines_without_an_id(sid: str, ask: Any, root: Path) -> None:
    """A line that names no session is its file's."""
    root.mkdir()
    line = json.dumps({"message": "m", "session_id": sid}).encode()
    log_path(sid, root).write_bytes(
        line + b'\n{"message":"n"}\n{"message":"o","session_id":null}\n'
    )
    assert [(sid, 3)] == ask("SELECT session_id, count(*) FROM logs GROUP BY 1")


@pytest.mark.parametrize("sid", ["a\ud800", "\udfff", "b\udc80" * 100])
def test_lone_surrogates(sid: str, ask: Any, logger: logging.Logger, root: Path) -> None:
    r"""What UTF-8 cannot hold is spelt out as ``\udXXX``, so that two IDs stay two."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(root, format="otlp")))
    for name in (sid, f"{sid}\udabc"):
        with session(name), provider.get_tracer("t").start_as_current_span("span"):
            logger.info("%s", name)
    with log_path(sid, root).open("a", encoding="utf-8") as file:
        file.write('{"message":"alone"}\n')
    provider.shutdown()
    expected = sid.encode("utf-8", "backslashreplace").decode()
    assert [(expected, 2, 1), (f"{expected}\\udabc", 1, 1)] == ask(
        "SELECT session_id, logs, spans FROM sessions ORDER BY logs DESC"
    )
    assert [(2,)] == ask("SELECT count(*) FROM logs WHERE message = session_id")


@pytest.mark.parametrize("careful", [False, True])
def test_ids_that_are_none(careful: bool, ask: Any, write: Write) -> None:  # noqa: FBT001 - a parameter
    """A session ID that is empty, or no text, is none: the line is its file's."""
    ids = ['""', '["x"]', '{"a":1}', "1", "-2.5e7", "true", "false", "null", "[]"]
    texts = ['"1"', '"true"', '"[x]"', '"{}"', '"-1e5"', '" "']
    lines = [b'{"message":"m","session_id":%s}' % it.encode() for it in ids + texts]
    write("s.logs.jsonl", *lines, *([b"\0"] if careful else []))
    write("s.spans.jsonl", *lines)
    expected = sorted([("s", len(ids)), *((json.loads(text), 1) for text in texts)])
    for table in ("logs", "spans"):
        sql = f"SELECT session_id, count(*) FROM {table} GROUP BY 1 ORDER BY 1"  # noqa: S608
        assert expected == ask(sql, [])


@pytest.mark.parametrize("year", ["0001", "9999"])
def test_years_apart(year: str, ask: Any, write: Write) -> None:
    """A session whose duration no 64 bits hold has none, and hides no other."""
    write("a.logs.jsonl", LINE % b"1", (LINE % b"2").replace(b"2026-", f"{year}-".encode()))
    write("b.logs.jsonl", b'{"timestamp":"infinity"}', b'{"timestamp":"2026-01-01T00:00:00Z"}')
    expected = [("a", None), ("b", 0)]
    assert expected == ask("SELECT session_id, duration_ns FROM sessions ORDER BY 1")
    assert 2 == len(ask("FROM sessions"))


def test_overflow(ask: Any, root: Path) -> None:
    """Lines of sessions past the limit count for their own sessions."""
    handler = SessionFileHandler(root, max_sessions_per_minute=1)
    for index in range(5):
        handler.handle(logging.makeLogRecord({"msg": "m", "session_id": f"s{index}"}))
    handler.close()
    assert [(f"s{index}", 1) for index in range(5)] == ask(
        "SELECT session_id, count(*) FROM logs GROUP BY 1 ORDER BY 1"
    )
    expected = [(it.session_id, it.logs) for it in reader.sessions(root)]
    assert sorted(expected) == ask("SELECT session_id, logs FROM sessions ORDER BY 1")
    assert ("%overflow", 4) in expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM logs a JOIN logs b USING (message)",
        (
            "WITH l AS (SELECT * FROM logs) SELECT (SELECT count(*) FROM l WHERE message < '5') +"
            " (SELECT count(*) FROM logs WHERE message >= '5')"
        ),
        (
            "WITH RECURSIVE r AS (SELECT '0' AS m UNION SELECT message FROM r JOIN logs ON"
            " message::int = m::int + 1) SELECT count(*) FROM r"
        ),
        "SELECT count(*) FROM (SELECT * FROM logs UNION ALL BY NAME SELECT * FROM logs)",
        "SELECT count(*) FROM logs NATURAL JOIN (SELECT session_id, count(*) FROM logs GROUP BY 1)",
        "SELECT sum(n) FROM (PIVOT logs ON level USING count(*) AS n GROUP BY message) t(m, n)",
    ],
)
def test_lines_read_more_than_once(sql: str, ask: Any, write: Write) -> None:
    """A query may use a view any number of times; each time it is whole."""
    write("s.logs.jsonl", *(LINE % str(index).encode() for index in range(10)))
    assert [(20 if "UNION ALL" in sql else 10,)] == ask(sql)


def test_statements_about_the_views(ask: Any, write: Write) -> None:
    """DESCRIBE, SUMMARIZE, EXPLAIN and PIVOT are queries, too."""
    write("s.logs.jsonl", LINE % b"1", LINE % b"2")
    assert ("level", "VARCHAR") == ask("DESCRIBE logs")[1][:2]
    assert {"level", "message"} < {row[0] for row in ask("SUMMARIZE logs")}
    assert ask("EXPLAIN SELECT * FROM logs")
    assert [("s", 2)] == ask("PIVOT logs ON level USING count(*) GROUP BY session_id")
    assert [] == ask("SELECT * FROM logs WHERE false")
    assert [(1,)] == ask("SELECT 1")


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "-- nothing",
        "nonsense",
        "SELECT nope FROM logs",
        "SELECT * FROM nope",
        "SELECT 1; SELECT 2",
        "SELECT message::INT FROM logs",
        "DROP VIEW logs",
        "INSERT INTO logs SELECT * FROM logs",
        "CREATE TABLE t (i INT)",
        "COPY (SELECT 1) TO '{target}'",
        "ATTACH '{target}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM read_csv('/dev/fd/0')",
        "SELECT * FROM 'https://127.0.0.1/x.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{target}'",
    ],
)
def test_wrong_or_harmful(sql: str, ask: Any, write: Write, tmp_path: Path) -> None:
    """SQL that is wrong, or wants more than the views, raises one line; nothing is written."""
    write("s.logs.jsonl", LINE % b"x")
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n", encoding="utf-8")
    target = tmp_path / "target"
    with pytest.raises(database.QueryError) as raised:
        ask(sql.format(secret=secret, target=target))
    assert "\n" not in str(raised.value)
    assert str(raised.value)
    assert not target.exists()


def test_too_little_memory(ask: Any, write: Write) -> None:
    """A query that needs more than it may use says so."""
    write("s.logs.jsonl", *(LINE % (b"%d" % index * 40) for index in range(20_000)))
    with pytest.raises(database.QueryError, match="too little memory"):
        ask("SELECT list(message) FROM logs", memory_mb=10)


def test_closing_early(root: Path, write: Write) -> None:
    """Rows need not be read to the end."""
    write("s.logs.jsonl", *(LINE % str(index).encode() for index in range(50_000)))
    rows = reader.query("SELECT * FROM logs, range(10)", root)
    assert next(rows)
    rows.close()
    rows.close()


def test_interrupt(root: Path, write: Write) -> None:
    """Ctrl-C ends a query that would take for ever, with its process."""
    write("s.logs.jsonl", LINE % b"1")
    # It takes no memory, and for ever.
    sql = "SELECT count(*) FROM logs, range(99999) a, range(99999) b, range(99999) c"
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        reader.query(sql, root)
    timer.join()


def test_params(ask: Any, write: Write) -> None:
    """Values for parameters are no part of the SQL, by place or by name."""
    write("s.logs.jsonl", LINE % b"x' OR true --", LINE % b"2")
    word = "x' OR true --"
    assert [(1,)] == ask("SELECT count(*) FROM logs WHERE message = ?", params=[word])
    assert [(1,)] == ask("SELECT count(*) FROM logs WHERE message = $m", params={"m": word})
    sql = "SELECT count(*) FROM logs a, logs b WHERE a.message = b.message AND a.message < ?"
    assert [(1,)] == ask(sql, params=["3"])
    with pytest.raises(reader.QueryError):
        ask("SELECT ?")


def test_nanoseconds(ask: Any, write: Write) -> None:
    """A time in nanoseconds keeps all its digits, as text."""
    write("s.logs.jsonl", LINE % b"1")
    sql = "SELECT make_timestamp_ns(1) AS x, message, make_timestamp_ns(epoch_ns(timestamp)) AS x FROM logs"
    expected = [("1970-01-01T00:00:00.000000001", "1", "2026-01-01T10:00:00.000001")]
    assert expected == ask(sql)


def test_no_temporary_directory(ask: Any, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no temporary file can be made a query runs, in memory alone."""
    write("s.logs.jsonl", LINE % b"1", LINE % b"2")
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    assert [(4,)] == ask("SELECT count(*) FROM logs a, logs b")
    with pytest.raises(reader.QueryError, match="too little memory"):
        ask("SELECT list(range) FROM range(100000000)")


def test_missing_root(root: Path) -> None:
    """A root that cannot be read is an OSError."""
    with pytest.raises(FileNotFoundError):
        reader.query("FROM logs", root)


def test_empty_root(ask: Any, root: Path) -> None:
    """Where nothing is stored the views are empty."""
    root.mkdir()
    assert [(0,)] == ask("SELECT count(*) FROM sessions")


@pytest.mark.parametrize("name", ["errors", "slow"])
def test_ready(name: str, ask: Any, write: Write) -> None:
    """The ready-made queries find errors and slow spans."""
    write("s.logs.jsonl", LINE % b"1", (LINE % b"2").replace(b"INFO", b"ERROR"))
    write("s.spans.jsonl", b'{"name":"2","start_time":"2026-01-01T00:00:00Z","duration_ns":5}')
    ((*_, last),) = ask(READY[name].sql)
    assert "2" == last


def test_ready_errors(ask: Any, write: Write) -> None:
    """Errors are log lines by the number of their severity, and spans by their status."""
    write("s.logs.jsonl", b'{"level":"fatal","message":"broken"}', b'{"level":"AUDIT"}')
    write("s.spans.jsonl", b'{"name":"n","status":"ERROR","status_message":"no"}', b'{"name":"m"}')
    found = {(lines, spans, message) for lines, spans, *_, message in ask(READY["errors"].sql)}
    assert {(1, 0, "broken"), (0, 1, "n: no")} == found


def test_missing_extra(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DuckDB the error holds the line that installs it."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError, match="pip install 'duckdb"):
        reader.query("FROM logs", root)


OWN = b'{"timestamp":"2026-02-03T09:15:27.000000Z","level":"%s","logger":"a","message":"m"%s}'


def test_severities(ask: Any, write: Write) -> None:
    """A severity is a number in each spelling of a level, and says which lines are errors."""
    write(
        "s.logs.jsonl",
        *(OWN % (level, b"") for level in (b"DEBUG", b"CRITICAL", b"error", b"WARN", b"odd")),
        OWN.replace(b',"logger"', b',"severity_number":20,"logger"') % (b"AUDIT", b""),
        b'{"level":45}',
        b'{"level":"INFO","severity_number":3}',
        b"{}",
    )
    expected = [
        ("DEBUG", 5),
        ("CRITICAL", 21),
        ("ERROR", 17),
        ("WARNING", 13),
        ("odd", None),
        ("AUDIT", 20),
        ("45", 20),
        ("INFO", 9),
        (None, None),
    ]
    assert expected == ask("SELECT level, severity_number FROM logs")
    assert [(n,) for _, n in expected] == ask("SELECT severity_number FROM logs")
    assert [(4,)] == ask("SELECT errors FROM sessions")


@pytest.mark.parametrize(
    ("row", "logger"),
    [
        ({"event": "boom", "level": "error", "timestamp": "2026-02-03T09:15:27Z"}, None),
        (
            {"asctime": "2026-02-03 09:15:27,000", "levelname": "ERROR", "name": "a"}
            | {"message": "boom"},
            "a",
        ),
        (
            {"@timestamp": "2026-02-03T09:15:27.000Z", "message": "boom"}
            | {"log": {"level": "error", "logger": "a"}},
            "a",
        ),
        ({"time": "2026-02-03T09:15:27Z", "severity": "ERROR", "message": "boom"}, None),
        ({"time": 1_770_110_127_000, "level": 50, "msg": "boom", "name": "a"}, "a"),
    ],
)
def test_lines_of_others(row: dict[str, Any], logger: str | None, ask: Any, write: Write) -> None:
    """A line of another library has our columns, and its own keys in the extras."""
    write("s.logs.jsonl", LINE % b"1", json.dumps({**row, "n": 1}).encode(), LINE % b"2")
    time = datetime(2026, 2, 3, 9, 15, 27, tzinfo=timezone.utc)
    assert [("boom", "ERROR", 17, logger, time, "1")] == ask(
        "SELECT message, level, severity_number, logger, timestamp, extras->>'n' FROM logs "
        "WHERE extras->>'n' IS NOT NULL"
    )


@pytest.mark.parametrize("place", ["2026-02-03 09:15:27,123", 1_770_110_127_123, "1770110127.123"])
def test_times(place: Any, ask: Any, write: Write) -> None:
    """A time in any form that a line may have is that time; what is none is null."""
    write("s.logs.jsonl", json.dumps({"timestamp": place}).encode(), b'{"timestamp":"never"}')
    time = datetime(2026, 2, 3, 9, 15, 27, 123_000, tzinfo=timezone.utc)
    assert [(time,), (None,)] == ask("SELECT timestamp FROM logs")
    assert [(time, time, 2)] == ask("SELECT first_time, last_time, logs FROM sessions")


@pytest.mark.parametrize(
    "line",
    [
        b'{"level":"INFO","level":"ERROR","message":"first","message":"second"}',
        OWN.replace(b'"m"', b'"first","message":"second"').replace(
            b'"%s"', b'"INFO","level":"ERROR"'
        )
        % b"",
        OWN % (b"INFO", b',"session_id":"s","level":"ERROR","message":"second"'),
        OWN % (b"INFO", b', "level":"ERROR", "message":"second"'),
        OWN % (b"INFO", b',"lev\\u0065l":"ERROR","messag\\u0065":"second"'),
        OWN % (b"INFO", b',"exception":{"type":"E"},"message":"second","level":"ERROR"'),
    ],
)
def test_keys_that_stand_twice(line: bytes, ask: Any, write: Write) -> None:
    """A key that stands twice has its last value, whatever the line looks like otherwise."""
    own = OWN % (b"INFO", b',"exception":{"type":"E","message":"e","stacktrace":"t"}')
    write("s.logs.jsonl", own, line, own)
    sql = "SELECT level, message FROM logs WHERE message <> 'm'"
    assert [("ERROR", "second")] == ask(sql)
    assert [(1,)] == ask("SELECT count(*) FROM logs WHERE level = 'ERROR'")


@pytest.mark.parametrize(
    ("more", "column", "value"),
    [
        (b',"service":"a","service":"b"', "service", "b"),
        (b',"x":1,"x":2', "extras->>'x'", "2"),
        (b',"x":{"y":1,"y":2}', "extras->'x'->>'y'", "2"),
        (b',"exception":{"type":"A","type":"B"}', "exception.type", "B"),
        (b',"service":"a","service":null', "service", None),
    ],
)
def test_more_keys_that_stand_twice(
    more: bytes, column: str, value: str | None, ask: Any, write: Write
) -> None:
    """A key that stands twice has its last value, beside lines without that key and inside objects."""
    write("s.logs.jsonl", OWN % (b"INFO", b""), OWN % (b"ERROR", more))
    sql = f"SELECT {column} FROM logs WHERE level = 'ERROR'"  # noqa: S608 - of the cases above
    assert [(value,)] == ask(sql)


def test_attributes_that_stand_twice(ask: Any, write: Write) -> None:
    """A span's key that stands twice has its last value, as a log line's."""
    span = b'{"name":"n","kind":"INTERNAL","session_id":"s","start_time":"%b","end_time":"%b"%b}'
    time = b"2026-01-01T10:00:00.000001Z"
    more = b',"status":"OK","status":"ERROR","attributes":{"x":1,"x":2}'
    write("s.spans.jsonl", span % (time, time, b""), span % (time, time, more))
    assert [(None, None), ("ERROR", "2")] == ask("SELECT status, attributes->>'x' FROM spans")
    assert [(1,)] == ask("SELECT error_spans FROM sessions")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2016-12-31T23:59:60.000000Z", "2017-01-01 00:00:00+00"),
        ("2016-12-31T24:00:00.000000Z", None),
        ("0000-01-01T00:00:00.000000Z", None),
        ("2026-02-30T00:00:00.000000Z", None),
        ("0001-01-01T00:00:00.000000Z", "0001-01-01 00:00:00+00"),
    ],
)
def test_times_of_our_form(text: str, canonical: str | None, ask: Any, write: Write) -> None:
    """A time that has our form is read as every other command reads it: not all are times."""
    write("s.logs.jsonl", LINE.replace(b"2026-01-01T10:00:00.000001Z", text.encode()) % b"m")
    assert [(canonical,)] == ask("SELECT timestamp::VARCHAR FROM logs")
    assert [(canonical,)] == ask("SELECT first_time::VARCHAR FROM sessions")


@pytest.mark.parametrize("value", [b"NaN", b"-Infinity", b"null"])
def test_numbers_that_are_none(value: bytes, ask: Any, write: Write) -> None:
    """NaN and infinities are null in every column, and an ID that is one is none."""
    more = b',"service":%b,"stack":%b,"trace_id":%b,"session_id":%b' % ((value,) * 4)
    write("s.logs.jsonl", OWN % (b"INFO", more))
    expected = [(None, None, None, "s")]
    assert expected == ask("SELECT service, stack, trace_id, session_id FROM logs")


@pytest.mark.parametrize("value", [b"nan", b"-inf", b"Inf", b"+1", b"01", b"'x'", b".5"])
def test_what_a_database_takes_beyond_json(value: bytes, ask: Any, write: Write) -> None:
    """A line that only a database's own reader of JSON would take is damage."""
    path = write("s.logs.jsonl", OWN % (b"INFO", b""), OWN % (b"ERROR", b',"x":' + value))
    damages: list[str] = []
    assert [("INFO",)] == ask("SELECT level FROM logs", damages)
    assert [f"{path}: line 2: not JSON"] == damages


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\x01",
        "\x02",
        '\x02"a"',
        "a\nb\r\n",
        "\0",
        '"',
        "\\n",
        "\x7f\u2028",
        "\ufeff",
        "ü😀",
        "1",
    ],
)
def test_texts(text: str, ask: Any, write: Write) -> None:
    """A text is the same text in SQL, whatever is in it, and not null where it is empty."""
    row = {"message": text, "exception": {"type": text, "message": None}, "x": {"y": text}}
    write("s.logs.jsonl", LINE % b"1", json.dumps({**row, "logger": text}).encode(), LINE % b"2")
    sql = (
        "SELECT message, logger, exception.type, exception.message, extras->'x'->>'y' FROM logs "
        "WHERE exception IS NOT NULL"
    )
    assert [(text, text, text, None, text)] == ask(sql)


@pytest.mark.parametrize("digits", ["9" * 19, "9" * 30, f"-{'9' * 30}", "18446744073709551616"])
def test_large_integers(digits: str, ask: Any, write: Write) -> None:
    """An integer past 64 bits keeps its digits, as text and in the extras."""
    other = digits[:-1] + "8"
    extras = f'{{"x":{{"y":[{digits},1.5,{other}]}}}}'
    write("s.logs.jsonl", f'{{"message":{digits},{extras[1:]}'.encode())
    expected = [(digits, extras)]
    assert expected == ask("SELECT message, extras::VARCHAR FROM logs")


@pytest.mark.parametrize("depth", [200, 400, 900, 1000])
def test_deep_values(depth: int, ask: Any, write: Write) -> None:
    """A value that is nested deeply takes no query with it, and no other line."""
    deep = b"[" * depth + b"]" * depth
    write("s.logs.jsonl", OWN % (b"INFO", b""), OWN % (b"ERROR", b',"x":' + deep))
    assert [("INFO",), ("ERROR",)] == ask("SELECT level FROM logs")
    assert [(2,)] == ask("SELECT count(extras) FROM logs")


@pytest.mark.parametrize(
    ("sql", "cell"),
    [
        ("'infinity'::timestamptz", "9999-12-31T23:59:59.999999Z"),
        ("['-infinity'::timestamptz]", ["0001-01-01T00:00:00.000000Z"]),
        ("'infinity'::timestamp", "9999-12-31T23:59:59.999999"),
        ("'0044-03-15 (BC) 00:00:00+00'::timestamptz", "0044-03-15 (BC) 00:00:00+00"),
        ("map{[1]: 2}", {"[1]": 2}),
        ("map{[1]::int[1]: 2}", {"[1]": 2}),
        ("map{{'a': 1}: [2]}", {'{"a":1}': [2]}),
        ("[map{map{1: 2}: 3}]", [{'{"1":2}': 3}]),
        ("map{'key': [1], 'value': [2]}", {"key": [1], "value": [2]}),
        ("map{1: 2}", {"1": 2}),
    ],
)
def test_cells(sql: str, cell: Any, root: Path, write: Write) -> None:
    """A value of any type has a form in JSON: a zone stays one, and a key is text whatever it is."""
    write("s.logs.jsonl", LINE % b"1")
    with reader.query(f"SELECT {sql} AS cell", root) as rows:
        (convert,) = map(converter, rows.forms)
        ((value,),) = rows
    assert {"cell": cell} == json.loads(dumps({"cell": convert(value)}))


def test_levels_with_spaces(ask: Any, write: Write) -> None:
    """What stands around a level's name is no part of it, a no-break space neither."""
    line = OWN.replace(b',"logger"', b',"severity_number":9,"logger"')
    write("s.logs.jsonl", line % ("\u00a0ERROR".encode(), b""), line % (b"warn\\t", b""))
    assert [("ERROR", 17), ("WARNING", 13)] == ask("SELECT level, severity_number FROM logs")


def test_damage_in_own_lines(ask: Any, write: Write) -> None:
    """Damage between the first keys of our own lines and their ends is reported once, as any other."""
    good = OWN % (b"INFO", b"")
    bad = OWN % (b"INFO", b',"x":{"y":}')
    path = write("s.logs.jsonl", good, bad, good, b"bad", good)
    for sql in (
        "SELECT count(*) FROM logs",
        "SELECT count(*) FROM logs WHERE level = 'INFO'",
        "SELECT count(*) FROM logs a WHERE a.file IN (SELECT file FROM logs)",
    ):
        damages: list[str] = []
        assert [(3,)] == ask(sql, damages)
        assert [f"{path}: line 2: not JSON", f"{path}: line 4: not JSON"] == sorted(damages)
    damages = []
    assert [(0,)] == ask("SELECT count(*) FROM logs WHERE level = 'ERROR'", damages)
    assert 2 == len(damages)


@pytest.mark.parametrize("value", [b"[1,]", b'{"y":1,}', b"NaN", b"-Infinity", b"9" * 5000])
def test_what_json_does_not_have(value: bytes, ask: Any, root: Path, write: Write) -> None:
    """A line of ours that is no JSON but for a database is what it is to every other command."""
    write("s.logs.jsonl", OWN % (b"INFO", b',"x":' + value), OWN % (b"ERROR", b""))
    expected = [line.row["level"] for line in reader.read("s", root, on_damage=lambda _: None)]
    damages: list[str] = []
    assert sorted(expected) == sorted(level for (level,) in ask("SELECT level FROM logs", damages))
    with reader.query("FROM logs", root, on_damage=lambda _: None) as rows:
        converters = [converter(form) for form in rows.forms]
        for row in rows:
            cells = {
                name: make(cell)
                for name, make, cell in zip(rows.columns, converters, row, strict=False)
            }
            json.loads(dumps(cells), parse_constant=pytest.fail)


def test_services(ask: Any, root: Path, write: Write) -> None:
    """A service is a text; a number names none."""
    write("s.logs.jsonl", *(OWN % (b"INFO", b',"service":' + it) for it in (b"5", b'"5"', b'"a"')))
    assert [(["5", "a"],)] == ask("SELECT services FROM sessions")
    assert [("5", "a")] == [it.services for it in reader.sessions(root)]


@pytest.mark.parametrize("first", ["logs", "spans"])
def test_a_long_id_in_one_of_two_files(first: str, ask: Any, root: Path) -> None:
    """The session is one, whichever of its files holds the ID that their names abbreviate."""
    root.mkdir()
    sid = "long" * 100
    for kind, path in (("logs", log_path(sid, root)), ("spans", span_path(sid, root))):
        path.write_text(f'{{"session_id":"{sid}"}}\n' if kind == first else "{}\n")
    assert [(sid, 1, 1)] == ask("SELECT session_id, logs, spans FROM sessions")


def test_many_keys(ask: Any, write: Write) -> None:
    """A line too large for the memory is damage, and takes no query with it."""
    keys = b",".join(b'"key%d":1' % index for index in range(1_000_000))
    path = write("s.logs.jsonl", LINE % b"1", b"{%s}" % keys, LINE % b"2")
    for memory_mb, reason in (
        (40, "longer than 1250000 bytes"),
        (100, "longer than 3125000 bytes"),
    ):
        damages: list[str] = []
        assert [("1",), ("2",)] == ask("SELECT message FROM logs", damages, memory_mb=memory_mb)
        assert [f"{path}: line 2: {reason}"] == damages


def test_errors_say_where(ask: Any, write: Write) -> None:
    """An error says in one line what is wrong, and in its hint where, or how to mend it."""
    write("s.logs.jsonl", LINE % b"1")
    for sql, what, hint in (
        ("SELECT levle FROM logs", "levle", "line 1: SELECT levle FROM logs"),
        ("SELECT 1\nFROM nothing", "nothing", "line 2: FROM nothing"),
        ("SELEC 1", "SELEC", "line 1: SELEC 1"),
    ):
        with pytest.raises(reader.QueryError, match=what) as raised:
            ask(sql)
        assert hint in str(raised.value.hint)
        assert "\n" not in f"{raised.value}{raised.value.hint}"


def test_exceptions_that_are_no_texts(ask: Any, write: Write) -> None:
    """The parts of an exception are texts; what is another value there is its JSON, with all digits."""
    number = "123456789012345678901234567890"
    write(
        "s.logs.jsonl",
        b'{"message":"m","exception":{"type":"E","message":%s,"stacktrace":[1,{"a":%s}]}}'
        % (number.encode(), number.encode()),
        b'{"message":"n","exception":"text"}',
    )
    sql = (
        "SELECT exception.type, exception.message, exception.stacktrace FROM logs ORDER BY message"
    )
    assert [("E", number, f'[1,{{"a":{number}}}]'), (None, None, "text")] == ask(sql)


@pytest.mark.one_python
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT sum(range % 7) FROM range(1000000000000)",
        "SELECT range FROM range(1000000000000)",
    ],
)
def test_time_is_bounded(root: Path, sql: str) -> None:
    """A query that takes longer than it may ends, before its first row or between two."""
    root.mkdir(exist_ok=True)
    with pytest.raises(reader.QueryError, match=r"the query takes longer than 0\.5 s"):  # noqa: PT012, SIM117
        with reader.query(sql, root, timeout_s=0.5) as rows:
            for _ in rows:
                pass
