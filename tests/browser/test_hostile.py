"""Hostile text in every field: it is shown, and nothing is executed, broken or asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

TEXTS = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 2'>",
    '"><svg onload=window.hacked=3>',
    "javascript:window.hacked=4",
    "\x1b[31mred\x1b[0m",
    "\u202eright to left\u2066",
    "nul\x00nul",
    "\ud800",
    "..",
    "a/../b%2f?#&",
    "{{ 7 * 7 }}{% raw %}",
    "x" * 10_000,
]


def test_nothing_of_it_is_obeyed(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """The list, the search and SQL show each text as text; sessions of such IDs open."""
    for number, text in enumerate(TEXTS):
        write(
            text,
            {
                "message": text,
                "level": text,
                "logger": text,
                "service": text,
                text: {text: [text]},
                "k": number,
            },
        )
    server = serve()
    page = open_page(server)
    rows = page.locator(".entries .session")
    expect(rows).to_have_count(len(TEXTS))
    shown = page.locator(".entries").inner_text()
    for part in (
        "<script>window.hacked",
        r"\x1b[31m",
        r"\u202e",
        r"nul\x00nul",
        r"\ud800",
        "{{ 7 * 7 }}",
    ):
        assert part in shown
    assert not set(shown) & set("\x1b\x00\u202e\ud800")
    for at in range(len(TEXTS)):
        rows.nth(at).locator(".open").click()
        expect(page.locator("main.view-session")).to_contain_text("1 log line")
        page.go_back()
        expect(rows).to_have_count(len(TEXTS))
    page.close()
    page = open_page(server, "/search?q=.")
    expect(page.locator(".hit")).to_have_count(len(TEXTS))
    assert not set(page.locator(".hits").inner_text()) & set("\x1b\x00\u202e\ud800")
    page = open_page(server, f"/sql?sql={quote('FROM logs')}")
    expect(page.locator(".result tbody tr")).to_have_count(len(TEXTS))
    assert page.evaluate("window.hacked ?? null") is None


def test_a_line_of_ten_megabytes(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """A line of 10 MB is one row of the list, and one hit, cut to what a row can show."""
    write("long", {"message": "needle " + "<b>x</b>" * 1_300_000})
    server = serve()
    page = open_page(server)
    expect(page.locator(".entries .session")).to_have_count(1)
    page.goto(server.address("/search?q=needle&literal=1"))
    expect(page.locator(".hit")).to_have_count(1)
    assert len(page.content()) < 20_000


def test_no_answer_makes_markup_elsewhere(
    serve: Callable[..., Any], open_page: Callable[..., Page], expected_errors: list[str]
) -> None:
    """Markup that does not come through the one policy is refused by the browser itself."""
    expected_errors += ["TrustedHTML", "Content Security Policy", "trusted-types"]
    page = open_page(serve())
    tried = page.evaluate(
        """() => ["innerHTML", "outerHTML"].map((name) => {
          try { document.querySelector("main")[name] = "<b>x</b>"; return "made"; } catch (error) { return error.name; }
        })"""
    )
    assert json.dumps(tried) == '["TypeError", "TypeError"]'
