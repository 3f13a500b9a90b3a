"""What ``ship`` has sent, and what it is about to: two files that survive whatever is killed.

The checkpoint says up to where lines are in the store. Before lines are sent, all that is to be sent is in the
intent, whole and on disk: after a kill, the same blocks are sent again under the same names, which the store
knows again. Then the checkpoint takes the intent's place.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from tracectrl_logging.reader.model import Closing
from tracectrl_logging.shipping.rows import Block

if TYPE_CHECKING:
    from collections.abc import Sequence

_OWN = 0o600  # what is stored may be confidential


class Checkpoint(NamedTuple):
    """Up to where lines are in the store."""

    number: int = 0
    """How many lots have been sent."""
    cursor: str = ""
    """Where the reader of the root stands, behind them."""
    logs: int = 0
    spans: int = 0
    last_time: str | None = None
    """The time of the last line."""
    sent_ns: int = 0
    """When the last lot was there, by this machine's clock."""
    error: str | None = None
    """Why the lot that follows is not there yet."""


class Intent(NamedTuple):
    """A lot that is to be sent: what is to be true behind it, and its blocks with their names."""

    after: Checkpoint
    tokens: list[str]
    blocks: list[Block]


class InUseError(OSError):
    """Another process ships with this state."""


class State(Closing):
    """The checkpoint and the intent at *path*, for one process at a time.

    Raises:
        InUseError: another process has it.
        ValueError: what is there is of another store or root, or no state.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: str, whose: Sequence[str]) -> None:
        self._path, self._whose = path, list(whose)
        os.makedirs(os.path.dirname(path) or os.curdir, mode=0o700, exist_ok=True)
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWN)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            msg = f"another process ships with the state {path!r}"
            raise InUseError(msg) from error
        try:
            self.checkpoint = checkpoint_at(path, whose)
            self.intent = self._stored_intent()
        except BaseException:
            self.close()
            raise

    def intend(self, intent: Intent) -> None:
        """Put *intent* on disk, before any of it is sent."""
        head = orjson.dumps(
            {
                "after": intent.after._asdict(),
                "blocks": [
                    {"token": token, "table": block.table, "rows": len(block.rows)}
                    for token, block in zip(intent.tokens, intent.blocks, strict=True)
                ],
            }
        )
        rows = [row for block in intent.blocks for row in block.rows]
        _replace(f"{self._path}.intent", b"\n".join([head, *rows, b""]), "intent")
        self.intent = intent

    def commit(self, now_ns: int) -> None:
        """Take note that the intent is in the store, as of *now_ns*."""
        if self.intent is not None:
            self.keep(self.intent.after._replace(sent_ns=now_ns))
            _at("committed")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._path}.intent")
            self.intent = None
            _at("forgotten")

    def keep(self, checkpoint: Checkpoint) -> None:
        """Put *checkpoint* on disk."""
        said = {"whose": self._whose, **checkpoint._asdict()}
        _replace(self._path, orjson.dumps(said) + b"\n", "checkpoint")
        self.checkpoint = checkpoint

    def close(self) -> None:
        """Let others have it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _stored_intent(self) -> Intent | None:
        """Return the intent that is on disk, if it is not in the checkpoint yet."""
        try:
            with open(f"{self._path}.intent", "rb") as file:
                head, *rows = file.read().split(b"\n")
        except FileNotFoundError:
            return None
        said = orjson.loads(head)
        after = Checkpoint(**said["after"])
        if after.number <= self.checkpoint.number:
            return None
        waiting = iter(rows)
        blocks = [
            Block(each["table"], [next(waiting) for _ in range(each["rows"])])
            for each in said["blocks"]
        ]
        return Intent(after, [each["token"] for each in said["blocks"]], blocks)


def checkpoint_at(path: str, whose: Sequence[str] | None = None) -> Checkpoint:
    """Return the checkpoint at *path*; where none is there, that of a beginning.

    Raises:
        ValueError: it is none, or is not *whose* it is to be, as far as that is said.
        OSError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            said: dict[str, Any] = orjson.loads(file.read())
        own = said.pop("whose")
        found = Checkpoint(**said)
    except FileNotFoundError:
        return Checkpoint()
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        msg = f"the state {path!r} is none that ship has written"
        raise ValueError(msg) from error
    if whose is not None and own[: len(whose)] != list(whose):
        msg = f"the state {path!r} is of {' to '.join(own[:2])}, not of {' to '.join(list(whose)[:2])}"
        raise ValueError(msg)
    return found


def is_held(path: str) -> bool:
    """Tell whether a process has the state at *path*."""
    try:
        fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _replace(path: str, data: bytes, name: str) -> None:
    """Put *data* in the place of the file at *path*, all of it or nothing, and on disk."""
    new = f"{path}.new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _OWN)
    with open(fd, "wb") as file:
        file.write(data)
        _at(f"{name} half")
        file.flush()
        os.fsync(fd)
    _at(f"{name} new")
    os.replace(new, path)
    directory = os.open(os.path.dirname(path) or os.curdir, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    _at(f"{name} there")


def _at(point: str) -> None:
    """Tell those who watch this process, by an audit hook, that it has come to *point*."""
    sys.audit("tracectrl.ship", point)
