# ruff: noqa: T201 - a program, which prints
"""Sessions that are watched in tabs of a browser while they are written: each line drawn once, in order.

    python tests/stress/watched_tabs.py [--short]

Five processes write about 1,000 log lines and spans a second into twenty sessions; ``compress`` and
``prune`` run beside them. Ten tabs of one Chromium, each in a window, watch: four of them one session, two of them hidden now
and then. The server is killed and started again three times. What each tab has drawn in the end is read
from its rows, scrolled from the first to the last.

How late a row is drawn is measured in the page, from the logging call until the browser has painted, for
lines that were made while the tab was live. Of the tabs four hold a stream, for browsers allow six
connections; the others ask twice a second, and are counted by themselves. Then fewer tabs watch, since ten
that draw twenty times a second are more than a small machine can do.
"""

from __future__ import annotations

import multiprocessing
import re
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from tracectrl_logging.reader import read

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

    from tests.stress import common, watched_sessions
else:
    import common  # this file is a program: its directory is where it imports from
    import watched_sessions

WATCHED = [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]
"""The number of the session that each tab shows."""

HIDDEN = (3, 9)
"""The tabs that are hidden now and then."""

PATIENCE_S = 120
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
_FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
_MADE = re.compile(r"writer=(\d+) number=(\d+)")

_OPEN = 'address => { window.open(address, "_blank", "popup,width=1280,height=800"); }'
"""Opens a window: of the tabs of one window the browser draws one alone as often as it can."""

_MEASURE = """() => {
  const pill = document.getElementById("status");
  const seen = new Set();
  let polledAt = 0;
  window.late = [];
  window.liveSince = Date.now();
  new MutationObserver(() => {
    window.liveSince = pill.dataset.is === "live" ? Date.now() : Infinity;
  }).observe(pill, { attributes: true, attributeFilter: ["data-is"] });
  new PerformanceObserver((list) => {
    if (list.getEntries().some(({ name }) => name.includes("follow=0"))) polledAt = Date.now();
  }).observe({ type: "resource" });
  new MutationObserver(() => {
    const fresh = [];
    for (const cell of document.querySelectorAll(".layer .cell-text")) {
      const made = /made_at=(\\d+)/.exec(cell.textContent)?.[1];
      if (!made || seen.has(made)) continue;
      seen.add(made);
      fresh.push(Number(made) / 1e6);
    }
    const painted = () => {
      const now = Date.now();
      for (const made of fresh) {
        if (made > window.liveSince) window.late.push([now - made, now - polledAt < 1500]);
      }
    };
    if (fresh.length) setTimeout(painted); // behind the frame that this is part of
  }).observe(document.querySelector(".layer"), { childList: true, subtree: true });
}"""

_HIDE = """(isHidden) => {
  Object.defineProperty(document, "hidden", { get: () => isHidden, configurable: true });
  window.liveSince = isHidden ? Infinity : Date.now();
  document.dispatchEvent(new Event("visibilitychange"));
}"""

_DRAWN = """async () => {
  const grid = document.querySelector(".story-rows");
  const found = new Map();
  const frame = () => new Promise(requestAnimationFrame);
  for (let top = 0; ; top += grid.clientHeight - 60) {
    grid.scrollTop = top;
    await frame();
    await frame();
    for (const row of document.querySelectorAll(".layer .row")) {
      found.set(Number(row.getAttribute("aria-rowindex")), [row.classList.contains("is-span"), row.children[1].textContent]);
    }
    if (top + grid.clientHeight >= grid.scrollHeight) break;
  }
  return [...found].sort((a, b) => a[0] - b[0]).map(([, row]) => row);
}"""


def main() -> int:
    """Run it all; return the exit status."""
    verdict = common.Verdict(__doc__ or "")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it may be missing
    except ImportError:
        print("the package playwright is not installed")
        return common.SKIPPED
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("there is no Chromium: apt-get install chromium")
        return common.SKIPPED
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        rounds = [(WATCHED, 4, 3)] if verdict.is_short else [(WATCHED, 120, 3)]
        rounds += [] if verdict.is_short else [(WATCHED[3:7], 30, 0), (WATCHED[:1], 30, 0)]
        for sessions, seconds, kills in rounds:
            with common.home() as home:
                context = browser.new_context()
                watch(home, context, sessions, seconds, kills, verdict)
                context.close()
        browser.close()
    return verdict.status()


