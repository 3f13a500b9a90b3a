# ruff: noqa: T201 - a program, which prints
"""What SessionMiddleware adds to a minimal Starlette request that logs one line.

Both applications run in this process, without a server, in rounds by turns; the ratio is the
median of the rounds' own. The bar is 1.15 for a request that names its session. Beside it: a
request that carries a trace, which OpenTelemetry's propagators read, and one that names no session,
which costs what a new session's file costs.

Usage: ``python benchmarks/middleware.py [--rounds N] [--check]``
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tracectrl.middleware import SessionMiddleware
from tracectrl_logging import configure

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

BAR = 1.15
REQUESTS = 50  # in a round of one application

log = logging.getLogger("benchmark")


async def index(request: Request) -> PlainTextResponse:
    """Log one line and answer."""
    log.info("asked for %s", request.url.path)
    return PlainTextResponse("hello")


async def receive() -> dict[str, Any]:
    """Return the whole of an empty body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Any) -> None:
    """Drop *message*."""


def scope_of(session_id: bytes | None, *more: tuple[bytes, bytes]) -> Callable[[], dict[str, Any]]:
    """Return the function that makes the scope of a request as uvicorn does."""
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"user-agent", b"curl/8.5.0"),
        (b"accept", b"*/*"),
        *more,
    ]
    if session_id is not None:
        headers.append((b"x-tracectrl-session", session_id))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
    }
    return lambda: {**scope, "headers": list(headers), "state": {}}


async def round_of(app: Any, new_scope: Callable[[], dict[str, Any]]) -> float:
    """Return the time of one request in seconds, over a round of them."""
    begin = time.perf_counter()
    for _ in range(REQUESTS):
        await app(new_scope(), receive, send)
    return (time.perf_counter() - begin) / REQUESTS


async def measure(rounds: int) -> dict[str, list[float]]:
    """Return the times of a request in seconds: without, with, and with a new session."""
    routes = [Route("/", index)]
    bare = Starlette(routes=routes)
    wrapped = Starlette(routes=routes, middleware=[Middleware(SessionMiddleware)])
    sid = b"a1b2c3d4-e5f6-7890-abcd-ef1234567890"
    traceparent = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    named, nameless, traced = scope_of(sid), scope_of(None), scope_of(sid, traceparent)
    cases = {
        "without": (bare, named),
        "with": (wrapped, named),
        "with, traceparent": (wrapped, traced),
        "with, new session": (wrapped, nameless),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 1):
        for name, (app, new_scope) in cases.items():
            times[name].append(await round_of(app, new_scope))
    return {name: values[1:] for name, values in times.items()}


def ratio_of(times: list[float], others: list[float]) -> float:
    """Return the median ratio of rounds that were run side by side."""
    return statistics.median(one / other for one, other in zip(times, others, strict=True))


def main() -> int:
    """Print the medians and the ratio; with ``--check``, fail above the bar."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--check", action="store_true", help=f"fail above {BAR}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root, configure(root, console=None, spans=False):
        times = asyncio.run(measure(options.rounds))
    for name, values in times.items():
        relative = ratio_of(values, times["without"])
        print(f"{name:<20} {statistics.median(values) * 1e6:7.1f} us/request  {relative:.3f}")
    ratio = ratio_of(times["with"], times["without"])
    print(f"ratio {ratio:.3f} (bar {BAR})")
    return int(options.check and ratio > BAR)


if __name__ == "__main__":
    sys.exit(main())
