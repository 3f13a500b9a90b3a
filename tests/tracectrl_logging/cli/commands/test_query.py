"""``query``: SQL on the command line, and how its rows are printed."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tracectrl_logging.cli.render.table import _fitted
from tracectrl_logging.reader.sql.ready import READY

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    Command = Callable[..., Result]
    Write = Callable[..., Path]

VALUES = (
    "SELECT timestamptz '2026-01-01 01:00:00+01' AS t, date '2026-01-02' AS d, time '10:00' AS c,"
    " timestamp '2026-01-01 00:00:00.5' AS u, interval 90 minute AS i, 1.50::decimal(9,2) AS m,"
    " 170141183460469231731687303715884105727::hugeint AS h, 'nan'::double AS n, [1,NULL] AS l,"
    " {'a': timestamptz '2026-01-01 00:00:00Z', 'b': '{\"k\":[1]}'::json} AS s,"
    " map {1: date '2026-01-01'} AS p, 'ab'::blob AS b, '{\"x\":1}'::json AS j, NULL AS z,"
    " 'a' AS x, 'b' AS x, uuid '00000000-0000-0000-0000-000000000001' AS g, true AS y"
)


@pytest.fixture
def lines(write: Write) -> None:
    """Write three lines in two sessions."""
    form = b'{"timestamp":"2026-01-01T10:00:00.%06dZ","level":"%s","message":"%s"}'
    write("a.logs.jsonl", form % (1, b"INFO", b"one"), form % (2, b"ERROR", b"\\u001b[2Jtwo\\n"))
    write("b.logs.jsonl", form % (3, b"INFO", "drüben".encode()))


def test_compact(command: Command, root: Path) -> None:
    """The names stand once, before rows whose cells are those of JSON; two of one name have two."""
    root.mkdir()
    sql = f"{VALUES} UNION ALL {VALUES}"
    names, *rows = map(json.loads, command("query", sql, "--format", "compact").stdout.splitlines())
    number, *columns = names["columns"]
    expected = command("query", sql, "--json").stdout.splitlines()

    assert [json.loads(line) for line in expected] == [
        dict(zip(columns, row, strict=True)) for start, *row in rows if start == number
    ]
    assert {"x", "x_1"} <= {*columns}


def test_json(command: Command, root: Path) -> None:
    """Each row is strict JSON: RFC 3339, all digits, JSON as JSON, no two columns of one name."""
    root.mkdir()
    for option in (("--json",), ("--format", "json")):
        (line,) = command("query", VALUES, *option).stdout.splitlines()
        assert '"m":1.50,' in line
        row = json.loads(line)
        assert {
            "t": "2026-01-01T00:00:00.000000Z",
            "d": "2026-01-02",
            "c": "10:00:00",
            "u": "2026-01-01T00:00:00.500000",
            "i": 5400.0,
            "m": 1.5,
            "h": 2**127 - 1,
            "n": None,
            "l": [1, None],
            "s": {"a": "2026-01-01T00:00:00.000000Z", "b": {"k": [1]}},
            "p": {"1": "2026-01-01"},
            "b": "YWI=",
            "j": {"x": 1},
            "z": None,
            "x": "a",
            "x_1": "b",
            "g": "00000000-0000-0000-0000-000000000001",
            "y": True,
        } == row


@pytest.mark.usefixtures("lines")
def test_csv(command: Command, tmp_path: Path) -> None:
    """CSV has the names first; a file given with ``-o`` holds what stdout would."""
    sql = "SELECT session_id, message, timestamp FROM logs ORDER BY timestamp"
    text = command("query", sql, "--format", "csv").stdout
    assert [
        ["session_id", "message", "timestamp"],
        ["a", "one", "2026-01-01T10:00:00.000001Z"],
        ["a", "\x1b[2Jtwo\n", "2026-01-01T10:00:00.000002Z"],
        ["b", "drüben", "2026-01-01T10:00:00.000003Z"],
    ] == list(csv.reader(io.StringIO(text, newline="")))
    target = tmp_path / "x.csv"
    result = command("query", sql, "--format", "csv", "-o", str(target))
    assert (0, "", text) == (result.exit_code, result.stdout, target.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+cmd", "'+1+cmd"),
        ("-2+3", "'-2+3"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1", "'＝1"),  # noqa: RUF001 - as an East Asian keyboard types it
        ("-5", "-5"),
        ("+1.5e-3", "+1.5e-3"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_csv_for_a_spreadsheet(command: Command, write: Write, text: str, cell: str) -> None:
    """By option, what a spreadsheet would run is text in it; without, and as number, it stays."""
    write("s.logs.jsonl", json.dumps({"message": text}).encode())
    sql = 'SELECT message, -5 AS n, message AS "=x" FROM logs'
    for options, expected in ((("--spreadsheet",), cell), ((), text)):
        printed = command("query", sql, "--format", "csv", *options).stdout
        names, row = csv.reader(io.StringIO(printed, newline=""))
        assert [expected, "-5", expected] == row
        assert ("'=x" if options else "=x") == names[2]


def test_spreadsheet_is_for_csv(command: Command) -> None:
    """Another format with ``--spreadsheet`` is wrong use."""
    for more in ((), ("--json",), ("--format", "table")):
        assert 2 == command("query", "SELECT 1", "--spreadsheet", *more).exit_code


@pytest.mark.usefixtures("lines")
def test_parquet(command: Command, tmp_path: Path) -> None:
    """Parquet keeps the types; it goes to a file or a pipe."""
    import duckdb  # noqa: PLC0415 - an extra

    target = tmp_path / "it's.parquet"
    assert 0 == command("query", "FROM logs", "--format", "parquet", "-o", str(target)).exit_code
    quoted = str(target).replace("'", "''")
    assert [(3, "TIMESTAMP WITH TIME ZONE")] == duckdb.execute(
        f"SELECT count(*), any_value(typeof(timestamp)) FROM '{quoted}'"  # noqa: S608
    ).fetchall()
    piped = command("query", "FROM logs", "--format", "parquet").stdout_bytes
    assert b"PAR1" == piped[:4] == piped[-4:]
    assert [target, tmp_path / "traces"] == sorted(tmp_path.iterdir())
    assert 1 == command("query", "FROM spans", "--format", "parquet").exit_code


def test_parquet_of_damage(command: Command, write: Write, tmp_path: Path) -> None:
    """Parquet is right where lines have to be looked at one by one, after a first attempt."""
    import duckdb  # noqa: PLC0415 - an extra

    write("a.logs.jsonl", b'{"message":"one"}', b"\0\0", b"bad", b'{"message":"two"}')
    target = tmp_path / "x.parquet"
    assert 0 == command("query", "FROM logs", "--format", "parquet", "-o", str(target)).exit_code
    assert [("one",), ("two",)] == duckdb.execute(
        f"SELECT message FROM '{target}'"  # noqa: S608
    ).fetchall()


@pytest.mark.usefixtures("lines")
def test_table(command: Command, tmp_path: Path) -> None:
    """A table's columns are aligned, numbers to the right, and nothing drives the terminal."""
    sql = "SELECT session_id, length(message) AS n, message FROM logs ORDER BY timestamp"
    expected = "session_id  n  message\na           3  one\na           8  \\x1b[2Jtwo\\n\nb           6  drüben\n"
    assert expected == command("query", sql).stdout
    assert 0 == command("query", sql, "-o", str(tmp_path / "x")).exit_code
    assert expected == (tmp_path / "x").read_text(encoding="utf-8")


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_terminal(columns: int, root: Path) -> None:
    """On a terminal no line is wider than it, however many columns a row has."""
    for sql in ("FROM logs", "SELECT level, repeat(message, 50) AS m FROM logs"):
        main, other = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "tracectrl_logging.cli", "query", sql, "--root", str(root)],
            stdout=other,
            env={**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1", "TERM": "xterm"},
        )
        os.close(other)
        shown = b""
        while True:
            try:
                chunk = os.read(main, 65536)
            except OSError:  # the terminal is gone
                break
            if not chunk:
                break
            shown += chunk
        os.close(main)
        assert 0 == process.wait()
        lines = shown.decode().replace("\r\n", "\n").splitlines()
        assert "level" in shown.decode()
        assert columns >= max(map(len, lines))