def watch(
    root: str,
    context: BrowserContext,
    sessions: list[int],
    seconds: int,
    kills: int,
    verdict: common.Verdict,
) -> None:
    """Write for so many *seconds*, and watch in as many tabs as there are *sessions*; note what is wrong."""
    server = watched_sessions.Server(root)
    errors: list[str] = []
    tabs = []
    opener = context.new_page()
    for number in sessions:
        page = f"http://127.0.0.1:{server.port}/#token={watched_sessions.TOKEN}"
        with opener.expect_popup() as opened:
            opener.evaluate(_OPEN, f"{page}&/session/work-{number}")
        tab = opened.value
        tab.set_default_timeout(PATIENCE_S * 1000)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.locator('#status[data-is="live"]').wait_for()
        tab.evaluate(_MEASURE)
        tab.keyboard.press("G")
        tabs.append(tab)
    verdict.done(f"{len(tabs)} tabs are open")
    spawn = multiprocessing.get_context("spawn")
    writers = [
        spawn.Process(target=watched_sessions.write, args=(root, number, seconds))
        for number in range(watched_sessions.PROCESSES)
    ]
    over = threading.Event()
    keeping = threading.Thread(target=watched_sessions.keep_in_bounds, args=(root, over))
    for process in writers:
        process.start()
    keeping.start()
    for step in range(kills + 1):
        hide(tabs, seconds / (kills + 1))
        if step < kills:
            server.kill()
            server.start()
    for process in writers:
        process.join()
        verdict.expect(0, process.exitcode, "exit status of a writer")
    over.set()
    keeping.join()
    expected = {number: rows_of(f"work-{number}", root) for number in set(sessions)}
    for number, tab in zip(sessions, tabs, strict=True):
        compare(tab, expected[number], f"a tab of work-{number}", verdict)
    server.stop()
    verdict.expect([], errors, "errors in the pages")
    lines = sum(map(len, expected.values()))
    verdict.done(f"{lines} lines drawn in {len(tabs)} tabs, the server killed {kills} times")
    late = [it for tab in tabs for it in tab.evaluate("window.late")]
    tell_late("with a stream", [ms for ms, polls in late if not polls], verdict)
    tell_late("that ask again and again", [ms for ms, polls in late if polls], verdict)


def hide(tabs: list[Page], seconds: float) -> None:
    """Hide some of *tabs*, and show them again, for so many *seconds*."""
    end = time.monotonic() + seconds
    is_hidden = False
    while (left := end - time.monotonic()) > 0:
        tabs[0].wait_for_timeout(1000 * min(left, 1))
        is_hidden = not is_hidden and left > 1
        for number in HIDDEN if len(tabs) > max(HIDDEN) else ():
            tabs[number].evaluate(_HIDE, is_hidden)


def compare(
    tab: Page, expected: dict[tuple[bool, str, str], str], what: str, verdict: common.Verdict
) -> None:
    """Note what a tab has not drawn, has drawn twice, or out of order."""
    deadline = time.monotonic() + PATIENCE_S
    rows = tab.locator(f'[aria-rowcount="{len(expected) + 1}"]')
    while not rows.count() and time.monotonic() < deadline:
        tab.wait_for_timeout(100)
    drawn: list[Any] = tab.evaluate(_DRAWN)
    found = [(is_span, *it.groups()) for is_span, text in drawn if (it := _MADE.search(text))]
    verdict.expect(sorted(expected), sorted(found), f"the lines of {what}")
    times = [expected[it] for it in found if it in expected]
    verdict.expect(sorted(times), times, f"the order of {what}")


def rows_of(sid: str, root: str) -> dict[tuple[bool, str, str], str]:
    """Return the time of each line of the session, by whether it is a span, its writer and its number."""
    found = {}
    for line in read(sid, root):
        own = watched_sessions.own(line.row)
        found[line.kind == "span", str(own["writer"]), str(own["number"])] = line.time
    return found


def tell_late(tabs: str, late_ms: list[float], verdict: common.Verdict) -> None:
    """Print how late rows were drawn; other programs may load the machine, so nothing is judged."""
    if not late_ms:
        return
    late_ms.sort()
    shown = ", ".join(f"{late_ms[len(late_ms) * part // 100]:.0f} ms" for part in (50, 95, 99))
    verdict.done(f"{len(late_ms)} rows drawn in tabs {tabs} after (50 %, 95 %, 99 %): {shown}")


if __name__ == "__main__":
    sys.exit(main())
