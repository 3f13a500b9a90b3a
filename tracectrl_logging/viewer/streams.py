"""Server-sent events: one answer that goes on, and what is followed in it.

https://html.spec.whatwg.org/multipage/server-sent-events.html is the format. A client takes any status
but 200 as final, so that what goes wrong is an event, too.
"""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any

# By their names: anyio looks for its modules when it is asked for them, and then there may be no descriptor left.
from anyio import (
    CancelScope,
    CapacityLimiter,
    create_task_group,
    get_cancelled_exc_class,
    sleep,
    to_thread,
)

from tracectrl_logging.reader import open_store, place_of
from tracectrl_logging.reader.filters.selection import ALL
from tracectrl_logging.reader.model import InvalidCursorError, unheard
from tracectrl_logging.viewer.answers import json_bytes, refusal
from tracectrl_logging.viewer.listening import Listening
from tracectrl_logging.viewer.states import States

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Callable
    from typing import Final, TypeVar

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from tracectrl_logging.reader.filters.selection import Selection
    from tracectrl_logging.reader.model import Damage, Line, Report
    from tracectrl_logging.reader.store import Store, Tail

    T = TypeVar("T")

POLL_S: Final = 0.05
"""How long a stream waits where it is quiet."""

MOST_LINES: Final = 500
"""How many lines are in one event at most."""

_WINDOW_S: Final = 0.3  # what waits to be sorted has come by then
_COMMENT_S: Final = 15
_STOP_S: Final = 0.1  # how often a stream asks whether the server is to stop
_RETRY_MS: Final = 500
_MOST_PROBLEMS: Final = 10
_REWRITTEN: Final = "a file of the session was written anew: lines that were sent are gone"


def event(name: str, data: Any, cursor: str | None = None) -> bytes:
    """Return the event *name*; *data* becomes JSON, *cursor* is its ``id``."""
    head = f"event: {name}\n" if cursor is None else f"event: {name}\nid: {cursor}\n"
    return b"%sdata: %s\n\n" % (head.encode(), json_bytes(data))


