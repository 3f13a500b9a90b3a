"""What SQL that somebody has pasted cannot do: read, write, reach out, or take more than its share."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tracectrl_logging import reader
from tracectrl_logging.reader.sql import QueryError
from tracectrl_logging.reader.sql.connection import is_plain, locked_connection
from tracectrl_logging.reader.sql.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Write = Callable[..., Path]

LINE = b'{"timestamp":"2026-01-01T10:00:00Z","level":"INFO","message":"m","session_id":"s"}'
WORD = "swordfish"
MOST_MB = 300  # of the process, with 100 MB for DuckDB
OUTSIDE = [
    "SELECT x FROM read_csv('{secret}', header=true, delim='|', quote='')",
    "SELECT * FROM read_csv('{secret}', columns={{a: 'INT'}}, auto_detect=false)",
    "SELECT * FROM logs WHERE message = (SELECT content FROM read_text('{secret}'))",
    "WITH t AS MATERIALIZED (FROM '{secret}') SELECT 1 FROM t",
    "EXPLAIN SELECT x FROM read_csv('{secret}')",
    "EXPLAIN ANALYZE FROM read_text('{secret}')",
    "DESCRIBE FROM read_csv('{secret}')",
    "SUMMARIZE FROM '{secret}'",
    "PIVOT (FROM read_csv('{secret}')) ON x",
    "FROM query('FROM read_text(''{secret}'')')",
    "FROM query_table('{secret}')",
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{secret}'')'))",
    "SELECT * FROM glob('{secret}*')",
    "SELECT * FROM sniff_csv('{secret}')",
    "SELECT * FROM parquet_schema('{secret}')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_text('/dev/fd/../../etc/passwd')",
    "SELECT * FROM read_text('/dev/fd/0')",
    "SELECT * FROM read_blob('file://{secret}')",
    "SELECT getenv('HOME')",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{spill}/x'",
    "EXPLAIN /**/ ANALYZE COPY (SELECT 1) TO '{spill}/x'",
    "EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 1) TO '{spill}/x'",
    "EXPLAIN EXPLAIN ANALYZE COPY (SELECT 1) TO '{spill}/x'",
    "COPY (SELECT 1) TO '{spill}/x'",
    "FROM variable_of_the_program",
    "SELECT * FROM read_csv('http://127.0.0.1:{port}/x.csv')",
    "SELECT * FROM 'https://127.0.0.1:{port}/x.parquet'",
    "SELECT * FROM 's3://bucket/x.parquet'",
    "ATTACH 'http://127.0.0.1:{port}/x.db'",
    "ATTACH 'host=127.0.0.1 port={port}' (TYPE postgres)",
    "ATTACH 'host=127.0.0.1 port={port}' AS m (TYPE mysql)",
    "ATTACH '{secret}' (TYPE sqlite)",
    "ATTACH ':memory:' AS other",
    "DETACH memory",
    "INSTALL x FROM 'http://127.0.0.1:{port}'",
    "LOAD 'http://127.0.0.1:{port}/x.duckdb_extension'",
    "UPDATE EXTENSIONS",
    "FROM enable_profiling(save_location='{target}')",
    "CALL enable_logging()",
    "COPY (SELECT 1) TO '{target}'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{target}'",
    "COPY logs FROM '{secret}'",
    "EXPORT DATABASE '{target}'",
    "IMPORT DATABASE '{dump}'",
    "PRAGMA import_database('{dump}')",
    "PRAGMA copy_database('memory', 'memory')",
    "ATTACH '{target}'",
    "CREATE SECRET (TYPE s3)",
    "INSTALL httpfs",
    "LOAD '{secret}'",
    "SET enable_external_access = true",
    "SET memory_limit = '9GB'",
    "SET temp_directory = '/'",
    "SET lock_configuration = false",
    "RESET lock_configuration",
    "RESET allowed_paths",
    "PRAGMA enable_profiling",
    "PRAGMA database_list",
    "USE memory",
    "SET search_path = 'main'",
    "SET schema = 'main'",
    "SET VARIABLE x = 1",
    "CHECKPOINT",
    "VACUUM",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TRIGGER t AFTER INSERT ON logs EXECUTE SELECT 1",
    "DELETE FROM logs",
    "BEGIN",
    "PREPARE p AS SELECT 1",
    "CREATE FUNCTION f() AS TABLE FROM read_text('{secret}')",
    "SELECT 1; FROM read_text('{secret}')",
]
MEMORY = [
    "SELECT length(repeat('x', 1000000000))",
    "SELECT repeat('x', 50000000) FROM range(20)",
    "SELECT len(generate_series(1, 1000000000))",
    "SELECT len(list(range)) FROM range(1000000000)",
    "SELECT length(string_agg(repeat('x', 1000), '')) FROM range(100000000)",
    "SELECT len(list(DISTINCT repeat('x', 1000) || range)) FROM range(10000000)",
    "SELECT replace(repeat('a', 50000000), 'a', repeat('b', 100))",
    "SELECT json_group_array(repeat('x', 10000)) FROM range(1000000)",
    (
        "WITH RECURSIVE r AS (SELECT repeat('x', 1000) s UNION ALL SELECT s || s FROM r"
        " WHERE length(s) < 4000000000) SELECT max(length(s)) FROM r"
    ),
    "SELECT list_resize([1], 1000000000)",
    "SELECT length(printf('%1000000000d', 1))",
    "SELECT length(array_to_string(list_transform(range(100000000), lambda i: i::VARCHAR), ','))",
    "SELECT len(string_split(repeat('a,', 50000000), ','))",
    "SELECT length(regexp_replace(repeat('a', 20000000), 'a', repeat('b', 100), 'g'))",
    "SELECT cardinality(histogram(range)) FROM range(100000000)",
    "SELECT bit_count(bitstring('1', 1000000000)::BIT)",
]
DISK = [
    "SELECT * FROM (SELECT repeat('x', 100) || range AS x FROM range(100000000)) ORDER BY hash(x)",
    "SELECT count(*) FROM (SELECT DISTINCT repeat('x', 100) || range FROM range(100000000))",
    (
        "WITH t AS MATERIALIZED (SELECT repeat('x', 100) || range AS x FROM range(100000000))"
        " SELECT count(*) FROM t AS a JOIN t AS b USING (x)"
    ),
]
_KINDS_BEHIND = {
    "FROM": ("table", "table_macro"),
    "CALL": ("table", "table_macro"),
    "SELECT": ("scalar", "aggregate", "window", "macro"),
    "PRAGMA": ("pragma", "table"),
}
PROGRAM = """
import json, resource, sys
from tracectrl_logging import reader
from tracectrl_logging.reader.sql import QueryError
answers = []
for sql in json.load(sys.stdin):
    try:
        with reader.query(sql, sys.argv[1]) as rows:
            answers.append(sum(1 for _ in rows))
    except QueryError as error:
        answers.append(str(error))
