"""What programs ask of the page's server: rows, and streams of them."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.tracectrl_logging.viewer.conftest import Event, Server

pytestmark = pytest.mark.one_python


def printed(root: Path, *args: str) -> list[Any]:
    """Return the rows that the command prints."""
    command = [sys.executable, "-m", "tracectrl_logging.cli", *args, "--json", "--root", str(root)]
    done = subprocess.run(command, capture_output=True, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()]


def append(root: Path, sid: str, number: int) -> None:
    """Write one more line of the session."""
    row = {
        "timestamp": f"2026-11-30T11:00:00.{number:06}Z",
        "level": "INFO",
        "logger": "app",
        "message": f"n{number}",
        "session_id": sid,
    }
    with (root / f"{sid}.logs.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def test_rows_are_those_of_the_command(server: Server) -> None:
    """Sessions, lines and hits are the rows that ``--json`` prints."""
    assert printed(server.root, "sessions") == server.get("/api/sessions").json()["sessions"]
    lines = server.get("/api/sessions/a/lines").json()
    assert [3, False] == [len(lines["lines"]), lines["more"]]
    shown = printed(server.root, "show", "a")
    assert sorted(map(str, shown)) == sorted(map(str, lines["lines"]))
    hits = server.get("/api/search", q="m[12]").json()
    assert [["m1", "m2"], False] == [[row["message"] for row in hits["lines"]], hits["more"]]
    whole = server.get("/api/sessions/a/export", format="jsonl")
    assert shown == [json.loads(line) for line in whole.body.splitlines()]


def test_conversation(server: Server) -> None:
    """What was said is rows of ``show --conversation --json``, up to the limit."""
    said = {"gen_ai.operation.name": "chat", "gen_ai.prompt.0.content": "hello"}
    row = {"name": "chat", "span_id": "1" * 16, "trace_id": "2" * 32, "attributes": said}
    row |= {"start_time": "2026-01-01T00:00:00.000000Z", "session_id": "talk"}
    (server.root / "talk.spans.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    found = server.get("/api/sessions/talk/conversation").json()
    assert printed(server.root, "show", "talk", "--conversation") == found["turns"]
    assert ["message", "reply"] == [turn["type"] for turn in found["turns"]]
    short = server.get("/api/sessions/talk/conversation", limit="1").json()
    assert [1, True] == [len(short["turns"]), short["more"]]
    assert 404 == server.get("/api/sessions/nobody/conversation").status


@pytest.mark.parametrize(
    ("params", "ids"),
    [
        ({}, ["b/../c", "a"]),
        ({"errors": "1"}, ["a"]),
        ({"errors": "0"}, ["b/../c", "a"]),
        ({"where": "message=m3"}, ["b/../c"]),
        ({"where": r"message~^m[3*+]\b|\*"}, ["b/../c"]),
        ({"where": ["message=m1", "level>=ERROR"]}, ["a"]),
        ({"since": "2026-11-30T10:00:03Z"}, ["b/../c"]),
        ({"limit": "1"}, ["b/../c"]),
        ({"sort": "errors"}, ["a", "b/../c"]),
        ({"service": "none"}, []),
    ],
)
def test_sessions_are_picked(server: Server, params: dict[str, Any], ids: list[str]) -> None:
    """The parameters are the command's options."""
    assert ids == [
        row["session_id"] for row in server.get("/api/sessions", **params).json()["sessions"]
    ]


@pytest.mark.parametrize(
    ("path", "params", "said"),
    [
        ("sessions", {"since": "soon"}, "since: "),
        (
            "sessions",
            {"sort": "colour"},
            "sort must be one of last, duration, errors, got 'colour'",
        ),
        ("sessions", {"limit": "0"}, "limit must be a whole number from 1 to 10000, got '0'"),
        ("sessions", {"where": "=="}, "where: "),
        ("sessions/a/lines", {"level": "LOUD"}, "level must be one of DEBUG, "),
        ("sessions/a/export", {"format": "exe"}, "format must be one of jsonl, "),
        ("search", {}, "q must be a pattern of 1 to 1000 characters, got 0"),
        ("search", {"q": "("}, "q must be a regular expression: "),
        ("search", {"q": "a{99999999999999}"}, "q must be a regular expression: "),
        ("search", {"q": "(" * 499 + ")" * 499}, "q must be a regular expression: "),
        ("sessions", {"where": "message~(a+)+$"}, "where: a pattern must do without *, + and {}"),
        (
            "sessions/a/lines",
            {"where": "message!~a{9}"},
            "where: a pattern must do without *, + and {}",
        ),
    ],
)
def test_unclear_questions(server: Server, path: str, params: dict[str, Any], said: str) -> None:
    """A parameter that cannot be understood is named, with what it must be."""
    answer = server.get(f"/api/{path}", **params)
    assert (400, True) == (answer.status, answer.json()["message"].startswith(said)), answer.body


