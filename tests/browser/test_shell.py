"""The page around the views: keys, help, colours, zone, history, and a server that goes away."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page


def test_keys_go_everywhere(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """Each view is reached by two keys; help lists the keys of the view; a key in a field is a letter."""
    write("a", {"message": "x"})
    page = open_page(serve())
    expect(page.locator(".entries .session")).to_have_count(1)
    for keys, heading, own in (
        ("gs", "Search", "Next level"),
        ("gq", "SQL", "Save the rows as CSV"),
        ("gl", "Sessions", "Filter"),
    ):
        page.keyboard.press("Escape")
        page.keyboard.type(keys)
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        expect(page.locator("nav a[aria-current=page]")).to_have_text(heading)
        expect(page).to_have_title(f"{heading} · tracectrl")
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_contain_text(own)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("gs?")
    expect(page.get_by_role("combobox", name="Filter the sessions")).to_have_value("gs?")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sessions")
    page.keyboard.press("Escape")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("SQL")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Search")


def test_colours_and_zone_stay(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """Light, dark and the reader's zone are chosen by a key or a button, and kept."""
    write("a", {"message": "x", "timestamp": "2026-02-03T23:15:27.000000Z"})
    page = open_page(serve(), timezone_id="Asia/Kolkata", color_scheme="dark")
    time = page.locator(".entries time")
    expect(time).to_have_text("2026-02-03 23:15")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    page.keyboard.press("t")
    assert page.evaluate(ground) != dark
    page.get_by_role("button", name="Time zone: UTC").click()
    expect(time).to_have_text("2026-02-04 04:45")
    page.reload()
    expect(time).to_have_text("2026-02-04 04:45")
    assert page.evaluate(ground) != dark
    page.keyboard.press("z")
    expect(time).to_have_text("2026-02-03 23:15")
    page.get_by_role("button", name="Colours").click()
    assert page.evaluate(ground) == dark


def test_a_server_that_goes_and_comes(
    serve: Callable[..., Any],
    write: Callable[..., None],
    open_page: Callable[..., Page],
    expected_errors: list[str],
) -> None:
    """The page says that it is disconnected, and goes on by itself where the server is back."""
    expected_errors += [
        "ERR_CONNECTION_REFUSED",
        "ERR_INCOMPLETE_CHUNKED_ENCODING",
        "ERR_CONNECTION_RESET",
    ]
    write("first", {"message": "x"})
    server = serve()
    page = open_page(server)
    status = page.locator("#status")
    expect(status).to_have_text("live")
    server.stop(signal.SIGKILL)
    expect(status).to_have_text("disconnected")
    write("second", {"message": "x"})
    server.start()
    expect(status).to_have_text("live")
    expect(page.locator(".entries .open")).to_have_text(["second", "first"])


@pytest.mark.parametrize(
    "path", ["/", "/search?q=x&literal=1", "/sql?sql=FROM%20sessions", "/session/a"]
)
def test_nothing_is_wider_than_a_telephone(
    path: str, serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """A view of 360 pixels scrolls up and down alone, however long the words are."""
    write("a", {"message": "x" * 500, "service": "y" * 200, "k" * 80: "v" * 300})
    write("z" * 120, {"message": "x"})
    page = open_page(serve(), path, width=360)
    ready = {
        "/": ".entries .session",
        "/sea": ".hit",
        "/sql": ".result td",
        "/ses": ".view-session",
    }
    page.wait_for_selector(ready[path[:4]])
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_addresses_hold_any_text(serve: Callable[..., Any], open_page: Callable[..., Page]) -> None:
    """What is encoded into an address is read as it was: any character, lone surrogates and NUL included."""
    page = open_page(serve())
    texts = [
        "",
        "a b&c=d+e%",
        "..",
        "/../x",
        "é€😀",
        "\x00d800",
        "%ED%A0%80",
        "line\nline",
        "\u202e",
    ]
    found = page.evaluate(
        """async (texts) => {
          const { Params, decodeText, encodeText } = await import("./static/address.js");
          texts = [...texts, "\\ud800", "a\\udfffb\\ud800", "\\udc00\\ud800"];
          return texts.filter((text) => {
            const params = new Params();
            params.append(text, text);
            const again = new Params(params.toString());
            return decodeText(encodeText(text)) !== text || !/^[\\x21-\\x7e]*$/.test(encodeText(text)) || again.get(text) !== text;
          });
        }""",
        texts,
    )
    assert found == []
    assert (
        page.evaluate("import('./static/address.js').then((it) => it.encodeText('\\ud800'))")
        == "%ED%A0%80"
    )


def test_events_are_parsed_however_they_are_cut(
    serve: Callable[..., Any], open_page: Callable[..., Page]
) -> None:
    """Line ends of each kind, comments, data of several lines and any cut give the same events."""
    page = open_page(serve())
    found = page.evaluate(
        r"""async () => {
          const { EventParser } = await import("./static/events.js");
          const text = ":hello\n\nevent: rows\r\nid: 7\r\ndata: {\r\ndata:  1}\r\n\r\nretry: 5\r\rdata:x\r\r\n:\n\nevent: e\ndata\n\n";
          const all = new Set();
          for (let size = 1; size <= text.length; size += 1) {
            const parser = new EventParser();
            const events = [];
            for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)));
            all.add(JSON.stringify(events));
          }
          return [...all].map((one) => JSON.parse(one));
        }"""
    )
    assert found == [
        [
            {"name": "rows", "data": "{\n 1}", "id": "7"},
            {"name": "message", "data": "x", "id": None},
            {"name": "e", "data": "", "id": None},
        ]
    ]


def test_durations_are_the_commands(
    serve: Callable[..., Any], open_page: Callable[..., Page]
) -> None:
    """Durations, times and texts read as the command prints them."""
    page = open_page(serve())
    found = page.evaluate(
        """async () => {
          const { countOf, durationOf, microsOf, shown, timeOf } = await import("./static/format.js");
          return [
            [0.5, 1140, 255612, 999999, 1500000, 61000000, 7384000000].map(durationOf),
            [0, 999, 1000, 12345678].map(countOf),
            shown("a\\x00\\x1b[31m\\n\\t\\u202e\\ud800😀é"),
            timeOf(microsOf("2026-02-03T09:15:27.999950Z"), { digits: 6 }),
            timeOf(-1, { digits: 6 }),
          ];
        }"""
    )
    assert found == [
        ["0.50 µs", "1.14 ms", "256 ms", "1000 ms", "1.50 s", "1m 01s", "2h 03m 04s"],
        ["0", "999", "1,000", "12,345,678"],
        r"a\x00\x1b[31m\n\t\u202e\ud800😀é",
        "2026-02-03 09:15:27.999950",
        "1969-12-31 23:59:59.999999",
    ]
