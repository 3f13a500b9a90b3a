"""What the page itself asks: fragments that show sessions, lines and hits. Nothing of it is promised."""

from __future__ import annotations

import contextlib
import itertools
import threading
from math import isfinite
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from tracectrl_logging.reader.json_rows import typed
from tracectrl_logging.reader.model import UnknownSessionError, unheard
from tracectrl_logging.viewer import fragments, questions
from tracectrl_logging.viewer.answers import answer, params_of, refusal
from tracectrl_logging.viewer.api import cursor_of, searched
from tracectrl_logging.viewer.streams import event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from typing import Final

    from starlette.requests import Request

    from tracectrl_logging.viewer.lists import Lists
    from tracectrl_logging.viewer.streams import Pauses, Streams

_IDS: Final = 50
_HITS: Final = 500
_SEARCH_S: Final = 300
_ROWS: Final = 1000
_QUERY_S: Final = 30
_BUCKETS: Final = 24
_SPARK_LINES: Final = 20_000
_MOST_TEXT: Final = 10_000
_EXACT: Final = 2**53


class Page:
    """The answers under ``page/``."""

    def __init__(self, streams: Streams, lists: Lists) -> None:
        self._streams = streams
        self._lists = lists

    def routes(self) -> list[tuple[str, Callable[[Request], Awaitable[Any]]]]:
        """Return the paths and what answers them."""
        return [
            ("sessions", self.sessions),
            ("session", self.session),
            ("line", self.line),
            ("search", self.search),
            ("query", self.query),
            ("known", self.known),
            ("spark", self.spark),
        ]

    async def sessions(self, request: Request) -> Any:
        """Return the list of sessions as a stream."""
        return self._lists.stream(params_of(request.scope), fragments.session_row)

    async def session(self, request: Request) -> Any:
        """Return the rows of one session as a stream."""
        params = params_of(request.scope)
        sid, after = params.get("id", ""), cursor_of(request, params)
        follow = params.get("follow") is None or questions.flag(params, "follow")

        return self._streams.following(
            sid, fragments.line_rows, after=after, follow=follow, name="rows", says_state=True
        )

    async def line(self, request: Request) -> Any:
        """Return one long line."""
        params = params_of(request.scope)
        sid, digest, time = (params.get(name, "") for name in ("id", "digest", "time"))

        def read() -> Response:
            try:
                for line in self._streams.opened(unheard).read(sid):
                    if line.time == time and fragments.digest_of(line) == digest:
                        return Response(typed(line), media_type="application/json")
            except UnknownSessionError:
                pass
            return refusal(404, "the line is not there any more")

        return await self._streams.run(read)

    async def search(self, request: Request) -> Any:
        """Return the hits of a search over all sessions as a stream."""
        params = params_of(request.scope)
        questions.search(params)  # before the answer begins
        limit = questions.number(params, "limit", _HITS)

        async def events(_: Pauses) -> AsyncGenerator[bytes, None]:
            searching = await searched(self._streams, request, limit, timeout_s=_SEARCH_S)
            batches = searching.batches()

            def next_rows() -> list[dict[str, Any]] | None:
                hits = next(batches, None)
                return None if hits is None else list(map(fragments.hit_row, hits))

            count = 0
            try:
                while True:
                    rows = await self._streams.run_while_wanted(next_rows, searching.close)
                    if rows is None:
                        break
                    if count < limit:
                        yield event("hits", {"rows": rows[: limit - count]})
                    count += len(rows)
                yield event("end", {"more": count > limit})
            except TimeoutError as error:
                yield event("error", {"message": str(error)})
            finally:
                searching.close()

        return self._streams.stream(events)

    async def query(self, request: Request) -> Any:
        """Return the rows of one SQL query."""
        sql = params_of(request.scope).get("sql", "")
        try:
            from tracectrl_logging.reader.sql import QueryError  # noqa: PLC0415 - where SQL is asked for
        except ImportError as error:
            return refusal(501, str(error))

        ending = contextlib.ExitStack()
        gone = threading.Event()

        def started(close: Callable[[], None]) -> None:
            ending.callback(close)
            if gone.is_set():
                close()

        def end() -> None:
            gone.set()
            ending.close()

        def read() -> Response:
            try:
                store = self._streams.opened(unheard)
                with store.query(sql, timeout_s=_QUERY_S, on_start=started) as rows:
                    columns = list(rows.columns)
                    found = [list(map(_cell, row)) for row in itertools.islice(rows, _ROWS + 1)]
            except ImportError as error:
                return refusal(501, str(error))
            except QueryError as error:
                return refusal(400, str(error))
            more = len(found) > _ROWS
            data = {"columns": columns, "rows": found[:_ROWS], "more": more}
            return answer(data)

        return await self._streams.run_while_asked(request, read, end)

    async def known(self, request: Request) -> Any:
        """Return IDs that start as asked for."""
        prefix = params_of(request.scope).get("prefix", "")
        ids = await self._streams.run(
            lambda: sorted(self._streams.opened(unheard).ids(prefix, limit=_IDS))
        )
        return answer({"ids": ids})

    async def spark(self, request: Request) -> Any:
        """Return how many lines and errors there were in each part of a session's time."""
        sid = params_of(request.scope).get("id", "")

        def read() -> dict[str, list[int]]:
            try:
                lines = itertools.islice(self._streams.opened(unheard).read(sid), _SPARK_LINES)
                return fragments.buckets(lines, _BUCKETS)
            except UnknownSessionError:
                return fragments.buckets((), _BUCKETS)

        return answer(await self._streams.run(read))


def _cell(value: Any) -> Any:
    """Return *value* as JSON has it exactly: text, a number that a browser keeps, or null."""
    is_number = isinstance(value, float) and isfinite(value)
    if value is None or is_number or (isinstance(value, int) and abs(value) < _EXACT):
        return value
    text = str(value)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"
