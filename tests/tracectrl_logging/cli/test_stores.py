"""The commands know no store: a second one, in memory, gives the same rows as files."""

from __future__ import annotations

import heapq
import itertools
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import orjson
import pytest

from tracectrl.schema import PARENT_KEY, PREVIOUS_KEY, severity
from tracectrl.session import session
from tracectrl_logging import reader
from tracectrl_logging.reader.filters.search import Count, hits
from tracectrl_logging.reader.filters.selection import ALL
from tracectrl_logging.reader.sql.connection import query_error
from tracectrl_logging.reader.sql.rows import Rows
from tracectrl_logging.reader.sql.views import (
    COLUMNS,
    MARK,
    PARENT,
    PREVIOUS,
    PUBLIC,
    SESSION,
    TABLES,
)
from tracectrl_logging.reader.sql.worker import form_of
from tracectrl_logging.reader.timeline.tally import Tally

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Iterator

    from click.testing import Result
    from opentelemetry import trace
    from typing_extensions import Self

    from tracectrl.schema import Kind
    from tracectrl_logging.reader import Line, SessionSummary
    from tracectrl_logging.reader.filters.search import Hit, Search, Wanted
    from tracectrl_logging.reader.filters.selection import Selection
    from tracectrl_logging.reader.filters.sessions import SessionQuery