def test_any_id_can_be_asked_for(server: Server) -> None:
    """An ID with slashes and dots is percent-encoded in the path."""
    lines = server.get(f"/api/sessions/{quote('b/../c', safe='')}/lines").json()["lines"]
    assert ["m3"] == [row["message"] for row in lines]
    assert ["m3"] == [json.loads(it)["message"] for it in _rows_of_page(server, "b/../c")]


def _rows_of_page(server: Server, sid: str) -> list[str]:
    with server.events("/page/session", id=sid, follow="0") as events:
        return [row[10] for event in events if event.name == "rows" for row in event.data["rows"]]


def test_unknown_session(server: Server) -> None:
    """A session that is not there is a 404 that names it."""
    answer = server.get("/api/sessions/nobody/lines")
    assert (404, "there is no session 'nobody'") == (answer.status, answer.json()["message"])


def test_lines_by_pages(server: Server) -> None:
    """Each page goes on behind the cursor of the one before; then there are no more."""
    for number in range(25):
        append(server.root, "p", number)
    found, after, pages = [], "", 0
    while True:
        page = server.get("/api/sessions/p/lines", after=after, limit=10).json()
        found += [row["message"] for row in page["lines"]]
        after, pages = page["cursor"], pages + 1
        if not page["more"]:
            break
    assert ([f"n{number}" for number in range(25)], 3) == (found, pages)


def test_stream_goes_on_behind_the_last_event(server: Server) -> None:
    """What is written comes; a client that comes back with the last event's ID gets the rest once."""
    append(server.root, "s", 0)
    found, last = [], ""
    with server.events("/api/sessions/s/stream") as events:
        for event in events:
            found += [row["message"] for row in event.data] if event.name == "lines" else []
            last = event.id or last
            if event.name == "caught-up":
                append(server.root, "s", 1)
            if len(found) == 2:
                break
    append(server.root, "s", 2)
    with server.events("/api/sessions/s/stream", headers={"Last-Event-ID": last}) as events:
        for event in events:
            found += [row["message"] for row in event.data] if event.name == "lines" else []
            if event.name == "caught-up":
                break
    assert ["n0", "n1", "n2"] == found


def test_cursor_that_is_not_valid(server: Server) -> None:
    """A stream says ``reset`` and begins anew; a page of lines is a 410."""
    with server.events("/api/sessions/a/stream", after="1.nonsense") as events:
        names = []
        for event in events:
            names.append(event.name)
            if event.name == "caught-up":
                break
    assert ["reset", "lines", "caught-up"] == names
    assert 410 == server.get("/api/sessions/a/lines", after="1.nonsense").status


def test_root_that_goes(server: Server) -> None:
    """Whoever asks is told why there is no answer."""
    server.root.rename(server.root.with_name("elsewhere"))
    for path in ("/api/sessions", "/api/search?q=m", "/api/sessions/a/lines"):
        answer = server.get(path)
        assert (503, True) == (answer.status, "cannot be read" in answer.json()["message"]), path
    with server.events("/api/stream") as events:
        assert ["problem"] == [event.name for event in events]


def test_list_changes(server: Server) -> None:
    """The list comes first, then each session that is new or has changed."""
    with server.events("/api/stream") as events:
        first = next(events)
        assert ("list", ["b/../c", "a"]) == (
            first.name,
            [row["session_id"] for row in first.data["rows"]],
        )
        append(server.root, "new", 0)
        second = next(events)
        if not second.data["logs"]:  # the file was there, and nothing in it yet
            second = next(events)
        assert ("session", "new", 1) == (
            second.name,
            second.data["session_id"],
            second.data["logs"],
        )
        (server.root / "new.logs.jsonl").unlink()
        third = next(events)
        assert ("list", ["b/../c", "a"]) == (
            third.name,
            [row["session_id"] for row in third.data["rows"]],
        )


def test_damage_is_told(server: Server) -> None:
    """A damaged line is said, and hides no other."""
    with (server.root / "a.logs.jsonl").open("a") as file:
        file.write("{broken\n")
    append(server.root, "a", 1)
    with server.events("/api/sessions/a/stream") as events:
        found = []
        for event in events:
            found.append(event)
            if event.name == "caught-up":
                break
    assert 4 == sum(len(event.data) for event in found if event.name == "lines")
    assert [True] == [
        "a.logs.jsonl" in event.data["message"] for event in found if event.name == "problem"
    ]


