"""The end of sessions in ClickHouse: what comes, each line once, and behind a cursor."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl_logging import reader
from tracectrl_logging.reader.model import InvalidCursorError, Line

if TYPE_CHECKING:
    from collections.abc import Callable


def lines(start: int, end: int, sid: str = "order-1") -> list[Line]:
    """Return log lines of now, with these numbers."""
    found = []
    for number in range(start, end):
        now = time.time_ns() // 1000
        stamp = (
            time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**6)) + f".{now % 10**6:06d}Z"
        )
        row = {
            "timestamp": stamp,
            "level": "INFO",
            "logger": "app",
            "message": f"line {number}",
            "session_id": sid,
        }
        found.append(Line("log", row, json.dumps(row).encode(), stamp, "", 0, sid))
    return found


@pytest.fixture(params=["blocks", "rows"])
def send(
    request: pytest.FixtureRequest, client: Any, set_up: str, put: Callable[..., None]
) -> Callable[[list[Line]], None]:
    """Return what sends lines: as ``ship`` does in blocks, or as a collector does in rows."""
    del set_up
    number = 0

    def sent(some: list[Line]) -> None:
        nonlocal number
        is_block = request.param == "blocks"
        put(client, some, as_written=is_block, seen_ns=time.time_ns(), first=number + 1)
        number += len(some)

    return sent


def polled(tail: reader.Tail, count: int) -> list[str]:
    """Return the messages of so many lines that come, within ten seconds."""
    found: list[str] = []
    until = time.monotonic() + 10
    while len(found) < count and time.monotonic() < until:
        found += [line.row["message"] for line in tail.poll()]
    return found + [line.row["message"] for line in tail.poll()]


def messages(start: int, end: int) -> list[str]:
    """Return the messages of the lines with these numbers."""
    return [f"line {number}" for number in range(start, end)]


def test_each_once(set_up: str, send: Callable[[list[Line]], None]) -> None:
    """What was there comes from ``last``, and what comes from ``poll``, each line once."""
    send(lines(0, 5))
    store = reader.open_store(set_up)
    with store.tail(count=3) as tail:
        send(lines(5, 8))
        assert messages(2, 5) == [line.row["message"] for line in tail.last()]
        assert messages(5, 8) == polled(tail, 3)
        send(lines(8, 10))
        send(lines(10, 12, "order-2"))
        assert messages(8, 12) == polled(tail, 4)


def test_after_cursor(set_up: str, send: Callable[[list[Line]], None]) -> None:
    """Behind a cursor comes what has come since, also in the middle of what a poll has returned."""
    store = reader.open_store(set_up)
    with store.tail(count=0) as tail:
        send(lines(0, 6))
        assert messages(0, 6) == polled(tail, 6)
        send(lines(6, 10))
        until = time.monotonic() + 10
        while not (found := tail.poll()) and time.monotonic() < until:
            pass
        assert messages(6, 10) == [line.row["message"] for line in found]
        cursor = tail.cursor_after(1)
        behind_all = tail.cursor_after(4)
    send(lines(10, 12))
    with store.tail(after=cursor) as tail:
        assert messages(7, 12) == polled(tail, 5)
    with store.tail(after=behind_all) as tail:
        assert messages(10, 12) == polled(tail, 2)
    with store.tail(after="") as tail:
        assert messages(0, 12) == polled(tail, 12)


def test_of_a_session(set_up: str, send: Callable[[list[Line]], None]) -> None:
    """A tail of one session has the lines of that one, and waits for one that is not there yet."""
    with reader.open_store(set_up).tail(["order-2"]) as tail:
        send(lines(0, 2))
        send(lines(2, 4, "order-2"))
        assert messages(2, 4) == polled(tail, 2)


def test_no_cursor(set_up: str) -> None:
    """What is no cursor of such a store is said to be none."""
    with pytest.raises(InvalidCursorError, match="must be one that a tail of this store has given"):
        reader.open_store(set_up).tail(after="1.abc")


def test_engine_away(own_engine: Callable[..., Any], put: Callable[..., None]) -> None:
    """A tail waits for a server that is away, says so once, and goes on where it stood."""
    engine, url, client = own_engine()
    said: list[str] = []
    tail = reader.open_store(url, on_damage=lambda damage: said.append(str(damage))).tail(count=0)
    put(client, lines(0, 3), seen_ns=time.time_ns())
    assert messages(0, 3) == polled(tail, 3)
    engine.kill()
    assert [[], []] == [tail.poll(), tail.poll()]
    assert 1 == len(said)
    assert "cannot be reached" in said[0]
    engine.start()
    put(client, lines(3, 5), seen_ns=time.time_ns(), first=4)
    assert messages(3, 5) == polled(tail, 2)