class MemoryStore:
    """Sessions in memory: their lines in time order, and those of each kind as they were written."""

    name = "memory"
    read_lines: dict[str, list[Line]] = {}  # noqa: RUF012 - what each store of a test holds

    def __init__(self, root: object = None, **options: object) -> None:
        del root, options

    def ids(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
        """Yield the IDs in order."""
        found = (sid for sid in sorted(self.read_lines) if sid.startswith(prefix))
        return itertools.islice(found, limit)

    def sessions(self, query: SessionQuery) -> Any:
        """Return the sessions in numbers."""
        return query.in_order(filter(query.means, self._summaries(query)))

    def _summaries(self, query: SessionQuery) -> Iterator[SessionSummary]:
        for sid, lines in self.read_lines.items():
            tally = Tally()
            for line in lines:
                tally.see(line)
            if all(any(map(it, (line.row for line in lines))) for it in query.on_lines()):
                yield tally.summary(sid, tally.state(is_running=self.is_running(sid)))

    def is_running(self, sid: str, owners: Collection[str | None] = ()) -> bool:
        """Tell that every session goes on: the test has a handler for it."""
        del sid, owners
        return True

    def read(self, sid: str, selection: Selection = ALL) -> Iterator[Line]:
        """Return the lines of a session."""
        if sid not in self.read_lines:
            raise reader.UnknownSessionError(sid)
        kinds: tuple[Kind, ...] = ("log", "span")
        tests = {kind: selection.predicate(kind) for kind in kinds}
        lines = self.read_lines[sid]
        return (it for it in lines if (test := tests[it.kind]) is None or test(it.row))

    def search(self, search: Search, sids: Collection[str] = ()) -> Iterator[Hit | Count]:
        """Yield what is found."""
        for sid in sorted(sids or self.read_lines):
            found = hits(search, sid, lambda wanted, sid=sid: self._logs(sid, wanted))  # type: ignore[misc]
            if not search.counting:
                yield from found
            elif count := sum(hit.is_match for hit in found):
                yield Count(sid, count)

    def _logs(self, sid: str, wanted: Wanted | None) -> Iterator[Line]:
        logs = (line for line in self.read(sid) if line.kind == "log")
        return (line for line in logs if wanted is None or wanted(line.raw, line.row))

    def tail(
        self, sids: Collection[str] = (), selection: Selection = ALL, **options: Any
    ) -> MemoryTail:
        """Return the end of sessions; a cursor is how many of the lines there are before."""
        several = [self.read(sid, selection) for sid in sids or self.read_lines]
        merged = heapq.merge(*(sorted(lines, key=_end) for lines in several), key=_end)
        lines = [line for line in merged if line.kind in options["kinds"]]
        if options["after"] is not None:
            return MemoryTail(lines, int(options["after"]), int(options["after"]))
        count = options["count"]
        return MemoryTail(lines, 0 if count is None else max(0, len(lines) - count), len(lines))

    def query(self, sql: str, **options: Any) -> Rows:
        """Return the rows, from tables of the same lines."""
        con = duckdb.connect()
        for kind, table in TABLES.items():
            own = {SESSION: None, PARENT: PARENT_KEY, PREVIOUS: PREVIOUS_KEY, MARK: None}
            columns = {**COLUMNS[kind], **dict.fromkeys(own, "VARCHAR")}
            fields = ", ".join(f'"{name}" {form}' for name, form in columns.items())
            con.execute(f"CREATE TABLE stored_{table} ({fields})")
            for sid, lines in self.read_lines.items():
                for line in (it for it in lines if it.kind == kind):
                    said = line.row if kind == "log" else line.row.get("attributes", {})
                    others = {name: said.get(key) for name, key in own.items() if key}
                    row = {**line.row, "file": line.path, SESSION: sid, MARK: "running", **others}
                    if kind == "log":
                        row["severity_number"] = severity(row)
                        row["extras"] = {k: v for k, v in line.row.items() if k not in columns}
                    values = [
                        orjson.dumps(row.get(name)).decode() if form == "JSON" else row.get(name)
                        for name, form in columns.items()
                    ]
                    marks = ", ".join("?" * len(values))
                    con.execute(f"INSERT INTO stored_{table} VALUES ({marks})", values)  # noqa: S608
        con.execute(PUBLIC)
        try:
            answer = con.execute(sql, options.get("params"))
        except duckdb.Error as error:
            raise query_error(error) from error
        forms = [(name, form_of(kind)) for name, kind, *_ in answer.description or ()]
        return Rows(forms, iter(answer.fetchall()), con.close)

    def query_to_parquet(self, sql: str, path: str, **options: Any) -> int:
        """Write the rows as JSON, which is enough to see that they come by here."""
        rows = list(self.query(sql, **options))
        Path(path).write_text(json.dumps(rows, default=str), encoding="utf-8")
        return len(rows)


class MemoryTail:
    """The last lines of sessions in memory, and those that come."""

    def __init__(self, lines: list[Line], start: int, end: int) -> None:
        self._lines = lines
        self._start = start
        self._end = end
        self._given = end

    def last(self) -> Iterator[Line]:
        """Return the lines that were there."""
        return iter(self._lines[self._start : self._end])

    def poll(self) -> list[Line]:
        """Return the lines that have come."""
        self._given, self._end = self._end, len(self._lines)
        return self._lines[self._given :]

    def cursor_after(self, count: int) -> str:
        """Return where it stands."""
        return str(self._given + count)

    def pause_s(self, poll_s: float) -> float:
        """Return how many seconds to wait."""
        return poll_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def _end(line: Line) -> str:
    return str(line.row["end_time"]) if line.kind == "span" else line.time


@pytest.fixture
def _sessions(file_tracer: trace.Tracer, logger: logging.Logger) -> None:
    for number in range(3):
        with session(f"order-{number}"), file_tracer.start_as_current_span("checkout") as span:
            logger.info("begun", extra={"n": number})
            with session("other"):
                logger.warning("aside %d", number)
            if number:
                logger.error("refused: %d", number, extra={"tool": "pay"})
            span.set_attribute("n", number)
            span.set_attributes({"gen_ai.operation.name": "chat", "llm.token_count.prompt": 3})
            with file_tracer.start_as_current_span("pay") as tool:
                tool.set_attributes({"gen_ai.operation.name": "execute_tool", "input.value": "{}"})


@pytest.mark.usefixtures("_sessions")
@pytest.mark.parametrize(
    "args",
    [
        ("sessions",),
        ("sessions", "--errors", "--sort", "errors", "--limit", "1"),
        ("sessions", "--where", "tool=pay", "--where", "errors>0", "--service", "api"),
        ("show", "order-1"),
        ("show", "order-1", "other", "--level", "WARNING"),
        ("show", "order-0", "--span", "{span}"),
        ("grep", "refused"),
        ("grep", "-v", "refused", "level>=INFO", "--session", "order-2"),
        ("grep", "-c", "aside"),
        ("grep", "-l", "begun"),
        ("tail", "-n", "4"),
        ("tail", "order-2", "--where", "n=2"),
        ("export", "order-1", "--format", "otlp", "-o", "-"),
        ("query", "SELECT * EXCLUDE (file) FROM logs ORDER BY ALL"),
        ("query", "SELECT name, start_time, attributes, resource FROM spans ORDER BY ALL"),
        ("query", "FROM sessions ORDER BY session_id"),
        ("query", "SELECT levle FROM logs"),
        ("query", "errors"),
        ("query", "tokens"),
        ("query", "tools"),
        ("show", "order-2", "--conversation"),
        ("why", "order-1"),
        ("diff", "order-0", "order-1"),
        ("show", "order"),
        ("show", "nobody"),
    ],
)
def test_same_rows(
    args: tuple[str, ...],
    command: Callable[..., Result],
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each reading command gives the same rows, and the same exit status, from either store."""
    store = reader.open_store(root)
    span = next(it.row["span_id"] for it in store.read("order-0") if it.kind == "span")
    asked = [it.format(span=span) for it in args]
    if args[0] != "export":
        asked.append("--json")
    files = command(*asked)
    lines = {sid: list(store.read(sid)) for sid in store.ids()}
    monkeypatch.setattr(MemoryStore, "read_lines", lines)
    monkeypatch.setattr("tracectrl_logging.reader.file_store.FileStore", MemoryStore)
    memory = command(*asked)
    assert (files.exit_code, files.stdout) == (memory.exit_code, memory.stdout)
    assert files.stdout or files.exit_code
    assert files.stderr.replace(str(root), "memory") == memory.stderr


def test_parquet(
    root: Path, command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parquet files are written by the store, too."""
    root.mkdir()
    monkeypatch.setattr(MemoryStore, "read_lines", {})
    monkeypatch.setattr("tracectrl_logging.reader.file_store.FileStore", MemoryStore)
    target = tmp_path / "rows.parquet"
    done = command("query", "SELECT 1 AS x", "--format", "parquet", "-o", str(target))
    assert (0, "[[1]]") == (done.exit_code, target.read_text(encoding="utf-8"))


@pytest.mark.usefixtures("_sessions")
@pytest.mark.parametrize("form", [["--json"], []])
def test_following(
    form: list[str],
    command: Callable[..., Result],
    root: Path,
    tmp_path: Path,
    logger: logging.Logger,
    file_tracer: trace.Tracer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``tail -f`` gives the same rows of either store, and goes on after its cursor."""

    def followed(count: int, *args: str) -> tuple[list[str], int]:
        """Return what the command prints until it is interrupted, behind so many lines."""
        until = time.monotonic() + 30

        def sleep(seconds: float) -> None:
            printed = sys.stdout.buffer.getvalue()  # type: ignore[union-attr]
            if printed.count(b"\n") >= count or time.monotonic() > until:
                raise KeyboardInterrupt
            time.sleep(seconds)

        monkeypatch.setattr(
            "tracectrl_logging.cli.commands.tail.time", SimpleNamespace(sleep=sleep)
        )
        result = command("tail", "-f", *form, *args)
        return result.stdout.splitlines(), result.exit_code

    stores = [reader.open_store(root)]
    read = [{sid: list(stores[0].read(sid)) for sid in stores[0].ids()}]
    files = [followed(9, "-n", "9", "--cursor-file", str(tmp_path / "files"))]
    with session("order-1"), file_tracer.start_as_current_span("more"):
        logger.info("later")
    read.append({sid: list(stores[0].read(sid)) for sid in stores[0].ids()})
    files.append(followed(2, "--cursor-file", str(tmp_path / "files")))
    monkeypatch.setattr("tracectrl_logging.reader.file_store.FileStore", MemoryStore)
    memory = []
    for number, lines in enumerate(read):
        monkeypatch.setattr(MemoryStore, "read_lines", lines)
        memory.append(
            followed(9 - 7 * number, "-n", "9", "--cursor-file", str(tmp_path / "memory"))
        )
    assert [(9, 130), (2, 130)] == [(len(lines), status) for lines, status in files]
    assert files == memory
