# ruff: noqa: T201 - a program, which prints
"""What the page takes for a large session, and for many sessions, in a real Chromium.

    python benchmarks/page.py [--sessions N]

Writes a session of 50,000 log lines and 10,000 spans, and N sessions of two lines (100,000 unless said
otherwise), and prints seconds since the page was asked for, and memory. Needs the extra ``all``,
Playwright's Python package, and a Chromium: ``chromium`` on the PATH. Wants a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from tracectrl.files import log_path, span_path

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LINES, SPANS = 50_000, 10_000
TOKEN = "0123456789abcdef0123456789abcdef0123456789a"  # noqa: S105 - of this program
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
START = 1_796_000_000
MB = 1024 * 1024
ALL_THERE = """(count) => new Promise((done) => {
  const rows = document.querySelector(".story-rows");
  const look = () => rows.getAttribute("aria-rowcount") === count && done();
  new MutationObserver(look).observe(rows, { attributes: true });
  look();
})"""
"""Waits for so many rows in the page itself: who asks again and again slows down what is measured."""


def main() -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=100_000)
    count = parser.parse_args().sessions
    with (
        tempfile.TemporaryDirectory(prefix="tracectrl-bench-") as home,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        large, many = os.path.join(home, "large"), os.path.join(home, "many")
        write_large(large)
        serve(large, browser, measure_session)
        write_many(many, count)
        serve(many, browser, measure_list)
        browser.close()
    return 0


def stamp(us: int) -> str:
    """Return a time so many microseconds after the first."""
    seconds, rest = divmod(us, 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(START + seconds))}.{rest:06}Z"


def write_large(root: str) -> None:
    """Write the large session, ``big``."""
    os.mkdir(root, 0o700)
    rng = random.Random(1)  # noqa: S311 - no secret
    trace, spans, us = f"{rng.getrandbits(128):032x}", [], 0
    with open(log_path("big", root), "w") as logs, open(span_path("big", root), "w") as ended:
        for number in range(SPANS):
            span, start = f"{rng.getrandbits(64):016x}", us
            ids = {"session_id": "big", "trace_id": trace, "span_id": span, "trace_flags": "01"}
            service = f"service-{number % 3}"
            for step in range(LINES // SPANS):
                us += rng.randrange(50, 900)
                (level,) = rng.choices(["DEBUG", "INFO", "WARNING", "ERROR"], [30, 60, 8, 2])
                row: dict[str, Any] = {
                    "timestamp": stamp(us),
                    "level": level,
                    "logger": f"agent.{number % 7}",
                }
                row |= {
                    "message": f"step {step} of {number}: calling a tool with some words",
                    **ids,
                }
                row |= {"service": service, "tool": "search", "attempt": step}
                logs.write(json.dumps(row) + "\n")
            parent = (
                {"parent_span_id": rng.choice(spans[-8:])} if spans and rng.randrange(10) else {}
            )
            row = {"name": f"operation {number % 20}", "kind": "INTERNAL", **ids, **parent}
            row |= {
                "start_time": stamp(start),
                "end_time": stamp(us),
                "duration_ns": (us - start) * 1000,
            }
            row |= {"status": rng.choice(["OK", "UNSET", "ERROR"]), "service": service}
            ended.write(json.dumps({**row, "attributes": {"tool": "search"}}) + "\n")
            spans.append(span)


def write_many(root: str, count: int) -> None:
    """Write many small sessions, in no order: as after a copy, the files' times say nothing of the lines'."""
    os.mkdir(root, 0o700)
    for number in random.Random(1).sample(range(count), count):  # noqa: S311 - no secret
        sid = f"{number:032x}"
        row = {
            "timestamp": stamp(number * 1000),
            "level": "INFO",
            "logger": "a",
            "message": "m",
            "session_id": sid,
        }
        line = json.dumps(row, separators=(",", ":"))
        Path(root, f"{sid}.logs.jsonl").write_text(f"{line}\n{line}\n")


def serve(root: str, browser: Browser, measure: Any) -> None:
    """Serve *root* and measure it three times, each in a new tab."""
    command = [
        sys.executable,
        "-m",
        "tracectrl_logging.cli",
        "--root",
        root,
        "view",
        "--no-browser",
    ]
    env = {**os.environ, "TRACECTRL_VIEWER_TOKEN": TOKEN}
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)  # noqa: S603 - our own command
    said = server.stderr.readline() if server.stderr else ""
    address = said.rpartition(" ")[2].strip()
    try:
        for _ in range(3):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            measure(page, address)
            page.close()
            print(f"  server: {peak_mb(server.pid)} MB at most")
    finally:
        server.terminate()
        server.communicate()


def measure_session(page: Page, address: str) -> None:
    """Measure the large session: its first rows, all of it, a search, the last error."""
    start = time.perf_counter()
    page.goto(f"{address}&/session/big")
    page.locator(".layer .row").first.wait_for()
    first_s = time.perf_counter() - start
    page.evaluate(ALL_THERE, str(LINES + SPANS + 1))
    all_s = time.perf_counter() - start
    page.keyboard.press("G")
    page.keyboard.press("E")
    page.locator(".row.is-selected").wait_for()
    error_s = time.perf_counter() - start
    heap = page.evaluate("performance.memory.usedJSHeapSize") / MB
    print(
        f"first rows {first_s:.2f} s, all {all_s:.2f} s, the last error {error_s:.2f} s, heap {heap:.0f} MB"
    )


def measure_list(page: Page, address: str) -> None:
    """Measure the list of many sessions."""
    start = time.perf_counter()
    page.goto(address)
    page.locator("a.open").first.wait_for()
    print(f"the list {time.perf_counter() - start:.2f} s")


def peak_mb(pid: int) -> int:
    """Return the most memory that the process has taken, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    (peak,) = re.findall(r"VmHWM:\s+(\d+)", status)
    return int(peak) // 1024


if __name__ == "__main__":
    sys.exit(main())