class Streams:
    """The streams of one application: what they read, how many there are, whether the server is to stop.

    Args:
        root: the store, as :func:`tracectrl_logging.reader.open_store` takes it.
        most: how many may be open; one more is told that the server is busy.
        most_threads: how many of them read at once.

    Raises:
        ValueError: *root* is empty, or no URL of a store.
        MissingExtraError: the store's client is not installed.
    """

    def __init__(
        self, root: str | os.PathLike[str] | None, most: int = 256, most_threads: int = 16
    ) -> None:
        self.place = place_of(root)
        """The store, for another process."""
        self.opened(unheard)  # raises where it means none
        self._most = most
        self._most_threads = most_threads
        self._limiter: CapacityLimiter | None = None
        self._open = 0
        self._listening: dict[Any, Listening] = {}

    def opened(self, report: Report) -> Store:
        """Return the store; *report* is called with what cannot be read."""
        return open_store(self.place, on_damage=report)

    async def run(self, function: Callable[[], T]) -> T:
        """Return what *function* returns, which reads and is called in a thread."""
        return await to_thread.run_sync(function, limiter=self._limits())

    async def run_while_wanted(self, function: Callable[[], T], end: Callable[[], object]) -> T:
        """Return what *function* returns; where nobody waits any more, *end* ends what it does."""
        try:
            return await to_thread.run_sync(
                function, limiter=self._limits(), abandon_on_cancel=True
            )
        except get_cancelled_exc_class():
            end()
            raise

    async def run_while_asked(
        self, request: Request, function: Callable[[], Response], end: Callable[[], object]
    ) -> Response:
        """Return what *function* returns; *end* ends what it does where the client has gone."""
        answer = refusal(400, "the client has gone")
        raised: Exception | None = None
        async with create_task_group() as group:

            async def watch() -> None:
                while (await request.receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(watch)
            try:
                answer = await self.run_while_wanted(function, end)
            except Exception as error:  # noqa: BLE001 - a group would wrap it
                raised = error
            group.cancel_scope.cancel()
        if raised is not None:
            raise raised
        return answer

    def stream(self, events: Callable[[Pauses], AsyncGenerator[bytes, None]]) -> EventStream:
        """Return an answer that sends what *events* yields."""
        return EventStream(self, events)

    def following(
        self,
        sid: str,
        encode: Callable[[list[Line]], Any],
        *,
        selection: Selection = ALL,
        after: str,
        follow: bool = True,
        name: str = "lines",
        says_state: bool = False,
    ) -> EventStream:
        """Return an answer that sends the lines of a session; the arguments are those of :func:`followed`."""

        def events(pauses: Pauses) -> AsyncGenerator[bytes, None]:
            return followed(
                self,
                pauses,
                sid,
                encode,
                selection=selection,
                after=after,
                follow=follow,
                name=name,
                says_state=says_state,
            )

        return self.stream(events)

    def _limits(self) -> CapacityLimiter:
        if self._limiter is None:  # it belongs to an event loop
            self._limiter = CapacityLimiter(self._most_threads)
        return self._limiter

    def enter(self, scope: Scope) -> Pauses | None:
        """Count one more stream and return its pauses; ``None`` where there are too many."""
        if self._open >= self._most:
            return None
        self._open += 1
        server = scope.get("server")
        key = tuple(server) if server else None
        listening = self._listening.get(key)
        if listening is None or listening.has_ended():
            listening = self._listening[key] = Listening(scope)
        return Pauses(listening)

    def leave(self) -> None:
        """Count one stream less."""
        self._open -= 1


class Pauses:
    """Waits between two looks, and knows when the server is to stop."""

    def __init__(self, listening: Listening) -> None:
        self._listening = listening
        self._spoken_at = time.monotonic()

    async def wait(self, pause_s: float) -> bool:
        """Wait for *pause_s* seconds; return whether to go on."""
        end = time.monotonic() + pause_s
        while True:
            if self._listening.has_ended():
                return False
            left = end - time.monotonic()
            await sleep(max(0.0, min(left, _STOP_S)))
            if left <= _STOP_S:
                return not self._listening.has_ended()

    def comment(self, *, spoken: bool) -> bytes:
        """Return a comment where nothing was sent for long, so that nobody takes the line for dead."""
        now = time.monotonic()
        if spoken or now - self._spoken_at < _COMMENT_S:
            if spoken:
                self._spoken_at = now
            return b""
        self._spoken_at = now
        return b":\n\n"


class EventStream:
    """An answer of server-sent events, as an ASGI application."""

    def __init__(
        self, streams: Streams, events: Callable[[Pauses], AsyncGenerator[bytes, None]]
    ) -> None:
        self._streams = streams
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client goes, the server is to stop, or there are no more."""
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        async with create_task_group() as group:

            async def end_with_client() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(end_with_client)
            await self._send_all(scope, send)
            group.cancel_scope.cancel()

    async def _send_all(self, scope: Scope, send: Send) -> None:
        pauses = self._streams.enter(scope)
        if pauses is None:
            body = event("busy", {"message": "too many streams are open; try again later"})
            await send({"type": "http.response.body", "body": body})
            return
        try:
            first = f"retry: {_RETRY_MS}\n\n".encode()
            await send({"type": "http.response.body", "body": first, "more_body": True})
            events = self._events(pauses)
            try:
                async for body in events:
                    if body:
                        await send({"type": "http.response.body", "body": body, "more_body": True})
            except (OSError, ValueError) as error:  # the store cannot be read, or the ID is none
                body = event("problem", {"message": str(error)})
                with contextlib.suppress(OSError):
                    await send({"type": "http.response.body", "body": body, "more_body": True})
            finally:
                with CancelScope(shield=True):
                    await events.aclose()
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._streams.leave()


async def followed(  # noqa: C901 - one stream, with what it may have to say
    streams: Streams,
    pauses: Pauses,
    sid: str,
    encode: Callable[[list[Line]], Any],
    *,
    selection: Selection,
    after: str,
    follow: bool,
    name: str,
    says_state: bool = False,
) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a session that come after a cursor as events, each with the cursor behind it.

    A slow client holds up its own reading and nothing else: what it has not taken stays in the store.

    Args:
        streams: where reading is done.
        pauses: waits between two looks.
        sid: the session; it need not exist yet.
        encode: makes an event's data of lines; it is called in a thread.
        selection: which lines are meant.
        after: the cursor; ``""`` for the start. One that is not valid any more is answered by the
            event ``reset``, and then all lines; so is a file that is written anew meanwhile.
        follow: go on when all that was there has been sent.
        name: the name of the events.
        says_state: yield the session's state, too, as the event ``state``, when all that was there has
            been sent, and whenever it has changed; all lines must be meant.
    """
    problems: list[Damage] = []
    store = streams.opened(problems.append)

    def begin() -> tuple[Tail, bytes]:
        try:
            return store.tail([sid], selection, after=after), b""
        except InvalidCursorError as error:
            return begin_anew(str(error))

    def begin_anew(why: str) -> tuple[Tail, bytes]:
        return store.tail([sid], selection, after=""), event("reset", {"message": why})

    def encoded(lines: list[Line], start: int) -> bytes:
        batch = lines[start : start + MOST_LINES]
        lines[start : start + MOST_LINES] = [None] * len(batch)  # type: ignore[list-item] # it may wait long
        return event(name, encode(batch), tail.cursor_after(start + len(batch)))

    def poll() -> list[Line]:
        lines = caught_up.poll()
        if states is not None and not tail.is_rewritten:
            states.see(lines)
        return lines

    states = States(store, sid) if says_state else None
    tail, said = await streams.run(begin)
    if states is not None and after and not said:
        await streams.run(states.see_all)
    caught_up = CaughtUp(tail)
    is_told = False
    try:
        yield said
        while True:
            lines = await streams.run(poll)
            if tail.is_rewritten:
                tail.close()
                states = States(store, sid) if says_state else None
                tail, said = await streams.run(partial(begin_anew, _REWRITTEN))
                caught_up, is_told = CaughtUp(tail), False
                yield said
                continue
            for start in range(
                0, len(lines), MOST_LINES
            ):  # each when the one before has been taken
                yield await streams.run(partial(encoded, lines, start))
            for damage in problems[:_MOST_PROBLEMS]:
                yield event("problem", {"message": str(damage)})
            problems.clear()
            if not is_told and caught_up():
                is_told = True
                yield event("caught-up", {})
            if is_told and states is not None and (state := await streams.run(states.changed)):
                yield event("state", {"state": state})
            if is_told and not follow:
                return
            yield pauses.comment(spoken=bool(lines))
            if not await pauses.wait(tail.pause_s(POLL_S)):
                return
    finally:
        tail.close()


class CaughtUp:
    """Polls a tail, and tells whether it has given all that was there."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self._polled_at = 0.0
        self._drained_at: float | None = None

    def poll(self) -> list[Line]:
        """Return what :meth:`Tail.poll` does."""
        self._polled_at = time.monotonic()
        lines = self._tail.poll()
        if self._drained_at is None and not self._tail.is_behind:
            self._drained_at = time.monotonic()
        return lines

    def __call__(self) -> bool:
        """Return whether it has. Where lines come without end, what was there waits to be sorted no longer."""
        if self._drained_at is None:
            return False
        is_empty = not self._tail.is_behind and self._tail.pause_s(1.0) == 1.0
        return is_empty or self._polled_at - self._drained_at > _WINDOW_S
