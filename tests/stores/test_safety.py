"""What a store in ClickHouse is told, and what it is not: parameters, bounds, passwords."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files.names import log_path
from tracectrl_logging import reader
from tracectrl_logging.reader import StoreError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

HOSTILE = [
    "x' OR 1=1 --",
    "x') UNION ALL SELECT 1 --",
    "\\",
    "\\'",
    "x\\' OR 1=1; --",
    "{sid:String}",
    "{x:Int64}",
    "%s %(a)s %%",
    '`x` "y"',
    "/* x",
    "x\x00y",
    "\t\n\r",
    "ü'日",
    "1; DROP TABLE otel_logs",
    "NULL",
    "\ud800",
]


MUCH = "length(groupArray(repeat(toString(number), 100))) FROM numbers(10000000)"


def test_parameters_alone(
    root: Path,
    set_up: str,
    load: Callable[..., None],
    engine: Any,
    command: Callable[..., Result],
) -> None:
    """Hostile IDs and patterns find what they name and no more, and are in no SQL that the server gets."""
    for sid in [*HOSTILE[:-1], "other"]:
        path = log_path(sid, root)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(line_of(sid).raw + b"\n")
    load(root)
    before = len(engine.log.read_text(encoding="utf-8").splitlines())
    for text in HOSTILE:
        for args in (
            ("show", "--json", "--", text),
            ("grep", "-F", "--json", "--", text),
            ("grep", "-c", "--session", text, "--logger", "app", "--", "said"),
        ):
            files = command(args[0], "--root", str(root), *args[1:])
            store = command(args[0], "--root", set_up, *args[1:])
            assert (args, files.exit_code, files.stdout) == (args, store.exit_code, store.stdout)
    said = engine.log.read_text(encoding="utf-8").splitlines()[before:]
    sqls = [json.loads(line)[0] for line in said]
    assert sqls
    texts = [
        text for text in HOSTILE if text not in {"\\", "NULL", "\\'", "\t\n\r", "{sid:String}"}
    ]
    assert [] == [sql for sql in sqls for text in texts if text in sql]


def line_of(sid: str) -> reader.Line:
    """Return a line of the session *sid* that says so."""
    row = {"timestamp": "2026-02-01T00:00:00.000000Z", "level": "INFO", "logger": "app"}
    row |= {"message": f"{sid} said", "session_id": sid}
    return reader.Line("log", row, json.dumps(row).encode(), row["timestamp"], "", 0, sid)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("INSERT INTO otel_logs (Body) VALUES ('x')", "Syntax error|readonly"),
        ("SELECT 1) SETTINGS readonly = 0 --", "readonly"),
        ("SELECT * FROM url('http://127.0.0.1:1/x', 'CSV', 'a String')", "readonly"),
        ("DROP TABLE otel_logs", "Syntax error|readonly"),
        ("SELECT levle FROM logs", "levle"),
        ("SELECT sum(sipHash64(number)) FROM numbers(100000000000)", "takes longer than it may"),
        (f"SELECT {MUCH}", "100 MB are too little"),
        (f"SELECT {MUCH} SETTINGS max_memory_usage = 0", "100 MB are too little"),
    ],
)
def test_reads_within_bounds(set_up: str, sql: str, message: str, client: Any) -> None:
    """SQL that writes, reaches out, or needs too much time or memory is an error, in one line."""
    with pytest.raises(reader.QueryError, match=message) as caught:
        list(reader.query(sql, set_up, timeout_s=2))
    assert "\n" not in str(caught.value)
    assert 0 == client.command("SELECT count() FROM otel_logs")


def test_parameters_of_a_query(set_up: str) -> None:
    """The values of a query's parameters go beside it, by their names."""
    rows = reader.query(
        "SELECT {a:String} AS a, {b:Int64} + 1 AS b", set_up, params={"a": "x' --", "b": 41}
    )
    assert [("x' --", 42)] == list(rows)


def test_password(
    own_engine: Callable[..., Any], command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password that is right opens the store; one that is wrong is one line, which shows none."""
    _, url, _ = own_engine(
        *("--user", "me", "--password", "s3cr3t"),
        url="clickhouse://me:s3cr3t@{at}/default",
        username="me",
        password="s3cr3t",  # noqa: S106 - of nobody
    )
    own = url.replace(":s3cr3t@", "@")
    monkeypatch.setenv("TRACECTRL_STORE_PASSWORD", "s3cr3t")
    assert (1, "") == ((right := command("sessions", "--root", own)).exit_code, right.stdout)
    monkeypatch.setenv("TRACECTRL_STORE_PASSWORD", "wr0ng")
    wrong = command("sessions", "--root", own)
    assert (2, f"Error: {own} refuses the user or the password, or lets it not read\n") == (
        wrong.exit_code,
        wrong.stderr,
    )


def test_tls(own_engine: Callable[..., Any], tmp_path: Path) -> None:
    """A certificate is checked: by the authority that the URL names it is good, by the system's it is not."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(cert), "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    _, url, _ = own_engine(
        *("--cert", str(cert), "--key", str(key)),
        url=f"clickhouses://{{at}}/default?ca={cert}",
        interface="https",
        ca_cert=str(cert),
    )
    assert [] == list(reader.open_store(url).ids())
    with pytest.raises(StoreError, match="certificate"):
        list(reader.open_store(url.partition("?")[0]).ids())


def test_no_tables(database: str, command: Callable[..., Result]) -> None:
    """A database without the tables is one line that names them."""
    result = command("sessions", "--root", database)
    assert (2, 1) == (result.exit_code, result.stderr.count("\n"))
    assert "has no tables otel_logs and otel_traces" in result.stderr


def test_json_columns(database: str, client: Any) -> None:
    """Attributes of the type JSON are not read; the error says which type is."""
    client.command("CREATE TABLE otel_logs (LogAttributes JSON) ENGINE = Memory")
    with pytest.raises(UnsupportedError, match=r"otel_logs\.LogAttributes must be a Map"):
        list(reader.open_store(database).ids())


def test_logs_alone(otel: str, client: Any, command: Callable[..., Result]) -> None:
    """A database that has log lines alone is read as one without spans."""
    client.command("DROP TABLE otel_traces")
    for args in (("sessions",), ("grep", "x"), ("tail",), ("query", "slow"), ("query", "errors")):
        result = command(*args, "--root", otel)
        assert (args, 1, "") == (args, result.exit_code, result.stdout), result.stderr


def test_unsupported(set_up: str, command: Callable[..., Result], tmp_path: Path) -> None:
    """What such a store does not have names what there is instead."""
    target = str(tmp_path / "x")
    said = [
        command("query", "SELECT 1", "--format", "parquet", "-o", target, "--root", set_up),
        command("query", "tokens", "--root", set_up),
    ]
    assert [2, 2] == [result.exit_code for result in said]
    assert "json and csv are there" in said[0].stderr
    assert "a store in ClickHouse has errors, slow, tools" in said[1].stderr


def test_zip(
    set_up: str, client: Any, put: Callable[..., None], command: Callable[..., Result]
) -> None:
    """A ZIP of files there is none; OTLP/JSON and a page there are."""
    put(client, [line_of("order-1")])
    refused = command("export", "order-1", "-o", "-", "--root", set_up)
    assert (2, True) == (refused.exit_code, "--format otlp and --format html" in refused.stderr)
    assert (
        "order-1 said"
        in command("export", "order-1", "--format", "otlp", "-o", "-", "--root", set_up).stdout
    )
    page = command("export", "order-1", "--format", "html", "-o", "-", "--root", set_up)
    assert (0, True) == (page.exit_code, "</html>" in page.stdout)
