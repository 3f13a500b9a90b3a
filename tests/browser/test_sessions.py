"""The list of sessions: what it shows, live, by which conditions and keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page


def ids(page: Page) -> list[str]:
    """Return the sessions in the order in which they stand."""
    found: list[str] = page.locator(".entries .open").all_inner_texts()
    return found


def test_a_row_says_what_there_is(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """A row has time, ID, first message, services, figures and a spark; it opens its session."""
    at = "2026-02-03T09:15:27.999950Z"
    write("order-1", {"message": "took <b>it</b>", "timestamp": at, "service": "shop"})
    write(
        "order-1",
        {
            "name": "pay",
            "start_time": at,
            "end_time": "2026-02-03T09:15:29.499950Z",
            "status": "ERROR",
            "service": "bank",
        },
    )
    page = open_page(serve())
    row = page.locator(".entries .session")
    expect(row).to_have_count(1)
    expect(row.locator("time")).to_have_text("2026-02-03 09:15")
    expect(row.locator("time")).to_have_attribute("title", "2026-02-03 09:15:29.499950 UTC")
    said = {
        name: row.locator(f".{name}").inner_text()
        for name in ("id", "message", "services", "duration", "logs", "spans", "errors")
    }
    assert said == {
        "id": "order-1",
        "message": "took <b>it</b>",
        "services": "bank, shop",
        "duration": "1.50 s",
        "logs": "1",
        "spans": "1",
        "errors": "1",
    }
    expect(row.locator(".state")).to_have_text("ended, has errors")
    expect(row.locator(".spark svg path.spark-errors")).to_have_attribute("d", re.compile("M.+"))
    expect(page.locator(".count")).to_have_text("1 session, 1 with errors")
    row.click()
    expect(page).to_have_url(re.compile(r"#/session/order-1$"))
    expect(page).to_have_title("order-1 · tracectrl")


def test_sessions_appear_and_move_up(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """A session appears while the page is open; a line moves its session to the top, once."""
    page = open_page(serve())
    expect(page.locator(".empty")).to_have_text(re.compile("^No sessions yet"))
    for name in ("first", "second", "third"):
        write(name, {"message": f"begin {name}"})
        expect(page.locator(".entries .open").first).to_have_text(name)
    assert ids(page) == ["third", "second", "first"]
    write("first", {"message": "more", "level": "ERROR"})
    expect(page.locator(".entries .open").first).to_have_text("first")
    assert ids(page) == ["first", "third", "second"]
    expect(page.locator(".entries .session").first.locator(".errors")).to_have_text("1")
    expect(page.locator(".entries .session").first.locator(".state")).to_have_text(
        "ended, has errors"
    )


def test_conditions_are_those_of_the_command(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """What is typed picks sessions, stands in the address, and goes away again; back works."""
    write("a", {"message": "x", "tool": "search", "timestamp": "2026-02-03T09:00:00.000000Z"})
    write(
        "b",
        {
            "message": "x",
            "level": "ERROR",
            "service": "shop",
            "timestamp": "2026-02-03T10:00:00.000000Z",
        },
    )
    write("c", {"message": "x", "level": "WARNING", "timestamp": "2026-02-03T11:00:00.000000Z"})
    page = open_page(serve())
    rows = page.locator(".entries .session")
    expect(rows).to_have_count(3)
    filtered = {
        "tool=search": ["a"],
        "level>=WARNING": ["c", "b"],
        "service=shop": ["b"],
        "since=2026-02-03T10:30": ["c"],
        "until=2026-02-03T09:30": ["a"],
        "errors": ["b"],
        "logs>1": [],
    }
    for condition, wanted in filtered.items():
        page.keyboard.press("/")
        page.keyboard.type(condition)
        page.keyboard.press("Enter")
        expect(rows).to_have_count(len(wanted))
        assert ids(page) == wanted
        if condition == "logs>1":
            expect(page.locator(".empty")).to_have_text(re.compile("^No session meets these"))
        page.go_back()
        expect(rows).to_have_count(3)
        page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("level>=WARNING")
    page.keyboard.press("Enter")
    page.keyboard.type("service=shop")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile(r"#/\?where=level%3E%3DWARNING&service=shop$"))
    page.reload()
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Remove the condition service=shop").click()
    expect(rows).to_have_count(2)


def test_a_wrong_condition_is_told(
    serve: Callable[..., Any],
    write: Callable[..., None],
    open_page: Callable[..., Page],
    expected_errors: list[str],
) -> None:
    """What the server cannot understand is said with its reason, and can be taken away."""
    expected_errors.append("status of 400")
    write("a", {"message": "x"})
    page = open_page(serve(), "/?since=yesteryear")
    expect(page.get_by_role("alert")).to_contain_text("yesteryear")
    page.get_by_role("button", name="Remove the condition since=yesteryear").click()
    expect(page.locator(".entries .session")).to_have_count(1)
    expect(page.locator("#notice")).to_be_hidden()


def test_completion_offers_keys_values_and_sessions(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """The keyboard alone writes a condition, and goes to a session by the beginning of its ID."""
    write("order-4711", {"message": "x", "service": "shop"})
    write("other", {"message": "x", "service": "bank"})
    page = open_page(serve())
    rows = page.locator(".entries .session")
    expect(rows).to_have_count(2)
    offers = page.locator(".offers [role=option]")
    page.keyboard.press("/")
    page.keyboard.type("serv")
    expect(offers.first).to_contain_text("service=")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(offers).to_have_text(["service=bank", "service=shop"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("combobox", name="Filter the sessions")).to_have_attribute(
        "aria-activedescendant", re.compile("offers-")
    )
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    assert ids(page) == ["order-4711"]
    page.keyboard.type("oth")
    expect(offers.filter(has_text="open this session")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"#/session/other$"))


def test_keys_of_the_list(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """j and k go through the rows, Enter opens, back finds the row again; e puts errors first, E alone."""
    for number in range(4):
        write(f"s{number}", {"message": "x", "timestamp": f"2026-02-03T0{number}:00:00.000000Z"})
    write("s0", {"message": "x", "level": "ERROR", "timestamp": "2026-02-03T00:00:00.000000Z"})
    page = open_page(serve())
    rows = page.locator(".entries .session")
    expect(rows).to_have_count(4)
    focused = page.locator(":focus")
    for key, wanted in (
        ("j", "s3"),
        ("j", "s2"),
        ("ArrowDown", "s1"),
        ("k", "s2"),
        ("ArrowUp", "s3"),
        ("k", "s3"),
        ("j", "s2"),
    ):
        page.keyboard.press(key)
        expect(focused).to_have_text(wanted)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"#/session/s2$"))
    page.go_back()
    expect(focused).to_have_text("s2")
    page.keyboard.press("e")
    expect(rows.first.locator(".open")).to_have_text("s0")
    expect(page).to_have_url(re.compile(r"#/\?sort=errors$"))
    expect(page.get_by_role("combobox", name="Order")).to_have_value("errors")
    page.keyboard.press("E")
    expect(rows).to_have_count(1)
    page.keyboard.press("E")
    page.keyboard.press("e")
    expect(rows).to_have_count(4)
    expect(page).to_have_url(re.compile(r"#/$"))


def test_more_sessions_than_a_page(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """The first 200 are shown, and the next on request; what is shown keeps its element."""
    for number in range(230):
        write(f"s{number:03}", {"message": "x", "timestamp": f"2026-02-03T00:00:00.{number:06}Z"})
    page = open_page(serve())
    rows = page.locator(".entries .session")
    expect(rows).to_have_count(200)
    expect(page.locator(".count")).to_have_text("The first 200 sessions")
    page.evaluate("document.querySelector('.entries .session').mark = 1")
    page.keyboard.press("m")
    expect(rows).to_have_count(230)
    expect(page.locator(".count")).to_have_text("230 sessions")
    assert page.evaluate("document.querySelector('.entries .session').mark") == 1
