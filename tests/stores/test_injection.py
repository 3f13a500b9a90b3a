"""What a stranger has chosen is a parameter: no error of syntax, no row of another session.

``HOSTILE_TEXTS=10000`` in the environment tries so many, which takes minutes.
"""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pytest

from tracectrl_logging import reader, viewer
from tracectrl_logging.cli.lookup import starting_with
from tracectrl_logging.reader.filters.search import Query, Search
from tracectrl_logging.reader.filters.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEXTS = int(os.environ.get("HOSTILE_TEXTS", "25"))
PIECES = [
    *(
        "'",
        '"',
        "`",
        "\\",
        "\\'",
        "''",
        "\\\\'",
        "\x00",
        "\t",
        "\n",
        "\r",
        "%",
        "%s",
        "%(a)s",
        "%%",
        "_",
    ),
    *(
        "{",
        "}",
        "{sid:String}",
        "{x:Int64}",
        "{sid:Identifier}",
        "{{",
        "${x}",
        "$x$",
        "$$",
        "?",
        ":x",
        "@x",
    ),
    *(
        "--",
        "-- ",
        "/*",
        "*/",
        "#!",
        "//",
        ";",
        ")",
        "(",
        "]",
        "[",
        "')",
        "'))",
        ",",
        "|",
        "*",
        "+",
        "^",
    ),
    *(
        " OR 1=1",
        " UNION ALL SELECT 1",
        "; DROP TABLE otel_logs",
        " FORMAT Null",
        " SETTINGS readonly=0",
    ),
    *(
        "INTO OUTFILE '/tmp/x'",
        "NULL",
        "\\N",
        "nan",
        "0x00",
        "1e999",
        "\\x27",
        "\\u0027",
        "&#39;",
        "%27",
        "%00",
    ),
    *(
        "ü",
        "日本",
        "\U0001f600",
        "\u202e",
        "\u2018",
        "\u2019",
        "\ufeff",
        "\u2028",
        "\xa0",
        "\x1b[31m",
        "\x7f",
    ),
    *("\ud800", "\udfff", "a", "order", "x" * 5000),
]
PLAIN = ["plain", "message", "x-1;2", "7", "info"]
"""Texts of each kind that searches tell apart, with which nobody would begin anything."""


def hostile() -> list[str]:
    """Return texts, each another, by the same luck each time."""
    luck = random.Random(17)  # noqa: S311 - the same each time
    found = dict.fromkeys(PIECES)
    while len(found) < TEXTS:
        found.setdefault("".join(luck.choices(PIECES[:-1], k=luck.randrange(1, 7))))
    return list(found)[:TEXTS] if len(PIECES) < TEXTS else luck.sample(list(found), TEXTS)


def line_of(sid: str, number: int) -> reader.Line:
    """Return a line of the session *sid*, which has a number for its service."""
    stamp = f"2026-02-01T00:00:00.{number:06}Z"
    row = {"timestamp": stamp, "level": "INFO", "logger": sid, "message": sid, "session_id": sid}
    row |= {"service": f"n{number}", "tool": sid}
    return reader.Line("log", row, json.dumps(row).encode(), stamp, "", 0, sid)


def services(lines: Any) -> list[str]:
    """Return the services of lines, or of what was found."""
    return [getattr(it, "line", it).row["service"] for it in lines]


def ask(store: reader.Store, sid: str, own: str) -> None:
    """Ask what everything begins with; *own* is the service of the one line of the session *sid*."""
    assert [sid] == list(store.ids(sid, limit=1))
    assert [own] == services(store.read(sid))


def ask_all(store: reader.Store, sid: str, own: str) -> None:
    """Ask all that a text goes into."""
    ask(store, sid, own)
    stored = sid.encode("utf-8", "backslashreplace").decode()
    assert all(it.startswith(stored) or it == sid for it in starting_with(sid, store, 5))
    assert store.is_running(sid, ["nobody"]) is False
    assert [own] == services(store.read(sid, Selection(logger=sid)))
    assert [] == services(store.read(sid, Selection(trace_id=sid)))
    for ignore_case in (False, True):
        literal = Query(sid, literal=True, ignore_case=ignore_case)
        assert [own] == services(store.search(Search(query=literal), [sid]))
        assert own in services(store.search(Search(query=literal)))
        assert [own] == services(store.search(Search(query=literal, before=1), [sid]))
    with store.tail([sid], count=2) as tail:
        assert [own] == services(tail.last())
    with store.tail([sid], after="") as tail:
        assert [own] == services(tail.poll())
    by_parameter = "SELECT service FROM logs WHERE session_id = {a:String}"
    assert [(own,)] == list(store.query(by_parameter, params={"a": sid}))


