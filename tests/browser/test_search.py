"""The search over all sessions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page


def test_hits_as_they_are_found(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """Plain text finds lines of all sessions, marks what it found, and opens the line in its session."""
    at = "2026-02-03T09:15:27.999950Z"
    write(
        "a",
        {"message": "rate limit (429)", "timestamp": at, "span_id": "2" * 16, "trace_id": "1" * 32},
    )
    write("b", {"message": "nothing"}, {"message": "rate limit (429) again", "level": "ERROR"})
    page = open_page(serve(), "/search")
    expect(page.locator(":focus")).to_have_attribute("type", "search")
    page.keyboard.type("limit (429)")
    page.keyboard.press("Enter")
    expect(page.locator(".hit")).to_have_count(2)
    expect(page.locator(".count")).to_have_text("2 lines in 2 sessions")
    expect(page.locator(".hits h2")).to_have_text(["a", "b"])
    expect(page.locator(".hit time").first).to_have_text("2026-02-03 09:15:27.999")
    assert page.evaluate("[...CSS.highlights.get('found')].length") == 2
    expect(page).to_have_url(re.compile(r"#/search\?q=limit%20\(429\)&literal=1$"))
    page.locator(".hit .open").first.click()
    expect(page).to_have_url(re.compile(rf"#/session/a\?line={'2' * 16}%401770110127999950$"))
    page.go_back()
    expect(page.locator(".hit")).to_have_count(2)


def test_options_and_keys(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """Regular expressions, case, level, conditions and time narrow the search; keys go through the hits."""
    write(
        "a", {"message": "Timeout 1", "tool": "search"}, {"message": "timeout 22", "level": "ERROR"}
    )
    page = open_page(serve(), "/search?q=timeout&literal=1")
    hits = page.locator(".hit")
    expect(hits).to_have_count(1)
    page.get_by_label("Ignore case").check()
    expect(hits).to_have_count(2)
    page.get_by_label("Regular expression").check()
    page.get_by_role("searchbox").fill(r"timeout \d\d")
    page.keyboard.press("Enter")
    expect(hits).to_have_count(1)
    page.get_by_role("searchbox").fill("timeout")
    page.keyboard.press("Enter")
    expect(hits).to_have_count(2)
    page.keyboard.press("Escape")
    for _ in range(4):
        page.keyboard.press("l")
    expect(page.get_by_label("Level at least")).to_have_value("ERROR")
    expect(hits).to_have_count(1)
    page.get_by_label("Level at least").select_option("")
    page.get_by_label("Conditions").fill("tool=search")
    page.keyboard.press("Enter")
    expect(hits).to_have_count(1)
    expect(hits).to_contain_text("Timeout 1")
    page.get_by_role("button", name="Remove the condition tool=search").click()
    expect(hits).to_have_count(2)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator(":focus")).to_contain_text("timeout 22")
    page.keyboard.press("k")
    expect(page.locator(":focus")).to_contain_text("Timeout 1")


def test_a_wrong_pattern_is_told(
    serve: Callable[..., Any],
    write: Callable[..., None],
    open_page: Callable[..., Page],
    expected_errors: list[str],
) -> None:
    """A pattern that is none is said with its reason; so is that nothing matches."""
    expected_errors.append("status of 400")
    write("a", {"message": "x"})
    page = open_page(serve(), "/search?q=(")
    expect(page.locator(".problem")).to_contain_text("regular expression")
    page.get_by_role("searchbox").fill("nowhere")
    page.keyboard.press("Enter")
    expect(page.locator(".count")).to_have_text("No line matches.")
    expect(page.locator(".problem")).to_be_hidden()


def test_more_hits_than_a_page(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """The first 200 hits are shown, and the next on request."""
    write("a", *({"message": f"line {number}"} for number in range(250)))
    page = open_page(serve(), "/search?q=line&literal=1")
    expect(page.locator(".hit")).to_have_count(200)
    expect(page.locator(".count")).to_have_text("The first 200 lines in 1 session")
    page.locator("body").press("m")
    expect(page.locator(".hit")).to_have_count(250)