print(json.dumps([answers, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024]))
"""


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Write a file that nobody is to read."""
    path = tmp_path / "secret.csv"
    path.write_text(f"the password is {WORD}\nsecond line\n", encoding="utf-8")
    return path


@pytest.fixture
def port() -> Iterator[int]:
    """Listen for connections on this machine, of which there are to be none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.fixture
def run(root: Path, spill: Path, write: Write) -> Iterator[Callable[[str], None]]:
    """Return what runs a query over one line, and reads its rows."""
    write("s.logs.jsonl", LINE)

    def run_query(sql: str) -> None:
        asked = Run(sql, str(root), memory_mb=100, spill=str(spill))
        try:
            [list(rows) for rows in asked.rows(print)[1]]
        finally:
            asked.close()

    yield run_query
    assert [] == os.listdir(spill)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Any]:
    """Return a connection as a query has it."""
    con = locked_connection([], memory_mb=100, spill=str(tmp_path / "spill"), keeps_order=True)
    yield con
    con.close()


@pytest.fixture(autouse=True)
def spill(tmp_path: Path) -> Path:
    """Make the directory that the locked connection spills to."""
    path = tmp_path / "spill"
    path.mkdir()
    return path


@pytest.mark.parametrize("sql", OUTSIDE)
def test_outside(
    sql: str, secret: Path, port: int, run: Callable[[str], None], tmp_path: Path
) -> None:
    """SQL that wants more than the views is refused, with nothing said of what it wanted."""
    dump = tmp_path / "dump"
    dump.mkdir()
    for name in ("schema.sql", "load.sql"):
        (dump / name).write_text(f"SELECT {WORD} AS {WORD};", encoding="utf-8")
    target, spill = tmp_path / "target", tmp_path / "spill"
    text = sql.format(secret=secret, target=target, dump=dump, spill=spill, port=port)
    with pytest.raises((QueryError, duckdb.Error)) as raised:
        run(text)
    assert WORD not in str(raised.value)
    assert not target.exists()


def test_own_log(write: Write, root: Path, tmp_path: Path) -> None:
    """DuckDB's own log goes into no file, also where an older DuckDB dies of the attempt."""
    write("s.logs.jsonl", LINE)
    target = tmp_path / "target"
    sql = f"FROM enable_logging(storage='file', storage_path='{target}')"
    with contextlib.suppress(QueryError), reader.query(sql, root) as rows:
        list(rows)
    assert not target.exists()


