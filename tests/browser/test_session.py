"""One session as one story: its rows, keys, filters, search, details, and all of it in the address."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tracectrl.files import log_path, span_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.one_python

TRACE = "a" * 32
ROOT_SPAN, TOOL_SPAN = "1" * 16, "2" * 16
START = 1_796_032_800  # 2026-11-30T10:00:00Z


def at(seconds: float) -> str:
    """Return a time so many seconds after the first."""
    moment = START + seconds
    return (
        f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(moment))}.{round(moment % 1 * 1e6):06}Z"
    )


def order(write: Callable[..., None], sid: str = "order-1") -> None:
    """Write a session of two spans and five lines of two services."""
    inside = {"trace_id": TRACE, "span_id": ROOT_SPAN, "service": "shop"}
    tool = {"trace_id": TRACE, "span_id": TOOL_SPAN, "service": "bank", "logger": "bank.card"}
    write(
        sid,
        {"message": "took the order", "timestamp": at(0.1), **inside, "logger": "shop"},
        {"message": "asking the bank", "timestamp": at(0.2), **inside, "level": "DEBUG"},
        {"message": "no card", "timestamp": at(0.4), **tool, "level": "WARNING", "n": 2**70},
        {
            "message": "declined",
            "timestamp": at(0.5),
            **tool,
            "level": "ERROR",
            "exception": {
                "type": "CardError",
                "message": "no",
                "stacktrace": "Traceback\n  CardError",
            },
        },
        {"message": "sorry", "timestamp": at(0.8), **inside},
        {
            "name": "charge",
            "parent_span_id": ROOT_SPAN,
            "start_time": at(0.3),
            "end_time": at(0.6),
            "duration_ns": 300_000_000,
            "status": "ERROR",
            "trace_id": TRACE,
            "span_id": TOOL_SPAN,
            "service": "bank",
        },
        {
            "name": "checkout",
            "start_time": at(0),
            "end_time": at(1),
            "duration_ns": 1_000_000_000,
            "trace_id": TRACE,
            "span_id": ROOT_SPAN,
            "service": "shop",
        },
    )


ALL = ["checkout", "took", "asking", "charge", "no card", "declined", "sorry"]


def expect_rows(page: Page, names: list[str]) -> None:
    """Wait until these rows are shown, each known by some words of it."""
    rows = page.locator(".layer .row .cell-text")
    expect(rows).to_have_count(len(names))
    expect(rows).to_contain_text(names)


def expect_selected(page: Page, name: str) -> None:
    """Wait until the row of that name is selected."""
    expect(page.locator(".layer .row.is-selected .cell-text")).to_contain_text(name)


@pytest.fixture
def story(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> Page:
    """Return the page of the session order-1."""
    order(write)
    page = open_page(serve(), "/session/order-1")
    expect(page.locator(".layer .row")).to_have_count(7)
    return page


def test_rows_and_keys(story: Page) -> None:
    """Lines stand under their spans; keys go through rows, errors and levels, and what they do is said."""
    expect_rows(story, ALL)
    levels = [row.get_attribute("aria-level") for row in story.locator(".layer .row").all()]
    assert levels == ["1", "2", "2", "2", "3", "3", "2"]
    charge = story.locator(".layer .row").nth(3)
    assert ["3", "4", "true"] == [
        charge.get_attribute(f"aria-{name}") for name in ("posinset", "setsize", "expanded")
    ]
    press, grid = story.keyboard.press, story.locator("[role=treegrid]")
    for key, name in (
        *(("j", "checkout"), ("j", "took"), ("k", "checkout"), ("e", "charge")),
        *(("e", "declined"), ("e", "charge"), ("E", "declined"), ("ArrowDown", "sorry")),
        *(("End", "sorry"), ("Home", "checkout"), ("PageDown", "sorry")),
    ):
        press(key)
        expect_selected(story, name)
        row = story.locator(".row.is-selected").get_attribute("id")
        expect(grid).to_have_attribute("aria-activedescendant", str(row))
    for key, shown in (
        ("Home", ALL),
        ("[", ["checkout"]),
        ("]", ALL),
        ("{", ["checkout"]),
        ("}", ALL),
    ):
        press(key)
        expect_rows(story, shown)
    press("]")
    press("[")
    expect_selected(story, "checkout")
    press("{")
    expect(story.locator(".row .inside:not(:empty)")).to_have_text("6 inside 2 errors")
    press("e")  # what is collapsed above it is opened
    expect_selected(story, "charge")
    expect_rows(story, ["checkout", "took", "asking", "charge", "sorry"])
    press("]")
    expect_rows(story, ALL)
    press("l")
    press("l")
    press("l")
    expect_rows(story, ["checkout", "charge", "no card", "declined"])
    expect(story.locator(".row.is-context")).to_have_count(1)
    expect(story.locator("#announcement")).to_have_text("Level: Warning, 4 rows shown")
    press("Escape")
    expect_rows(story, ALL)


def test_filters_and_back(story: Page) -> None:
    """What is picked is in the address: back, and a reload, bring it back."""
    pick = story.locator(".facets").get_by_label
    pick("bank.card").check()
    expect_rows(story, ["checkout", "charge", "no card", "declined"])
    pick("Spans").check()
    expect(story.locator(".story-empty")).to_be_visible()
    story.go_back()
    expect_rows(story, ["checkout", "charge", "no card", "declined"])
    story.reload()
    expect(story.locator(".layer .row")).to_have_count(4)
    expect(pick("bank.card")).to_be_checked()
    story.get_by_role("button", name="Clear filters").click()
    expect_rows(story, ALL)
    story.get_by_role("group", name="Service").get_by_label("shop").check()
    assert "service=shop" in story.url
    expect_rows(story, ["checkout", "took", "asking", "sorry"])


def test_search(story: Page) -> None:
    """A text is found in all that lines say, with next and previous, and can be all that is shown."""
    press = story.keyboard.press
    press("/")
    story.keyboard.type("CARD")
    expect(story.locator(".find-count")).to_have_text("2")  # of a logger and an exception, too
    press("Enter")
    expect(story.locator(".find-count")).to_have_text("1/2")
    expect_selected(story, "no card")
    press("Enter")
    expect_selected(story, "declined")
    press("Escape")
    press("n")
    expect_selected(story, "no card")
    press("N")
    expect_selected(story, "declined")
    story.get_by_label("only").check()
    expect_rows(story, ["checkout", "charge", "no card", "declined"])
    expect(story.locator(".row.is-hit")).to_have_count(2)
    story.wait_for_url("**q=CARD*")
    story.reload()
    expect(story.locator(".layer .row")).to_have_count(4)


def test_which_match_is_selected_is_said_while_lines_come(
    story: Page, write: Callable[..., None]
) -> None:
    """Lines that come change how many match, and not that a match is selected, nor where it is among them."""
    story.keyboard.press("/")
    story.keyboard.insert_text("CARD")
    story.keyboard.press("Enter")  # before or after the search has looked at all lines
    expect(story.locator(".find-count")).to_have_text("1/2")
    write("order-1", {"message": "another card", "timestamp": at(-1)})
    expect(story.locator(".find-count")).to_have_text("2/3")
    expect_selected(story, "no card")
    story.keyboard.press("Escape")
    story.keyboard.press("j")
    expect_selected(story, "declined")
    expect(story.locator(".find-count")).to_have_text("3/3")
    story.keyboard.press("j")
    expect(story.locator(".find-count")).to_have_text("3")


def test_details(story: Page, serve: Callable[..., Any], open_page: Callable[..., Page]) -> None:
    """The details have every field as it was written, and links to what is above and below."""
    story.keyboard.press("j")
    for _ in range(4):
        story.keyboard.press("j")
    story.keyboard.press("Enter")
    drawer = story.locator(".drawer")
    expect(drawer).to_contain_text(str(2**70))
    drawer.get_by_role("button", name="charge").first.click()
    expect_selected(story, "charge")
    expect(drawer.locator(".drawer-title")).to_contain_text("charge")
    drawer.get_by_role("button", name="declined").click()
    expect(drawer.locator(".exception summary")).to_have_text("CardError: no")
    expect(drawer.locator(".exception pre")).to_be_hidden()
    drawer.locator(".exception summary").click()
    expect(drawer.locator(".exception pre")).to_contain_text("Traceback")
    drawer.locator("summary", has_text="JSON").click()
    raw = json.loads(drawer.locator("pre.raw").inner_text())
    assert ("log", "declined") == (raw["type"], raw["message"])
    story.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect_selected(story, "declined")
    other = open_page(serve(), story.url.partition("#")[2])  # a link to a line
    expect(other.locator(".row.is-selected")).to_contain_text("declined")


def test_commands(
    story: Page, write: Callable[..., None], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that is copied for a row shows that row, whatever the session is called."""
    monkeypatch.setenv("PATH", f"{sys.exec_prefix}/bin", prepend=":")
    ids = ["order-1", "-x 'y\" $z", "a\nb\\", "é\u202e"]
    for sid in ids[1:]:
        write(sid, {"message": "no card", "timestamp": at(0.4)})
    commands = story.evaluate(
        """async (ids) => {
          const { Story } = await import("./static/model.js");
          const { commandsFor } = await import("./static/drawer.js");
          const story = new Story();
          story.add([[0, 1, null, 9, "", "", "", "", "", "", '{"timestamp":"x"}', 0]]);
          return ids.map((id) => commandsFor(id, story, 1)[0]);
        }""",
        ids,
    )
    for command in commands:
        shown = subprocess.run(
            ["bash", "-c", command.replace("tracectrl-logs", f"tracectrl-logs --root {root}")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (0, "") == (shown.returncode, shown.stderr)
        assert "no card" in shown.stdout


def test_links_from_the_search(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """A hit of the search over all sessions opens its session at the line."""
    order(write)
    page = open_page(serve(), "/search?q=declined")
    page.locator(".hit .open").click()
    expect(page.locator(".row.is-selected")).to_contain_text("declined")


def test_open_spans(
    serve: Callable[..., Any],
    write: Callable[..., None],
    open_page: Callable[..., Page],
    eventually: Callable[..., None],
) -> None:
    """A span that goes on is shown, and grows; when it ends, its own line takes the place."""
    span = {"trace_id": TRACE, "span_id": ROOT_SPAN}
    write("live", {"message": "one", **span})
    page = open_page(serve(), "/session/live")
    row = page.locator(".row.is-open")
    expect(row).to_contain_text("still open")
    expect(row).to_have_attribute("aria-level", "1")
    expect(page.locator(".story-state")).to_have_text("ended")  # nobody says that he writes it
    painted = "document.querySelector('canvas.bars').toDataURL()"
    before = page.evaluate(painted)
    eventually(page, f"{painted} !== {json.dumps(before)}", wanted=True)
    page.locator(".layer .row", has_text="one").click()
    write("live", {"message": "two", **span})
    expect(page.locator(".layer .row")).to_have_count(3)
    write("live", {"name": "work", **span})
    expect(page.locator(".row.is-span")).to_contain_text("work")
    expect(row).to_have_count(0)
    expect(page.locator(".row.is-selected")).to_contain_text("one")
    expect(page.locator(".layer .row")).to_have_count(3)


def test_what_is_read_stays(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """New lines do not move what is looked at; at the end, the end is followed. Few rows are in the page."""
    write("long", *({"message": f"line {n}", "timestamp": at(n)} for n in range(3000)))
    page = open_page(serve(), "/session/long")
    grid = page.locator("[role=treegrid]")
    expect(grid).to_have_attribute("aria-rowcount", "3001")
    assert page.locator(".layer .row").count() < 100
    page.keyboard.press("End")
    expect(page.locator(".row.is-selected")).to_contain_text("line 2999")
    page.keyboard.press("G")
    write("long", {"message": "line 3000", "timestamp": at(3000)})
    expect(page.locator(".layer .row").last).to_contain_text("line 3000")
    grid.evaluate("grid => { grid.scrollTop = 22_000; }")
    first = page.locator(".layer .row").first
    expect(first).to_contain_text("line 1000")
    write("long", *({"message": "early", "timestamp": at(-n)} for n in range(1, 40)))
    expect(grid).to_have_attribute("aria-rowcount", "3041")
    expect(first).to_contain_text("line 1000")


def test_gaps_and_time(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """A time without lines is told between the rows; the map and keys choose the time that is seen."""
    write(
        "gap", *({"message": f"m{n}", "timestamp": at(n % 5 + 7200 * (n // 5))} for n in range(10))
    )
    page = open_page(serve(), "/session/gap")
    expect(page.locator(".layer .row")).to_have_count(10)
    expect(page.locator(".row.is-late")).to_have_count(1)
    expect(page.locator(".row.is-late")).to_have_attribute("data-pause", "1h 59m 56s later")
    box = page.locator(".map").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + 9)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 9, steps=3)
    page.mouse.up()
    page.wait_for_url("**time=*")
    found = re.search(r"time=(\d+)-(\d+)", page.url)
    assert found is not None
    assert int(found[2]) < 10_000_000
    page.keyboard.press("+")
    expect(page.get_by_role("button", name="Whole time")).to_be_visible()
    page.keyboard.press("0")
    expect(page.get_by_role("button", name="Whole time")).to_be_hidden()
    page.mouse.click(box["x"] + box["width"] - 2, box["y"] + 9)
    expect(page.locator(".row.is-selected")).to_contain_text("m9")


@pytest.mark.parametrize("width", [360, 3840])
def test_widths(
    serve: Callable[..., Any],
    write: Callable[..., None],
    open_page: Callable[..., Page],
    width: int,
) -> None:
    """Nothing goes beyond the sides of the page, from telephones to the largest screens."""
    order(write)
    page = open_page(serve(), "/session/order-1", width=width, height=900)
    expect(page.locator(".layer .row")).to_have_count(7)
    page.keyboard.press("e")
    page.keyboard.press("Enter")
    expect(page.locator(".drawer")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shown = page.locator(".drawer").bounding_box()
    assert shown is not None
    assert 0 <= shown["x"]
    assert shown["x"] + shown["width"] <= width + 1


def test_hostile_lines(
    root: Path, serve: Callable[..., Any], open_page: Callable[..., Page]
) -> None:
    """Whatever stands in whatever field of a line is text: in its row, in the filters, in the details."""
    root.mkdir(mode=0o700)
    evil = "<img src=x onerror=window.hacked=1></script>\x1b[31m\0\u202e\ud800\u2028"
    line = {
        "timestamp": at(1),
        evil: {evil: [evil]},
        "url": "https://example.com/",
        "js": "javascript:x",
    }
    names = ("level", "logger", "message", "trace_id", "span_id", "service", "stack", "exception")
    rows = [
        {**line, **dict.fromkeys(names, evil)},
        {"message": "needle " + "<b>x</b>" * 1_300_000, "timestamp": at(2)},
    ]
    span = {**dict.fromkeys(("name", "kind", "status", "service", "trace_id", "span_id"), evil)}
    log_path("s", root).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    span_path("s", root).write_text(
        json.dumps({**span, "start_time": at(0), "attributes": line}) + "\n"
    )
    page = open_page(serve(), "/session/s?q=needle")
    expect(page.locator(".layer .row")).to_have_count(3)
    expect(page.locator(".find-count")).to_have_text("1")  # in a line that is not sent along
    for _ in range(3):
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        drawer = page.locator(".drawer-body")
        expect(drawer).to_contain_text("As a command")
        for summary in drawer.locator("summary").all():
            summary.click()
        assert not set(drawer.inner_text()) & set("\x1b\0\u202e\ud800\u2028")
        page.keyboard.press("Escape")
    expect(page.locator(".layer .row").nth(1)).to_contain_text(r"\x1b[31m\x00\u202e\ud800\u2028")
    links = page.evaluate(
        "[...document.querySelectorAll('.story-main a')].map((a) => [a.href, a.rel])"
    )
    assert links in ([], [["https://example.com/", "noreferrer noopener"]])
    assert page.evaluate("window.hacked ?? null") is None


def test_many_keys(
    write: Callable[..., None], serve: Callable[..., Any], open_page: Callable[..., Page]
) -> None:
    """Of thousands of keys the first are shown, and more on demand."""
    write("many", {"message": "m", "timestamp": at(0), **{f"k{it:04}": it for it in range(3000)}})
    page = open_page(serve(), "/session/many")
    page.locator(".layer .row").first.wait_for()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    drawer = page.locator(".drawer")
    drawer.get_by_text("k0100", exact=True).first.wait_for()
    expect(drawer.get_by_text("k0900", exact=True)).to_have_count(0)
    more = drawer.get_by_role("button", name="more")
    for _ in range(2):
        more.first.click()
    drawer.get_by_text("k0900", exact=True).first.wait_for()


def test_link_to_a_part_of_the_time(
    write: Callable[..., None], serve: Callable[..., Any], open_page: Callable[..., Page]
) -> None:
    """Whoever opens a link to a part of the time can see all of it again."""
    order(write)
    page = open_page(serve(), "/session/order-1?time=100000-300000")
    page.locator(".layer .row").first.wait_for()
    page.get_by_role("button", name="Whole time").click()
    expect(page.get_by_role("button", name="Whole time")).to_be_hidden()