def get(app: Any, path: str, query: str = "") -> tuple[int, bytes]:
    """Return the status and the body that the application *app* answers with."""
    import anyio  # noqa: PLC0415 - with the page alone

    status, body = 0, b""

    async def receive() -> dict[str, Any]:
        await anyio.sleep_forever()
        return {}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "root_path": "",
        "server": ("127.0.0.1", 80),
        "headers": [(b"host", b"127.0.0.1")],
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
    }
    anyio.run(app, scope, receive, send)
    return status, body


def ask_page(app: Any, sid: str, own: str) -> None:
    """Ask the page all that an ID goes into."""
    part = quote(sid, safe="", errors="surrogatepass")
    for path in ("lines", "conversation", "export"):
        status, body = get(app, f"/api/sessions/{part}/{path}")
        assert (path, 200) == (path, status), body
        assert path == "conversation" or (body.count(b'"service":'), own.encode() in body) == (
            1,
            True,
        )
    status, body = get(app, "/page/spark", f"id={part}")
    assert (200, 1) == (status, sum(json.loads(body)["buckets"]))
    status, body = get(app, "/page/known", f"prefix={part}")
    assert (200, True) == (status, sid in json.loads(body)["ids"])
    for query in (f"where=tool%3D{part}", f"service={part}", f"logger={part}"):
        assert 200 == get(app, "/api/sessions", query)[0]
    assert 404 == get(app, "/page/line", f"id={part}&digest={part}&time={part}")[0]


@pytest.fixture
def statements(engine: Any) -> Iterator[Callable[[], set[str]]]:
    """Return what gives the statements that have reached the engine since it was asked last."""
    with open(engine.log, encoding="utf-8") as log:
        log.seek(0, os.SEEK_END)
        yield lambda: {json.loads(line)[0] for line in log}


def test_hostile_texts(
    set_up: str, client: Any, put: Callable[..., None], statements: Callable[[], set[str]]
) -> None:
    """IDs and patterns of a stranger's give their own session, by statements that harmless ones have, too."""
    texts = hostile()
    lines = [line_of(sid, number) for number, sid in enumerate([*PLAIN, *texts])]
    put(client, lines)
    app, store = viewer.app(set_up, auth=None), reader.open_store(set_up)
    statements()
    for number, sid in enumerate(PLAIN):
        ask_all(store, sid, f"n{number}")
    ask_page(app, PLAIN[0], "n0")
    with store.tail(PLAIN, count=None) as tail:
        assert len(PLAIN) == len(list(tail.last()))
    plain = statements()
    for number, sid in enumerate(texts, len(PLAIN)):
        ask(store, sid, f"n{number}")
        if number % max(10, TEXTS // 200) == 0:
            ask_all(store, sid, f"n{number}")
            ask_page(app, sid, f"n{number}")
    with store.tail(texts, count=None) as tail:
        assert len(texts) == len(list(tail.last()))
    assert set() == statements() - plain
    assert len(lines) == client.command("SELECT count() FROM otel_logs")


@pytest.mark.parametrize("sql", ["SELECT '%(a)s'", "SELECT 5 % 3", "SELECT '%d', {b:String}"])
def test_no_value_in_sql(set_up: str, sql: str) -> None:
    """A query's parameter that the SQL has no place for is an error: the client would put it into the text."""
    with pytest.raises(reader.QueryError, match=r"a parameter must be in the SQL, as \{a:String\}"):
        reader.query(sql, set_up, params={"a": "x"})
    if "{" not in sql:
        assert 1 == len(list(reader.query(sql, set_up)))
