"""A root's lines into a store of many machines: each exactly once, whatever is killed."""

from __future__ import annotations

import sys
import time
import uuid
from typing import TYPE_CHECKING, NamedTuple

from tracectrl._time import ns_of
from tracectrl_logging.reader.model import StoreUnavailableError
from tracectrl_logging.shipping.rows import blocks_of, stamp
from tracectrl_logging.shipping.state import Intent

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from tracectrl_logging.reader.clickhouse.connection import Connection
    from tracectrl_logging.reader.model import Line
    from tracectrl_logging.reader.store import Tail
    from tracectrl_logging.shipping.state import Checkpoint, State

EVERY_S: Final = 60.0
"""How often a row says what was sent, in seconds."""

_POLL_S: Final = 0.1
_QUIET_S: Final = 10.0
_LEAST_WAIT_S: Final = 0.5
_MOST_WAIT_S: Final = 30.0


class Batch(NamedTuple):
    """How much is sent at once."""

    size_bytes: int = 16 * 1024 * 1024
    """A lot is sent when its lines have so many bytes."""
    age_s: float = 1.0
    """A lot is sent when its first line has waited for so long."""


class Minutes:
    """A row a minute for *put*: what was sent in it, how late, and the error that was met.

    Args:
        put: is called with the row.
        done: what was sent before.
    """

    def __init__(self, put: Callable[[dict[str, Any]], object], done: Checkpoint) -> None:
        self._put, self._before = put, done
        self._until = time.monotonic() + EVERY_S

    def pass_by(self, done: Checkpoint) -> None:
        """Take note that by now so much is *done*."""
        now = time.monotonic()
        if now < self._until:
            return
        self._until = now + EVERY_S
        logs, spans = done.logs - self._before.logs, done.spans - self._before.spans
        self._before = done
        self._put({"logs": logs, "spans": spans, "lag_s": lag_s(done), "error": done.error})


def lag_s(done: Checkpoint) -> float | None:
    """Return how many seconds after the time of its latest line the last lot was in the store."""
    last_ns = ns_of(done.last_time)
    return None if last_ns is None or not done.sent_ns else round((done.sent_ns - last_ns) / 1e9, 3)


class Sender:
    """Sends lots of lines over *connection*, as the *host*'s, and keeps in *state* which are there.

    What a process before has left to be sent, when it was killed, is sent at once. *say* is called with a line
    for people where the store cannot be reached, and where it can again; *put* as :class:`Minutes` says.

    Raises:
        StoreError: the store refuses it.
    """

    def __init__(
        self,
        connection: Connection,
        state: State,
        host: str,
        say: Callable[[str], object],
        put: Callable[[dict[str, Any]], object],
    ) -> None:
        self._connection, self._state = connection, state
        self._host, self._say = host, say
        self._minutes = Minutes(put, state.checkpoint)
        if state.intent is not None:
            self._send(state.intent)

    @property
    def cursor(self) -> str:
        """Where the reader of the root stands, behind all that was sent."""
        return self._state.checkpoint.cursor

    def pass_by(self) -> None:
        """Report where a minute has gone by."""
        self._minutes.pass_by(self._state.checkpoint)

    def send(self, lines: list[Line], cursor: str) -> None:
        """Send *lines*, behind which the reader of the root stands at *cursor*.

        Raises:
            StoreError: the store refuses them; they are sent first the next time.
            OSError: the state cannot be written.
        """
        done = self._state.checkpoint
        logs = sum(line.kind == "log" for line in lines)
        after = done._replace(
            number=done.number + 1,
            cursor=cursor,
            logs=done.logs + logs,
            spans=done.spans + len(lines) - logs,
            last_time=max((line.time for line in lines), default=None),
            error=None,
        )
        blocks = blocks_of(lines, after.number, self._host)
        tokens = [f"{self._host}-{uuid.uuid4()}" for _ in blocks]
        intent = Intent(after, tokens, blocks)
        self._state.intend(intent)
        self._send(intent)

    def _send(self, intent: Intent) -> None:
        wait_s, was_away = _LEAST_WAIT_S, False
        for number, (token, block) in enumerate(zip(intent.tokens, intent.blocks, strict=True)):
            while True:
                sys.audit("tracectrl.ship", f"block {number} to go")
                try:
                    self._put(token, block.table, block.rows)
                    break
                except StoreUnavailableError as error:
                    if not was_away:
                        self._say(f"{error}; lines wait in their files")
                        self._state.keep(self._state.checkpoint._replace(error=str(error)))
                    was_away = True
                    self.pass_by()
                    time.sleep(wait_s)
                    wait_s = min(2 * wait_s, _MOST_WAIT_S)
            sys.audit("tracectrl.ship", f"block {number} there")
        if was_away:
            self._say("the store is there again")
        self._state.commit(time.time_ns())

    def _put(self, token: str, table: str, rows: list[bytes]) -> None:
        """Send a block, with the moment of sending by the server's clock, which is one for all machines."""
        ((now_ns,),) = self._connection.rows("SELECT toUnixTimestamp64Nano(now64(9))")
        head = b'{"TracectrlSeen":"%s",' % stamp(now_ns).encode()
        self._connection.insert(table, b"".join(head + row + b"\n" for row in rows), token)


def run(tail: Tail, sender: Sender, batch: Batch, *, once: bool) -> None:
    """Send what *tail* gives, which stands at the cursor of *sender*, without end; with *once*, what is there.

    Raises:
        StoreError: the store refuses it.
        OSError: the root cannot be read, or the state not be written.
    """
    lines: list[Line] = []
    size_bytes, first_at = 0, 0.0
    while True:
        sender.pass_by()
        found = tail.poll()
        if found and not lines:
            first_at = time.monotonic()
        lines += found
        size_bytes += sum(len(line.raw) for line in found)
        pause_s = tail.pause_s(_QUIET_S)  # less where something is on its way
        is_all = once and not found and pause_s >= _QUIET_S
        is_due = size_bytes >= batch.size_bytes or time.monotonic() - first_at >= batch.age_s
        if lines and (is_due or is_all):
            sender.send(lines, tail.cursor)
            lines, size_bytes = [], 0
        elif is_all:
            return
        else:
            time.sleep(min(pause_s, _POLL_S))
