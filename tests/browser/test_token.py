"""The token: where it is kept, where it is not, and how tabs lend it to each other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

UNAUTHORISED = "status of 401"


def test_it_leaves_the_address(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """The token is in no address, cookie, localStorage or query, and a reload still has it."""
    write("a", {"message": "x"})
    server = serve()
    page = open_page(server)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    expect(page.locator(".entries .session")).to_have_count(1)
    assert page.url == f"{server.origin}#/"
    page.reload()
    expect(page.locator(".entries .session")).to_have_count(1)
    token = server.address().partition("token=")[2].partition("&")[0]
    assert asked
    assert not any(token in url for url in asked)
    assert page.evaluate("document.cookie + JSON.stringify(localStorage)") == "{}"


def test_a_new_tab_asks_the_others(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """A tab that has no token works where another has one, without being refused first."""
    write("a", {"message": "x"})
    server = serve()
    first = open_page(server)
    expect(first.locator(".entries .session")).to_have_count(1)
    second = open_page(server, address=f"{server.origin}#/session/a")
    expect(second.locator("#status")).to_have_text("live")
    expect(second).to_have_title("a · tracectrl")


def test_without_one_the_page_says_so(
    serve: Callable[..., Any],
    write: Callable[..., None],
    open_page: Callable[..., Page],
    expected_errors: list[str],
) -> None:
    """The page says what is missing, shows nothing, and goes on once another tab has a token."""
    expected_errors.append(UNAUTHORISED)
    write("a", {"message": "x"})
    server = serve()
    page = open_page(server, address=server.origin)
    expect(page.get_by_role("alert")).to_contain_text("the address that was printed")
    expect(page.locator("#status")).to_have_text("stopped")
    expect(page.locator(".entries .session")).to_have_count(0)
    open_page(server)
    expect(page.locator(".entries .session")).to_have_count(1)
    expect(page.locator("#notice")).to_be_hidden()


def test_a_wrong_one_harms_no_other_tab(
    serve: Callable[..., Any],
    write: Callable[..., None],
    open_page: Callable[..., Page],
    expected_errors: list[str],
) -> None:
    """A tab that was opened with a wrong token takes the right one from another, which keeps its own."""
    expected_errors.append(UNAUTHORISED)
    write("a", {"message": "x"})
    server = serve()
    first = open_page(server)
    expect(first.locator(".entries .session")).to_have_count(1)
    second = open_page(server, address=server.address(token="wrong" * 9))
    expect(second.locator(".entries .session")).to_have_count(1)
    write("b", {"message": "x"})
    expect(first.locator(".entries .session")).to_have_count(2)
    first.reload()
    expect(first.locator(".entries .session")).to_have_count(2)
    expect(first).to_have_url(re.compile(r"#/$"))
