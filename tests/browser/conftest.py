"""A real Chromium and a real server: the page as people see it.

What a test may use:

- ``serve``: starts ``tracectrl-logs view`` on a directory; the servers end with the test.
- ``write``: writes lines of a session into the test's root, as they stand in files.
- ``open_page``: opens an address in a tab; the tabs of a test share what a browser shares.

A test fails where one of its tabs logs an error, breaks the page's own policy of contents, or asks
anything but its server. ``expected_errors`` holds what a test means to cause; ``eventually`` waits for
what a script finds.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files import log_path, span_path

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="the package playwright is not installed"
)
pytest.importorskip("starlette", reason="the extra viewer is not installed")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

START_S = 60.0
"""How long a server may take to start, and an element to appear, on a machine that has other things to do."""

NPM_S = 60.0
"""How long npm may take."""

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_TOKEN = "the-token-of-these-tests-0123456789abcdef"  # noqa: S105 - it opens nothing else


def _chromium() -> str | None:
    if os.path.exists("/usr/bin/chromium"):
        return "/usr/bin/chromium"
    return shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a browser that runs; the test is skipped where there is none."""
    path = _chromium()
    if path is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        sync_api.expect.set_options(timeout=START_S * 1000)
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield browser
        browser.close()


class Server:
    """``tracectrl-logs view`` in a process of its own."""

    def __init__(self, root: Path, port: int = 0) -> None:
        self.root = root
        self.port = port
        self.start()

    def start(self) -> None:
        """Start it, at the port that it had."""
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tracectrl_logging.cli", "view"),
                *("--root", str(self.root), "--no-browser", "--port", str(self.port)),
            ],
            env={**os.environ, "TRACECTRL_VIEWER_TOKEN": _TOKEN},
            stderr=subprocess.PIPE,
            text=True,
        )
        said = self.process.stderr
        assert said is not None
        assert select.select([said], [], [], START_S)[0], "the server says nothing"
        found = re.search(r"http://127\.0\.0\.1:(\d+)/#token=", line := said.readline())
        assert found, line
        self.port = int(found[1])

    @property
    def origin(self) -> str:
        """The address of the page, without a token."""
        return f"http://127.0.0.1:{self.port}/"

    def address(self, path: str = "/", token: str = _TOKEN) -> str:
        """Return the address of a view, with the token."""
        return f"{self.origin}#token={token}&{path}"

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it; what it has said is an error of the test's, where it was not killed."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=START_S)
        assert "" == said


@pytest.fixture
def serve(root: Path) -> Iterator[Callable[..., Server]]:
    """Return the function that serves *root*, or another directory."""
    servers: list[Server] = []

    def start(directory: Path = root) -> Server:
        directory.mkdir(mode=0o700, exist_ok=True)
        servers.append(Server(directory))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture
def write(root: Path) -> Callable[..., None]:
    """Return the function that writes lines of a session: ``write(sid, {"message": ...}, ...)``.

    A line that has a ``name`` is a span. What a line needs and does not say is filled in: its time is
    now, its level INFO.
    """

    def lines(sid: str, *rows: dict[str, Any]) -> None:
        root.mkdir(mode=0o700, exist_ok=True)
        for row in rows:
            now = timestamp()
            if "name" in row:
                path = span_path(sid, root)
                base: dict[str, Any] = {
                    "session_id": sid,
                    "trace_id": "1" * 32,
                    "start_time": now,
                    "end_time": now,
                }
                base |= {"status": "UNSET", "duration_ns": 0}
            else:
                path = log_path(sid, root)
                base = {"timestamp": now, "level": "INFO", "logger": "tests", "session_id": sid}
            with open(path, "ab") as file:
                file.write(json.dumps({**base, **row}).encode() + b"\n")

    return lines


def timestamp(moment: float | None = None) -> str:
    """Return *moment*, seconds since the epoch, or now, as it stands in a line."""
    moment = time.time() if moment is None else moment
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(moment))}.{int(moment % 1 * 1e6):06}Z"


class Watch:
    """What goes wrong in the tabs of one test."""

    def __init__(self) -> None:
        self.origins: set[str] = set()
        self.problems: list[str] = []
        self.expected: list[str] = []

    def add(self, page: Any) -> None:
        """Watch another tab."""
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("console", self._console)
        page.on("request", self._request)

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(f"{message.type}: {message.text}")

    def _request(self, request: Any) -> None:
        own = request.url.startswith((*self.origins, "data:", "blob:", "about:"))
        if not own:
            self.problems.append(f"request: {request.url}")

    def check(self) -> None:
        """Fail for what nobody has expected."""
        left = [it for it in self.problems if not any(part in it for part in self.expected)]
        assert [] == left


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Return what is checked when the test is over."""
    watch = Watch()
    yield watch
    watch.check()


@pytest.fixture
def expected_errors(watch: Watch) -> list[str]:
    """Return the list of texts that an error may hold: what the test causes."""
    return watch.expected


@pytest.fixture
def open_page(browser: Any, watch: Watch) -> Iterator[Callable[..., Any]]:
    """Return the function that opens an address: ``open_page(server, "/search", width=360)``."""
    contexts: dict[Any, Any] = {}

    def opened(server: Server, path: str = "/", **options: Any) -> Any:
        size = {"width": options.pop("width", 1280), "height": options.pop("height", 800)}
        address = options.pop("address", None) or server.address(path)
        key = (size["width"], *sorted(options.items()))
        if key not in contexts:
            contexts[key] = browser.new_context(viewport=size, **options)
            contexts[key].set_default_timeout(START_S * 1000)
        watch.origins.add(server.origin)
        page = contexts[key].new_page()
        watch.add(page)
        page.goto(address)
        return page

    yield opened
    for context in contexts.values():
        context.close()


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Return the function that waits until JavaScript gives a value: ``eventually(page, script, value)``.

    The page's policy forbids what Playwright's own ``wait_for_function`` does with its script.
    """

    def wait(page: Any, script: str, wanted: Any) -> None:
        end = time.monotonic() + START_S
        while (found := page.evaluate(script)) != wanted and time.monotonic() < end:
            page.wait_for_timeout(20)
        assert wanted == found

    return wait


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the npm packages typescript and axe-core are, which nothing of the project ships."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is missing")
    own = tmp_path_factory.getbasetemp()
    home = (
        own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    ) / "npm"  # once for all workers
    home.mkdir(exist_ok=True)
    packages = ("axe-core@4", "typescript@>=5.5")
    options = ("--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--loglevel=error")
    command = [npm, "install", "--prefix", str(home), *options, *packages]
    said = home / "said"
    with open(home / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            try:
                done = subprocess.run(
                    command, cwd=home, check=False, capture_output=True, text=True, timeout=NPM_S
                )
                said.write_text(done.stderr if done.returncode else "", "utf-8")
            except subprocess.TimeoutExpired:
                said.write_text(f"no answer within {NPM_S} s", "utf-8")
    if problem := said.read_text("utf-8"):
        pytest.skip(f"npm cannot install {' and '.join(packages)}: {problem[-300:]}")
    return home / "node_modules"
