"""What programs ask: the rows of ``--json``, and streams of them. Documented in docs/streams.md."""

from __future__ import annotations

import itertools
import tempfile
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response, StreamingResponse

from tracectrl._json import encode_line
from tracectrl.files.names import stem_of
from tracectrl_logging.reader.conversation import Conversation
from tracectrl_logging.reader.json_rows import summary_row, typed
from tracectrl_logging.reader.model import InvalidCursorError, UnknownSessionError, unheard
from tracectrl_logging.viewer import questions
from tracectrl_logging.viewer.answers import answer, json_bytes, params_of, refusal
from tracectrl_logging.viewer.openapi import document
from tracectrl_logging.viewer.searching import Searching
from tracectrl_logging.viewer.streams import POLL_S, CaughtUp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from typing import IO, Final

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from tracectrl_logging.reader.model import Damage, Line
    from tracectrl_logging.reader.store import Store, Tail
    from tracectrl_logging.viewer.lists import Lists
    from tracectrl_logging.viewer.streams import Streams

SID: Final = "tracectrl_logging.viewer.session_id"
"""The key of a scope under which the session's ID is that a path names."""

_LINES: Final = 1000
_HITS: Final = 100
_SEARCH_S: Final = 60
_MOST_PROBLEMS: Final = 10
_BLOCK_BYTES: Final = 256 * 1024
_IN_MEMORY: Final = 8 * 1024 * 1024


class Api:
    """The answers under ``api/``."""

    def __init__(self, streams: Streams, lists: Lists) -> None:
        self._streams = streams
        self._lists = lists

    def routes(self) -> list[tuple[str, Callable[[Request], Awaitable[Any]]]]:
        """Return the paths and what answers them. An ID may hold slashes: the last part decides."""
        return [
            ("openapi.json", self.openapi),
            ("sessions", self.sessions),
            ("sessions/{id:path}/lines", self.lines),
            ("sessions/{id:path}/stream", self.stream),
            ("sessions/{id:path}/conversation", self.conversation),
            ("sessions/{id:path}/export", self.export),
            ("stream", self.list_stream),
            ("search", self.search),
        ]

    async def openapi(self, request: Request) -> Any:
        """Return what is here, as an OpenAPI document."""
        del request
        return answer(document(version("tracectrl-logging")))

    async def sessions(self, request: Request) -> Any:
        """Return the sessions that are meant."""
        params = params_of(request.scope)
        found = await self._lists.read(params)
        rows = list(map(summary_row, found.summaries))
        return answer({"sessions": rows, "problems": _texts(found.problems)})

    async def lines(self, request: Request) -> Any:
        """Return the lines of a session behind a cursor, and the cursor behind them."""
        params = params_of(request.scope)
        sid, after = _id_of(request), params.get("after", "")
        limit = questions.number(params, "limit", _LINES)
        selection = questions.selection(params)
        problems: list[Damage] = []

        def read() -> Response:
            store = self._streams.opened(problems.append)
            if next(store.ids(sid, limit=1), None) != sid:
                return _unknown(sid)
            try:
                tail = store.tail([sid], selection, after=after)
            except InvalidCursorError as error:
                return refusal(410, str(error))
            with tail:
                found, cursor, more = _page(tail, limit)
            said = json_bytes({"cursor": cursor, "more": more, "problems": _texts(problems)})
            body = b'{"lines":[%s],%s' % (b",".join(map(typed, found)), said[1:])
            return Response(body, media_type="application/json")

        return await self._streams.run(read)

    async def stream(self, request: Request) -> Any:
        """Return the lines of a session as they come."""
        sid = _id_of(request)
        params = params_of(request.scope)
        selection, after = questions.selection(params), cursor_of(request, params)
        return self._streams.following(sid, encode_lines, selection=selection, after=after)

    async def conversation(self, request: Request) -> Any:
        """Return what models, tools and agents said in a session."""
        sid = _id_of(request)
        limit = questions.number(params_of(request.scope), "limit", _LINES)
        problems: list[Damage] = []

        def read() -> Response:
            store = self._streams.opened(problems.append)
            if next(store.ids(sid, limit=1), None) != sid:
                return _unknown(sid)
            turns = Conversation(lambda: store.read(sid)).turns()
            rows = [turn.row() for turn in itertools.islice(turns, limit + 1)]
            said = {"turns": rows[:limit], "more": len(rows) > limit, "problems": _texts(problems)}
            return Response(encode_line(said)[:-1], media_type="application/json")

        return await self._streams.run(read)

    async def list_stream(self, request: Request) -> Any:
        """Return the list of sessions, and then those that have changed."""
        return self._lists.stream(params_of(request.scope), summary_row)

    async def search(self, request: Request) -> Any:
        """Return the log lines that match a pattern."""
        params = params_of(request.scope)
        limit = questions.number(params, "limit", _HITS)
        sids = [sid for sid in params.getlist("session") if sid]
        searching = await searched(self._streams, request, limit, sids, timeout_s=_SEARCH_S)

        def read() -> Response:
            try:
                hits = list(itertools.chain.from_iterable(searching.batches()))
            except UnknownSessionError as error:
                return _unknown(str(error.args[0]))
            except TimeoutError as error:
                return refusal(503, str(error))
            rows = b",".join(typed(hit.line) for hit in hits[:limit])
            problems = searching.problems[:_MOST_PROBLEMS]
            said = json_bytes({"more": len(hits) > limit, "problems": problems})
            return Response(b'{"lines":[%s],%s' % (rows, said[1:]), media_type="application/json")

        try:
            return await self._streams.run_while_asked(request, read, searching.close)
        finally:
            searching.close()

    async def export(self, request: Request) -> Any:
        """Return one session as a file."""
        sid = _id_of(request)
        params = params_of(request.scope)
        form = params.get("format") or "jsonl"
        if form not in _FORMATS:
            msg = f"format must be one of {', '.join(_FORMATS)}, got {form!r}"
            raise questions.UnclearError(msg)
        write, ending, media_type = _FORMATS[form]
        redact = params.getlist("redact")
        if redact and form != "html":
            msg = f"redact needs format=html, got format={form}"
            raise questions.UnclearError(msg)
        store = self._streams.opened(unheard)
        if await self._streams.run(lambda: next(store.ids(sid, limit=1), None)) != sid:
            return _unknown(sid)
        file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed when sent
        try:
            await self._streams.run(lambda: write(store, sid, file, redact))
        except BaseException:
            file.close()
            raise
        file.seek(0)
        headers = {"Content-Disposition": f'attachment; filename="{stem_of(sid)}{ending}"'}
        return StreamingResponse(_blocks(file), headers=headers, media_type=media_type)


