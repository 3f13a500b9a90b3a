"""What a stranger may write into a session header, sent over bare sockets to real servers."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files import log_path
from tracectrl.propagation import decode_session_header

if TYPE_CHECKING:
    from pathlib import Path

OURS, THEIRS = "X-TraceCtrl-Session", "X-Session-Id"
SERVERS = ["uvicorn", "hypercorn", "gunicorn"]

# What is sent, and the session that it names where an ID that fails the checks is let through.
HOSTILE: dict[str, tuple[list[tuple[str, bytes]], str | None]] = {
    "carriage return and line feed": ([(OURS, b"a\r\nX-Injected: 1")], "a"),
    "line feed": ([(OURS, b"a\nX-Injected: 1")], None),
    "carriage return": ([(OURS, b"a\rX-Injected: 1")], None),
    "folded": ([(OURS, b"a\r\n b")], None),
    "encoded line end": ([(OURS, b"a%0d%0aX-Injected:%201")], "a\r\nX-Injected: 1"),
    "NUL": ([(OURS, b"a\0b")], None),
    "encoded NUL": ([(OURS, b"a%00b")], "a\0b"),
    "escape sequence": ([(OURS, b"\x1b[31mred")], None),
    "encoded escape sequence": ([(OURS, b"%1b[31mred")], "\x1b[31mred"),
    "encoded delete": ([(OURS, b"a%7fb%c2%9b")], "a\x7fb\x9b"),
    "64 KB": ([(OURS, b"a" * 65_536)], None),
    "2 KB": ([(OURS, b"a" * 2048)], "a" * 2048),
    "path": ([(OURS, b"../../x")], "../../x"),
    "encoded path": ([(OURS, b"%2e%2e%2f%2e%2e%2fx")], "../../x"),
    "UTF-8": ([(OURS, "s\u00e9ssion".encode())], "s\u00e9ssion"),
    "ISO 8859-1": ([(OURS, b"s\xe9ssion")], "s\ufffdssion"),
    "broken percent": ([(OURS, b"%zz%")], "%zz%"),
    "empty": ([(OURS, b"")], None),
    "blank": ([(OURS, b" \t ")], None),
    "repeated": ([(OURS, b"first"), (OURS, b"second")], None),
    "path in the other header": ([(THEIRS, b"../../x")], "../../x"),
    "UTF-8 in the other header": ([(THEIRS, "s\u00e9ssion".encode())], "s\u00e9ssion"),
    "both headers": ([(OURS, b"ours"), (THEIRS, b"theirs")], "ours"),
}


def path_of(server: str, app: str) -> str:
    """Return the path of a route that does as good as nothing."""
    return (
        f"/{app}/nothing" if server != "gunicorn" else f"/{app.replace('around', 'flask')}/nothing"
    )


def assert_clean(root: Path) -> None:
    """Assert that there are files of sessions only, and no control characters in them."""
    outside = sorted(path.name for path in root.parent.iterdir())
    assert ["output", "traces"] == outside
    for path in root.iterdir():
        assert re.fullmatch(r"[!-~]+\.(logs|spans)\.jsonl", path.name), path
        assert path.is_file()
        assert not re.search(rb"[\x00-\x09\x0b-\x1f]", path.read_bytes()), path


def assert_answer(answer: Any, what: str) -> str | None:
    """Assert that an answer is no failure and repeats nothing bad; return its session."""
    assert answer.status in (200, 400, 431) or (what, answer.status) == ("64 KB", 0)
    assert "x-injected" not in {name.lower() for name, _ in answer.headers}, what
    if not answer.sessions:
        assert answer.status != 200, what  # the server has refused it by itself
        return None
    (value,) = answer.sessions
    assert re.fullmatch(r"[!-~]+", value), what
    return decode_session_header(value)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("app", ["around", "reject", "accept", "untrusting", "own-check"])
async def test_never_a_failure_nor_a_raw_copy(
    request: pytest.FixtureRequest, fetch: Any, server: str, app: str
) -> None:
    """Whatever the policy, and each policy does as it says."""
    program = request.getfixturevalue(server)
    for what, (headers, named) in HOSTILE.items():
        answer = await fetch(program.port, path_of(server, app), *headers)
        sid = assert_answer(answer, what)
        if sid is None:
            continue
        plain = all(re.fullmatch(rb"[!-~]{1,128}", value) for _, value in headers)
        plain = plain and named is not None and named.isprintable()
        if (
            (app == "accept" and named is not None)
            or (app == "around" and plain)
            or (app == "reject" and plain)
        ):
            assert (200, named) == (answer.status, sid), what
        elif app == "reject" and named is not None and what != "carriage return and line feed":
            assert 400 == answer.status, what
            assert answer.body.startswith(b"The session ID of the request is refused: "), what
            assert str(uuid.UUID(sid)) == sid, what
        elif app in ("untrusting", "own-check"):
            assert 200 == answer.status, what
            assert str(uuid.UUID(sid)) == sid, what
    assert_clean(program.root)


@pytest.mark.parametrize("server", SERVERS)
async def test_a_replaced_id_is_told_of_in_the_new_session(
    request: pytest.FixtureRequest, fetch: Any, traces: Any, server: str
) -> None:
    """One warning that holds nothing of the header, where who looks into the session sees it."""
    program = request.getfixturevalue(server)

    answer = await fetch(program.port, path_of(server, "around"), (OURS, b"hostile%0a" * 30))

    (sid,) = answer.sessions
    rows = [row for row in traces(program.root, [sid]).logs if row["level"] == "WARNING"]
    assert ["replaced the session ID of a request: it is longer than 128 characters"] == [
        row["message"] for row in rows
    ]
    assert "hostile" not in program.text()


@pytest.mark.parametrize("server", SERVERS)
async def test_own_check(request: pytest.FixtureRequest, fetch: Any, server: str) -> None:
    """The user's callable decides on an ID that has passed the other checks."""
    program = request.getfixturevalue(server)
    path = path_of(server, "own-check")

    good = await fetch(program.port, path, (OURS, "ok-1"))
    bad = await fetch(program.port, path, (OURS, "no-1"))

    assert ["ok-1"] == good.sessions
    assert ["no-1"] != bad.sessions
    assert not log_path("no-1", program.root).exists()


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
@pytest.mark.parametrize("value", [b"a%0ab", b"a" * 129, "s\u00e9".encode()])
async def test_a_websocket_is_refused(
    request: pytest.FixtureRequest, fetch: Any, server: str, value: bytes
) -> None:
    """By the policy ``reject``: the handshake is answered with 403."""
    if server == "uvicorn":
        pytest.importorskip("websockets", reason="uvicorn needs it for websockets")
    program = request.getfixturevalue(server)

    answer = await fetch(
        program.port,
        "/reject/websocket?expected=x",
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        (OURS, value),
    )

    assert 403 == answer.status
