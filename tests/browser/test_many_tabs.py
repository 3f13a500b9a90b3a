"""More tabs than a browser has connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page


def test_seven_tabs_live(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """Seven lists and seven tabs of one session are all live, and a request of each is answered."""
    write("a", {"message": "begin"})
    server = serve()
    lists = [open_page(server) for _ in range(7)]
    stories = [open_page(server, "/session/a") for _ in range(7)]
    for page in (*lists, *stories):
        expect(page.locator("#status")).to_have_text("live")
    write("b", {"message": "x"})
    write("a", {"message": "what all of them see"})
    for page in lists:
        expect(page.locator(".entries .session")).to_have_count(2)
    for page in stories:
        expect(page.locator("main")).to_contain_text("what all of them see")
