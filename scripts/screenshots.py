"""Take the pictures of the page that the docs and the README show, of the demo's sessions.

    python scripts/screenshots.py [DIRECTORY]

Needs the extra ``all``, the packages playwright and pillow, and a Chromium: ``chromium`` on the PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIZE = {"width": 1280, "height": 720}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
SQL = (
    "SELECT service, count(*) AS lines, count(*) FILTER (level = 'ERROR') AS errors"
    " FROM logs GROUP BY service ORDER BY lines DESC"
)


def main() -> int:
    """Take them; return the exit status."""
    images = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "tracectrl_logging.cli", "demo", "--view", "--no-browser"]
        root = os.path.join(home, "traces")
        demo = subprocess.Popen([*command, "--root", root], stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own command
        try:
            take_all(demo, images)
        finally:
            demo.terminate()
            demo.communicate()
    return 0


def take_all(demo: subprocess.Popen[str], images: Path) -> None:
    """Wait for the demo's sessions and take the pictures of each view, light and dark."""
    address = ""
    while demo.stderr is not None and (line := demo.stderr.readline()):
        found = re.search(r"http\S+#token=\S+", line)
        address = found[0] if found else address
        if "are on the page" in line:
            break
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]
            page.goto(address)
            take_views(page, images, scheme)
            page.close()
        browser.close()


def take_views(page: Page, images: Path, scheme: str) -> None:
    """Go from view to view and take a picture of each."""

    def take(name: str) -> None:
        page.wait_for_timeout(800)
        path = images / f"{name}-{scheme}.png"
        page.screenshot(path=path)
        with Image.open(path) as picture:  # 256 colours take a third
            picture.quantize().save(path, optimize=True)

    page.get_by_text("21 sessions").wait_for()
    page.wait_for_timeout(2000)
    take("sessions")
    page.locator("a.open").nth(1).click()
    page.get_by_text("POST /research").first.wait_for()
    take("session")
    page.keyboard.press("e")
    page.keyboard.press("Enter")
    take("line")
    base = page.url.partition("#")[0]
    page.goto(f"{base}#/search?q=tool+call")
    page.get_by_text("a tool call failed").first.wait_for()
    take("search")
    page.goto(f"{base}#/sql")
    page.locator("textarea").fill(SQL)
    page.keyboard.press("Control+Enter")
    page.get_by_text("researcher").first.wait_for()
    take("sql")


if __name__ == "__main__":
    sys.exit(main())