def test_streams_end_with_the_server(server: Server) -> None:
    """A server that is told to stop does not wait for its streams."""
    with server.events("/api/sessions/a/stream") as events, server.events("/api/stream") as others:
        next(events), next(others)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        for _ in events:
            pass
        server.process.wait(timeout=30)
        assert time.monotonic() - started < 5


def test_openapi_names_every_path(server: Server) -> None:
    """The document has each path and parameter that is answered."""
    paths = server.get("/api/openapi.json").json()["paths"]
    expected = ["conversation", "export", "lines", "stream"]
    assert sorted(
        [
            "/api/sessions",
            "/api/stream",
            "/api/search",
            *(f"/api/sessions/{{id}}/{it}" for it in expected),
        ]
    ) == sorted(paths)


def said_by(event: Event) -> list[Any]:
    """Return the lines in an event, which is one of lines or says that these are all."""
    assert event.name in ("lines", "caught-up")
    return list(event.data) if event.name == "lines" else []


def emptied(path: Path, lines: str) -> None:
    """Empty the file, and write others into it."""
    path.write_text(lines)


def replaced(path: Path, lines: str) -> None:
    """Put another file in its place."""
    (new := path.with_name("new")).write_text(lines)
    new.rename(path)


def emptied_beside_backup(path: Path, lines: str) -> None:
    """Empty the file where it has a backup, whose lines come again."""
    (path.parent / "a.logs.jsonl.1").write_text(lines.replace('"n', '"b'))
    path.write_text(lines)


@pytest.mark.parametrize("is_shorter", [True, False])
@pytest.mark.parametrize("way", [emptied, replaced, emptied_beside_backup])
def test_file_that_is_written_anew(
    way: Callable[[Path, str], None], *, is_shorter: bool, server: Server
) -> None:
    """A stream whose file was written anew says ``reset``; then there are exactly the new file's lines."""
    path = server.root / "a.logs.jsonl"
    old = path.read_text()
    new = [f"n{number}" for number in range(1 if is_shorter else 50)]
    with server.events("/api/sessions/a/stream") as events:
        assert "caught-up" == next(it for it in events if it.name != "lines").name
        way(path, "".join(old.splitlines()[0].replace('"m1"', f'"{name}"') + "\n" for name in new))
        assert "reset" == next(events).name
        there = [*(name.replace("n", "b") for name in new if way is emptied_beside_backup), *new]
        found: list[str] = []
        while len(found) < len(there):
            event = next(events)
            found += [row["message"] for row in said_by(event) if row["type"] == "log"]
        assert sorted(there) == sorted(found)
        with path.open("a") as file:
            file.write(old.splitlines()[1].replace('"m2"', '"more"') + "\n")
        while not (rows := said_by(next(events))):
            pass
        assert ["more"] == [row["message"] for row in rows]


def test_rotation_is_no_reset(server: Server) -> None:
    """A file that is copied and emptied, renamed, or packed goes on as it was."""
    path = server.root / "a.logs.jsonl"
    line = path.read_text().splitlines()[1]
    with server.events("/api/sessions/a/stream") as events:
        assert "caught-up" == next(it for it in events if it.name != "lines").name
        for number in range(3):
            if number == 0:
                shutil.copy(path, f"{path}.1")
                path.write_text("")
            elif number == 1:
                Path(f"{path}.1").rename(f"{path}.2")
                path.rename(f"{path}.1")
            else:
                with gzip.open(f"{path}.2.gz", "wb") as packed:
                    packed.write(Path(f"{path}.2").read_bytes())
                Path(f"{path}.2").unlink()
            with path.open("a") as file:
                file.write(line.replace('"m2"', f'"more {number}"') + "\n")
            said = next(events)
            assert ("lines", [f"more {number}"]) == (said.name, [it["message"] for it in said.data])


def test_export_as_html(server_of_module: Server) -> None:
    """A session comes as one page, with the values of some keys left out where that is asked for."""
    answer = server_of_module.get("/api/sessions/a/export", format="html", redact=["message"])
    assert (200, 'attachment; filename="a.html"') == (
        answer.status,
        answer.headers["content-disposition"],
    )
    assert answer.body.startswith(b"<!doctype html>")
    refused = server_of_module.get("/api/sessions/a/export", redact="message")
    assert (400, "redact needs format=html, got format=jsonl") == (
        refused.status,
        refused.json()["message"],
    )
