"""SQL over all sessions: table, chart, CSV."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

pytest.importorskip("duckdb", reason="the extra sql is not installed")


def test_rows_chart_and_csv(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Page]
) -> None:
    """A query gives a table whose sessions are links, bars of its numbers, and CSV that no spreadsheet runs."""
    write(
        "a",
        {"message": "=HYPERLINK(1)", "level": "ERROR"},
        {"message": 'say "x", y', "level": "ERROR"},
    )
    write("b", {"message": "z"})
    page = open_page(serve(), "/sql")
    page.keyboard.type(
        "SELECT message, session_id, length(message) AS size, NULL AS nothing FROM logs ORDER BY message"
    )
    page.keyboard.press("Control+Enter")
    cells = page.locator(".result tbody tr")
    expect(cells).to_have_count(3)
    expect(cells.first.locator("td")).to_have_text(["=HYPERLINK(1)", "a", "13", "null"])
    expect(page.locator(".chart figcaption")).to_have_text("size by message")
    expect(page.locator(".chart rect")).to_have_count(3)
    expect(page.locator(".count")).to_have_text(re.compile(r"^3 rows in "))
    with page.expect_download() as download:
        page.get_by_role("button", name="Save CSV").click()
    saved = Path(download.value.path()).read_bytes()
    assert (
        saved
        == b'message,session_id,size,nothing\r\n\'=HYPERLINK(1),a,13,\r\n"say ""x"", y",a,10,\r\nz,b,1,\r\n'
    )
    page.reload()
    expect(cells).to_have_count(3)
    cells.first.locator("a").click()
    expect(page).to_have_url(re.compile(r"#/session/a$"))


def test_a_sample_and_an_error(
    serve: Callable[..., Any],
    write: Callable[..., None],
    open_page: Callable[..., Page],
    expected_errors: list[str],
) -> None:
    """A sample runs by one click; what is no SQL is said with its reason; back shows the query before."""
    expected_errors.append("status of 400")
    write("a", {"message": "x"}, {"message": "x", "level": "ERROR"})
    page = open_page(serve(), "/sql")
    for sample in page.locator(".samples button").all():
        sample.click()
        expect(page.locator(".count")).to_have_text(re.compile(r"rows? in "))
    page.get_by_label("SQL", exact=True).fill("FROM nowhere")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".problem")).to_contain_text("nowhere")
    expect(page.locator(".result")).to_be_hidden()
    page.go_back()
    expect(page.locator(".count")).to_have_text(re.compile(r"rows? in "))
    expect(page.locator(".problem")).to_be_hidden()
