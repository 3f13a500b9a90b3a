"""More tabs than a browser has connections."""

from __future__ import annotations

import signal
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


def test_a_hidden_tab_lets_its_stream_go(
    serve: Callable[..., Any],
    write: Callable[..., None],
    open_page: Callable[..., Page],
    eventually: Callable[..., None],
) -> None:
    """A tab that is hidden holds no stream; shown again, it has what came meanwhile, each line once."""
    write("a", {"message": "begin"})
    page = open_page(serve(), "/session/a")
    held = "navigator.locks.query().then((it) => it.held.length)"
    expect(page.locator("main")).to_contain_text("1 log line")
    eventually(page, held, 1)
    hide = """(is) => {
      Object.defineProperty(document, "hidden", { get: () => is, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)  # noqa: FBT003 - JavaScript's argument
    eventually(page, held, 0)
    write("a", {"message": "meanwhile"}, {"message": "and more"})
    page.evaluate(hide, False)  # noqa: FBT003 - as above
    expect(page.locator("main")).to_contain_text("3 log lines")
    eventually(page, held, 1)


def test_lines_come_once_through_restarts(
    serve: Callable[..., Any],
    write: Callable[..., None],
    open_page: Callable[..., Page],
    expected_errors: list[str],
) -> None:
    """A tab goes on behind the last line that it has, through two kills of the server."""
    expected_errors.append("net::ERR_")
    write("a", *({"message": f"line {number}"} for number in range(700)))
    server = serve()
    page = open_page(server, "/session/a")
    expect(page.locator("main")).to_contain_text("700 log lines")
    for count in (710, 720):
        server.stop(signal.SIGKILL)
        write("a", *({"message": f"line {number}"} for number in range(count - 10, count)))
        server.start()
        expect(page.locator("main")).to_contain_text(f"{count} log lines")
    page.keyboard.press("/")
    page.keyboard.type("line 715")
    expect(page.locator(".find-count")).to_have_text("1")
