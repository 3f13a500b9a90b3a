"""WSGI applications: the first part of the path says which."""

# ruff: noqa: ARG001 - the signatures are the protocol's

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from wsgiref.util import shift_path_info

import django_app
from cell import log, threads, work
from flask import Flask, Response, request

from tracectrl.middleware import SessionWSGIMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

flask = Flask(__name__)


@flask.get("/def")
def in_def() -> str:
    """Answer."""
    expected = request.args["expected"]
    work("flask", expected)
    threads.wait()
    work("flask", expected)
    return "x"


@flask.get("/nothing")
def nothing() -> str:
    """Answer."""
    log.info("nothing")
    return ""


@flask.get("/stream")
def stream() -> Response:
    """Answer by and by."""
    expected = request.args["expected"]

    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            work("flask-stream", expected)
            yield b"x"

    return Response(chunks())


@flask.get("/endless")
def endless() -> Response:
    """Answer for as long as somebody listens."""
    expected = request.args["expected"]

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                work("flask-endless", expected)
                yield b"x" * 100_000
        finally:
            work("flask-endless-closed", expected)

    return Response(chunks())


@flask.get("/fail")
def fail() -> str:
    """Raise."""
    work("flask-fail", request.args["expected"])
    msg = "on purpose"
    raise RuntimeError(msg)


def before(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Raise before the answer has begun."""
    raise RuntimeError(environ["SCRIPT_NAME"])


def after(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Raise when the answer has begun."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    raise RuntimeError(environ["SCRIPT_NAME"])


def during(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Raise when the body is first read."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ:
        raise RuntimeError("/during")  # noqa: EM101 - to look as the others do
    yield b"never"


def midway(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Raise while the body is read."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    msg = "midway"
    raise RuntimeError(msg)


_APPS: dict[str, Any] = {
    "flask": SessionWSGIMiddleware(flask.wsgi_app),
    "reject": SessionWSGIMiddleware(flask.wsgi_app, policy="reject"),
    "accept": SessionWSGIMiddleware(flask.wsgi_app, policy="accept"),
    "untrusting": SessionWSGIMiddleware(flask.wsgi_app, trust_inbound=False),
    "own-check": SessionWSGIMiddleware(flask.wsgi_app, is_valid=lambda sid: sid.startswith("ok-")),
    "django": django_app.wsgi,
    "before": SessionWSGIMiddleware(before),
    "after": SessionWSGIMiddleware(after),
    "during": SessionWSGIMiddleware(during),
    "midway": SessionWSGIMiddleware(midway),
}


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Pass a request on to the application that the first part of its path names."""
    found: Iterable[bytes] = _APPS[str(shift_path_info(environ))](environ, start_response)
    return found
