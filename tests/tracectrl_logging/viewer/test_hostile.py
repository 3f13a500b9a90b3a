"""Whatever IDs and lines hold, each route answers, and fragments hold it as text alone."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes

import pytest

from tests.tracectrl_logging.viewer.conftest import served
from tracectrl.files import log_path, span_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.tracectrl_logging.viewer.conftest import Server

pytestmark = pytest.mark.one_python

IDS = [
    "..",
    "a/../b",
    "<script>alert(1)</script>",
    "\ud800",
    "\x00\x1b[31m",
    "\u202egnirts",
    "a?b=c#d&e%2e",
    "%overflow",
    "ü€😀",
    "'\"`$(x)",
    " \t\n",
]
VALUES = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "\x1b[2J\x9b31m",
    "\u202eabc\u2066\U000e0041",
    "nul\x00",
    "\ud800",
    "javascript:alert(1)",
    "line\nline\r\u2028",
    "x" * 200_000,
    "\"'&{{ 7 * 7 }}{% raw %}",
]
TAGS = {
    "span",
    "b",
    "i",
    "time",
    "li",
    "div",
    "td",
    "tr",
    "a",
    "em",
    "strong",
    "small",
    "svg",
    "path",
}
ATTRIBUTES = {"class", "title", "datetime", "role", "aria-hidden", "aria-label", "hidden"}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve sessions of such IDs, with lines of such values."""
    root = tmp_path_factory.mktemp("viewer") / "traces"
    root.mkdir(mode=0o700)
    for sid in IDS:
        with open(log_path(sid, root), "w") as logs, open(span_path(sid, root), "w") as spans:
            for number, it in enumerate(VALUES):
                time = f"2026-11-30T10:00:{number:02}.000000Z"
                ids = {"session_id": sid, "trace_id": it, "span_id": it, "service": it}
                log = {
                    "timestamp": time,
                    "level": it,
                    "logger": it,
                    "message": it,
                    **ids,
                    it: it,
                    "list": [it, {it: it}],
                }
                logs.write(
                    json.dumps({**log, "exception": {"type": it, "message": it, "stacktrace": it}})
                    + "\n"
                )
                span = {
                    "name": it,
                    "kind": it,
                    **ids,
                    "parent_span_id": it,
                    "start_time": time,
                    "end_time": time,
                    "status": it,
                }
                spans.write(
                    json.dumps(
                        {**span, "duration_ns": 2**70, "status_message": it, "attributes": {it: it}}
                    )
                    + "\n"
                )
    with served(root) as running:
        yield running


class Fragment(HTMLParser):
    """Notes the tags and attributes of a fragment, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Note it."""
        self.text += data


def encoded(sid: str) -> str:
    """Return the ID as the page writes it into an address."""
    return quote_from_bytes(sid.encode("utf-8", "surrogatepass"), safe="")


def fragments_of(server: Server, path: str) -> list[str]:
    """Return the HTML of all rows of a stream up to its end or its pause."""
    found: list[str] = []
    with server.events(path) as events:
        for event in events:
            rows: list[Any] = event.data.get("rows", [])
            found += [row["html"] if isinstance(row, dict) else row[9] for row in rows]
            if event.name in ("list", "caught-up", "end", "busy"):
                return found
    return found


def test_fragments_hold_text(hostile: Server) -> None:
    """No value becomes a tag, an attribute, or a character that a screen obeys."""
    paths = [
        "/page/sessions",
        "/page/search?q=.",
        *(f"/page/session?follow=0&id={encoded(sid)}" for sid in IDS),
    ]
    for path in paths:
        found = fragments_of(hostile, path)
        assert found, path
        for html in found:
            fragment = Fragment(html)
            assert fragment.tags <= TAGS, html
            assert fragment.attributes <= ATTRIBUTES, html
            assert fragment.text.isprintable() or not set(fragment.text) & {
                "\x1b",
                "\x9b",
                "\x00",
                "\u202e",
                "\u2066",
                "\n",
            }
            assert "\ud800" not in fragment.text
            assert "49" not in fragment.text or "7 * 7" in fragment.text


@pytest.mark.parametrize("sid", IDS)
def test_each_id_is_found_again(hostile: Server, sid: str) -> None:
    """The ID that the list gives is the one that is asked for, and has its lines."""
    with hostile.events("/page/sessions") as events:
        assert sid in [row["id"] for row in next(events).data["rows"]]
    found = fragments_of(hostile, f"/page/session?follow=0&id={encoded(sid)}")
    assert 2 * len(VALUES) == len(found)


def test_programs_are_answered(hostile: Server) -> None:
    """The API's answers are JSON for all of it."""
    rows = hostile.get("/api/sessions").json()["sessions"]
    assert sorted(IDS) == sorted(row["session_id"] for row in rows)
    for path in (
        "/api/search?q=.",
        "/page/known",
        "/page/query?sql=select+session_id,level+from+logs",
    ):
        answer = hostile.get(path)
        assert 200 == answer.status, path
        answer.json()
    for sid in IDS[1:]:  # ".." is what a path must not hold
        assert 2 * len(VALUES) == len(
            hostile.get(f"/api/sessions/{encoded(sid)}/lines").json()["lines"]
        )


def test_long_line_is_asked_for_by_itself(hostile: Server) -> None:
    """A long line comes without its text, by which it is then found."""
    with hostile.events("/page/session", id="..", follow="0") as events:
        rows = [row for event in events if event.name == "rows" for row in event.data["rows"]]
    (one, *_) = [row[10] for row in rows if not isinstance(row[10], str)]
    line = hostile.get("/page/line", id="..", time=one["time"], digest=one["digest"])
    assert (200, one["bytes"]) == (line.status, len(line.body))
    assert 404 == hostile.get("/page/line", id="..", time=one["time"], digest="0").status


@pytest.mark.parametrize("query", ["id=%FF", "id=%ED%A0"])
def test_address_that_is_not_utf_8(hostile: Server, query: str) -> None:
    """An address that cannot be read is refused."""
    assert 400 == hostile.get(f"/page/spark?{query}").status
