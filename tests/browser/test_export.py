"""A session saved as one HTML file: opened from disk, without a network."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tracectrl_logging.reader import open_store
from tracectrl_logging.reader.json_rows import typed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.one_python

SPAN = {"trace_id": "a" * 32, "span_id": "b" * 16}
EVIL = "</script><script>window.hacked = 1</script>\u2028\0\u202e"


def fill(write: Callable[..., None]) -> None:
    """Write a session of a thousand lines, some of them hostile or long."""
    write("s", {"message": EVIL, EVIL: EVIL, "logger": EVIL, "level": EVIL})
    write(
        "s",
        *(
            {"message": f"line {n}", "level": "ERROR" if n == 700 else "INFO", **SPAN}
            for n in range(1000)
        ),
    )
    write(
        "s", {"message": "x" * 300_000 + "needle", "password": "hunter2"}, {"name": "work", **SPAN}
    )


def test_from_disk(
    serve: Callable[..., Any],
    write: Callable[..., None],
    open_page: Callable[..., Page],
    root: Path,
    tmp_path: Path,
) -> None:
    """The page's button saves a file that shows the same rows, and works, with the network off."""
    fill(write)
    page = open_page(serve(), "/session/s")
    expect(page.locator("[role=treegrid]")).to_have_attribute("aria-rowcount", "1004")
    page.keyboard.press("s")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save", exact=True).last.click()
    target = tmp_path / download.value.suggested_filename
    download.value.save_as(target)
    held = sum(len(typed(line)) for line in open_store(root).read("s"))
    assert target.stat().st_size < 1.5 * held + 200_000

    shown = open_page(
        SimpleNamespace(origin=target.as_uri()), address=target.as_uri(), offline=True
    )
    grid = shown.locator("[role=treegrid]")
    expect(grid).to_have_attribute("aria-rowcount", "1004")
    rows = [tab.locator(".layer .row").all_inner_texts() for tab in (page, shown)]
    assert rows[0] == rows[1]
    shown.keyboard.press("e")
    expect(shown.locator(".row.is-selected")).to_contain_text("line 700")
    shown.keyboard.press("/")
    shown.keyboard.type("needle")
    expect(shown.locator(".find-count")).to_have_text("1")
    shown.keyboard.press("Enter")
    shown.keyboard.press("Escape")
    shown.keyboard.press("Enter")
    expect(shown.locator(".drawer")).to_contain_text("hunter2")
    assert shown.evaluate("window.hacked ?? null") is None
    assert "line=" in shown.url
    shown.reload()
    expect(shown.locator(".drawer")).to_contain_text("hunter2")


def test_redacted(
    serve: Callable[..., Any],
    write: Callable[..., None],
    open_page: Callable[..., Page],
    tmp_path: Path,
) -> None:
    """What is left out is in no part of the file that is shown."""
    fill(write)
    page = open_page(serve(), "/session/s")
    page.keyboard.press("s")
    page.get_by_label("Keys whose values are left out").fill("token, PASSWORD")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save", exact=True).last.click()
    target = tmp_path / "saved.html"
    download.value.save_as(target)
    shown = open_page(
        SimpleNamespace(origin=target.as_uri()),
        address=f"{target.as_uri()}#/?q=needle",
        offline=True,
    )
    expect(shown.locator(".find-count")).to_have_text("1")
    shown.keyboard.press("n")
    shown.keyboard.press("Enter")
    expect(shown.locator(".drawer")).to_contain_text("[redacted]")
    assert "hunter2" not in json.dumps(shown.content())