def test_fitted() -> None:
    """The widest columns give way first."""
    assert [3, 18, 6] == _fitted([3, 100, 6], 31)
    assert [10, 10] == _fitted([30, 10], 22)
    assert [9, 9, 4] == _fitted([30, 30, 4], 26)
    assert [6, 6] == _fitted([30, 10], 5)


@pytest.mark.usefixtures("lines")
def test_stdin(root: Path) -> None:
    """``-`` is a query on stdin."""
    done = subprocess.run(
        [sys.executable, "-m", "tracectrl_logging.cli", "query", "-", "--root", str(root)],
        input="SELECT count(*) AS n FROM logs\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "n\n3\n" == done.stdout


@pytest.mark.usefixtures("lines")
def test_ready(command: Command) -> None:
    """A ready-made query is asked for by its name; ``--list`` shows what each is."""
    (row,) = map(json.loads, command("query", "errors", "--json").stdout.splitlines())
    assert (1, "a", "\x1b[2Jtwo\n") == (row["lines"], row["session_id"], row["message"])
    assert 1 == command("query", "slow").exit_code
    listed = command("query", "--list").stdout
    for name, ready in READY.items():
        assert f"{name}: {ready.about}" in listed


def test_ready_models(command: Command) -> None:
    """What models have used is in SQL what it is in the list of sessions; tools are counted, too."""
    root = str(Path(__file__).parents[2] / "reader" / "genai" / "recorded")
    rows = list(
        map(json.loads, command("query", "--root", root, "tokens", "--json").stdout.splitlines())
    )
    sessions = map(json.loads, command("sessions", "--root", root, "--json").stdout.splitlines())
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens")
    sums = [
        sum(numbers)
        for numbers in zip(*([row[it] for it in names] for row in sessions), strict=True)
    ]
    assert sums == [sum(row[name] for row in rows) for name in names]
    assert [("gpt-4o-mini-2024-07-18", 9), ("gpt-4o-mini", 3)] == [
        (row["model"], row["calls"]) for row in rows
    ]
    (row,) = map(
        json.loads, command("query", "--root", root, "tools", "--json").stdout.splitlines()
    )
    assert ("weather", 2, 0, 2) == (row["tool"], row["calls"], row["errors"], row["sessions"])


@pytest.mark.usefixtures("lines")
def test_status(command: Command) -> None:
    """No rows are 1; what is wrong is 2: one line on stderr, and one for where, or how to mend it."""
    result = command("query", "SELECT 1 WHERE false")
    assert (1, "", "") == (result.exit_code, result.stdout, result.stderr)
    for args in (
        ("SELECT nope FROM logs",),
        ("SELECT message::INT FROM logs",),
        ("DROP VIEW logs",),
        ("",),
        ("SELECT list(repeat(message, 1000)) FROM logs, range(100000)", "--memory", "40"),
    ):
        result = command("query", *args)
        assert (2, "") == (result.exit_code, result.stdout)
        assert 2 >= result.stderr.count("\n")
    assert "\n--memory MB gives it more\n" in result.stderr
    said = command("query", "SELECT nope FROM logs").stderr
    assert 2 == said.count("\n")
    assert "line 1: SELECT nope FROM logs" in said.splitlines()[1]
    assert 2 == command("query").exit_code
    assert 2 == command("query", "SELECT 1", "--json", "--format", "csv").exit_code


def test_damage(command: Command, write: Write) -> None:
    """Damage is named on stderr; where it leaves nothing the status is 2."""
    path = write("s.logs.jsonl", b'{"message":"m"}', b"bad")
    result = command("query", "SELECT message FROM logs", "--json")
    assert (0, '{"message":"m"}\n') == (result.exit_code, result.stdout)
    assert f"Warning: {path}: line 2: not JSON\n" == result.stderr
    path.write_bytes(b"bad\n")
    assert 2 == command("query", "FROM logs").exit_code


def test_missing_extra(command: Command, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DuckDB the error holds the line that installs it."""
    root.mkdir()
    monkeypatch.setitem(sys.modules, "duckdb", None)
    for form in ("table", "parquet"):
        result = command("query", "FROM logs", "--format", form)
        assert 2 == result.exit_code
        assert "pip install 'duckdb>=" in result.stderr


def test_csv_on_a_terminal(write: Write, root: Path) -> None:
    """On a terminal nothing stored, and no name of a column, is obeyed."""
    write("a.logs.jsonl", b'{"message":"\\u001b[2J\\u009b1m\\u202e,\\n"}')
    main, other = pty.openpty()
    sql = 'SELECT message AS "\x1b[1m" FROM logs'
    done = subprocess.run(
        [sys.executable, "-m", "tracectrl_logging.cli", "query", sql, "--format", "csv"],
        stdout=other,
        env={**os.environ, "TRACECTRL_TRACE_DIR": str(root)},
        check=False,
    )
    os.close(other)
    seen = os.read(main, 65536).decode().replace("\r\n", "\n")
    os.close(main)
    assert 0 == done.returncode
    assert '\\x1b[1m\n"\\x1b[2J\\x9b1m\\u202e,\n"\n' == seen


def test_json_of_many_lines(command: Command, root: Path) -> None:
    """A JSON value that is written on many lines is on one, as JSON Lines are."""
    root.mkdir()
    sql = "SELECT '{\n \"a\": [1,\r\n2]}'::json AS j"
    (line,) = command("query", sql, "--json").stdout_bytes.split(b"\n")[:-1]
    assert {"j": {"a": [1, 2]}} == json.loads(line)


def test_sql_that_is_no_text(command: Command, root: Path) -> None:
    """A query that is not UTF-8, or that a closed stdin should hold, is wrong use."""
    root.mkdir()
    program = [sys.executable, "-m", "tracectrl_logging.cli", "query", "--root", str(root)]
    for args, given, said in (
        ([b"select '\xff'"], b"", b"not UTF-8"),
        (["-"], b"select '\xff'", b"not UTF-8"),
    ):
        done = subprocess.run([*program, *args], input=given, capture_output=True, check=False)
        assert (2, True, 1) == (done.returncode, said in done.stderr, done.stderr.count(b"\n"))
    source = '"$0" -m tracectrl_logging.cli query - --root "$1" <&-'
    done = subprocess.run(
        ["sh", "-c", source, sys.executable, root], capture_output=True, check=False
    )
    assert (2, b"Error: stdin, which '-' stands for, is closed\n") == (done.returncode, done.stderr)
    assert 2 == command("query", "SELECT 1", "--memory", "9" * 30).exit_code


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_time_zone(form: str, command: Command, write: Write) -> None:
    """Times that have a zone are printed in the one that is asked for, nested ones too; others stay."""
    write("s.logs.jsonl", b'{"timestamp":"2026-07-01T10:00:00.5Z","message":"m"}')
    sql = (
        "SELECT timestamp, [timestamp] AS more, TIMESTAMP '2026-07-01 10:00:00' AS plain FROM logs"
    )
    printed = command("query", sql, "--format", form, "--tz", "CET-1CEST,M3.5.0,M10.5.0/3").stdout
    assert 2 == printed.count("2026-07-01T12:00:00.500000+02:00")
    assert 1 == printed.count("2026-07-01T10:00:00.000000")