def test_every_function(
    locked: Any, secret: Path, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No function that DuckDB has reads a file or the environment, makes a file, or connects.

    Whatever it is called with: its names are asked of DuckDB, and each is tried.
    """
    names = locked.execute(
        "SELECT DISTINCT function_name, function_type FROM duckdb_functions() "
        "WHERE regexp_full_match(function_name, '[a-z_0-9]+')"
    ).fetchall()
    assert {"read_text", "glob", "sniff_csv"} <= {name for name, _ in names}
    monkeypatch.setenv("WORD_OF_TEST", WORD)
    monkeypatch.chdir(tmp_path)
    file, url = f"'{secret}'", f"'http://127.0.0.1:{port}/secret.csv'"
    calls = (
        *(file, f"[{file}]", f"{file}, {file}", f"{file}, 's3'", f"{file}, {file}, {file}"),
        *(url, f"{url}, 'http'", "'secret.csv'", "'WORD_OF_TEST'"),
    )
    for name, kind in sorted(names):
        for arguments in calls:
            call = f"{name}({arguments})"
            for sql in (f"FROM {call}", f"CALL {call}", f"SELECT {call}", f"PRAGMA {call}"):
                if kind not in _KINDS_BEHIND[sql.partition(" ")[0]]:
                    continue
                try:
                    said = str(locked.execute(sql).fetchmany(5))
                except Exception as error:  # noqa: BLE001 - any of the database's
                    said = str(error)
                assert WORD not in said, sql
    assert {"secret.csv", "spill"} == {path.name for path in tmp_path.iterdir()}
    assert [] == os.listdir(tmp_path / "spill")


def test_every_setting(locked: Any) -> None:
    """No setting can be changed or put back, not to what it is either.

    Those two that say where names are looked up are open; no statement that sets one is run.
    """
    before = locked.execute("SELECT name, value FROM duckdb_settings()").fetchall()
    assert {"memory_limit", "threads", "temp_directory", "http_proxy"} <= dict(before).keys()
    for name, value in before:
        for sql in (
            *(f"SET {name} = '{value}'", f"SET GLOBAL {name} = '{value}'", f"SET {name} = '1'"),
            *(f"SET SESSION {name} = '{value}'", f"PRAGMA {name} = '{value}'", f"RESET {name}"),
        ):
            with pytest.raises(QueryError, match="only queries are run"):
                is_plain(locked, sql)
            if name in {"schema", "search_path"}:
                continue
            with pytest.raises(duckdb.Error, match="configuration has been locked"):
                locked.execute(sql)
    assert before == locked.execute("SELECT name, value FROM duckdb_settings()").fetchall()


def test_every_extension(locked: Any) -> None:
    """No extension is installed, or loaded that is not part of DuckDB."""
    asked = "SELECT extension_name, loaded, installed FROM duckdb_extensions()"
    before = locked.execute(asked).fetchall()
    assert {"httpfs", "sqlite_scanner", "postgres_scanner"} <= {name for name, *_ in before}
    for name, is_loaded, _ in before:
        for sql in (f"INSTALL {name}", f"FORCE INSTALL {name}", f"LOAD {name}"):
            with pytest.raises(QueryError, match="only queries are run"):
                is_plain(locked, sql)
        if not is_loaded:
            with pytest.raises(duckdb.Error):
                locked.execute(f"LOAD {name}")
    assert before == locked.execute(asked).fetchall()


def test_every_pragma(locked: Any, secret: Path) -> None:
    """No PRAGMA changes a setting or says what a file holds; those that are queries are run."""
    settings = "SELECT name, value FROM duckdb_settings()"
    before = locked.execute(settings).fetchall()
    names = locked.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type LIKE 'pragma%'"
    ).fetchall()
    assert {"import_database", "enable_profiling"} <= {name for (name,) in names}
    for (name,) in names:
        for sql in (f"PRAGMA {name}", f"PRAGMA {name}('{secret}')", f"PRAGMA {name} = '{secret}'"):
            try:
                said = str(is_plain(locked, sql) and locked.execute(sql).fetchall())
            except (QueryError, duckdb.Error) as error:
                said = str(error)
            assert WORD not in said
    assert before == locked.execute(settings).fetchall()


def test_settings_tell_nothing(locked: Any, tmp_path: Path) -> None:
    """The settings name no place of the machine but the directory for temporary files."""
    settings = locked.execute("SELECT value FROM duckdb_settings()").fetchall()
    places = {value for (value,) in settings if value is not None and "/" in value}
    assert [] == [it for it in places if str(tmp_path) not in it and it.startswith(("/", "["))]


@pytest.mark.one_python
def test_memory(root: Path, write: Write) -> None:
    """Whatever a query makes, its process takes no more than the documented memory and a little."""
    write("s.logs.jsonl", LINE)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(root)],
        input=json.dumps(MEMORY),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    answers, peak_mb = json.loads(done.stdout)
    assert len(MEMORY) == len(answers)
    assert [] == [it for it in answers if isinstance(it, str) and "\n" in it]
    assert MOST_MB > peak_mb, answers


@pytest.mark.one_python
@pytest.mark.parametrize("sql", DISK)
def test_disk(
    sql: str, root: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temporary files take twenty times the memory at most, and none of them stays."""
    write("s.logs.jsonl", LINE)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spill"))
    with pytest.raises(QueryError, match="too little memory"):
        list(reader.query(sql, root, memory_mb=40))
    assert [] == list((tmp_path / "spill").iterdir())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM range(99999) a, range(99999) b, range(99999) c",
        "SELECT regexp_matches(repeat('a', 50000000), '(a*)*b') FROM range(1000)",
        "SELECT sleep_ms(100000)",
        "SELECT max(levenshtein(repeat('a', 100000), repeat('b', 100000)))",
        "WITH RECURSIVE r AS (SELECT 1 x UNION ALL SELECT x FROM r) SELECT count(*) FROM r",
    ],
)
def test_ctrl_c(sql: str, root: Path, write: Write, tmp_path: Path) -> None:
    """Ctrl-C ends the command within two seconds, and its query with it."""
    write("s.logs.jsonl", LINE)
    process = subprocess.Popen(
        [sys.executable, "-m", "tracectrl_logging.cli", "query", sql, "--root", str(root)],
        env={**os.environ, "TMPDIR": str(tmp_path / "spill")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    _wait_for(lambda: any((tmp_path / "spill").iterdir()) or process.poll() is not None)
    time.sleep(0.5)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert 2 > time.monotonic() - started
    assert [] == list((tmp_path / "spill").iterdir())


def test_killed(root: Path, write: Write, tmp_path: Path) -> None:
    """A query ends with the process that asked, however that goes, and leaves nothing on disk."""
    write("s.logs.jsonl", LINE)
    sql = "SELECT count(*) FROM range(99999) a, range(99999) b, range(99999) c"
    process = subprocess.Popen(
        [sys.executable, "-m", "tracectrl_logging.cli", "query", sql, "--root", str(root)],
        env={**os.environ, "TMPDIR": str(tmp_path / "spill")},
        stdout=subprocess.PIPE,
    )
    _wait_for(lambda: any((tmp_path / "spill").iterdir()))
    time.sleep(0.5)
    process.kill()
    process.communicate(timeout=30)
    _wait_for(lambda: not any((tmp_path / "spill").iterdir()))


def _wait_for(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