def _id_of(request: Request) -> str:
    return str(request.scope.get(SID, request.path_params["id"]))


def cursor_of(request: Request, params: QueryParams) -> str:
    """Return the cursor that a stream goes on from: of the address, or what a browser sends again."""
    return request.headers.get("last-event-id") or params.get("after", "")


async def searched(
    streams: Streams, request: Request, limit: int, sids: Sequence[str] = (), *, timeout_s: float
) -> Searching:
    """Return the search that *request* asks for, which gives up to one hit more than *limit*.

    Raises:
        UnclearError: a parameter cannot be understood.
    """
    questions.search(params_of(request.scope))
    query = request.scope["query_string"]
    return await streams.run(
        lambda: Searching(streams.place, query, sids, most=limit + 1, timeout_s=timeout_s)
    )


def encode_lines(lines: list[Line]) -> orjson.Fragment:
    """Return *lines* as the data of an event, an array of rows."""
    return orjson.Fragment(b"[%s]" % b",".join(map(typed, lines)))


def _page(tail: Tail, limit: int) -> tuple[list[Line], str, bool]:
    """Return up to *limit* lines, the cursor behind them, and whether there are more."""
    found: list[Line] = []
    caught_up = CaughtUp(tail)
    while True:
        lines = caught_up.poll()
        room = limit - len(found)
        found += lines[:room]
        if len(found) == limit:
            return found, tail.cursor_after(min(room, len(lines))), True
        if caught_up():
            return found, tail.cursor, False
        time.sleep(tail.pause_s(POLL_S))


def _texts(problems: list[Damage]) -> list[str]:
    return [str(damage) for damage in problems[:_MOST_PROBLEMS]]


def _unknown(sid: str) -> Response:
    return refusal(404, f"there is no session {sid!r}")


def _write_lines(store: Store, sid: str, file: IO[bytes], redact: list[str]) -> None:
    del redact
    file.writelines(typed(line) + b"\n" for line in store.read(sid))


def _write_otlp(store: Store, sid: str, file: IO[bytes], redact: list[str]) -> None:
    from tracectrl_logging.reader.otlp.export import write_otlp  # noqa: PLC0415 - one of several ways

    del redact
    write_otlp(store.read(sid), sid, file)


def _write_html(store: Store, sid: str, file: IO[bytes], redact: list[str]) -> None:
    from tracectrl_logging.viewer.export import write_html  # noqa: PLC0415 - as above

    write_html(file, store, sid, redact=redact)


_FORMATS: Final = {
    "jsonl": (_write_lines, ".jsonl", "application/x-ndjson"),
    "otlp": (_write_otlp, ".otlp.jsonl", "application/x-ndjson"),
    "html": (_write_html, ".html", "text/html"),
}


async def _blocks(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while block := file.read(_BLOCK_BYTES):
            yield block
