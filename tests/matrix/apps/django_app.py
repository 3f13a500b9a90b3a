"""A Django project in one file, under ASGI and under WSGI."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import django
from cell import Meeting, threads, work
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from tracectrl.middleware import SessionMiddleware, SessionWSGIMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

settings.configure(
    ALLOWED_HOSTS=["*"],
    LOGGING_CONFIG=None,
    ROOT_URLCONF=__name__,
    SECRET_KEY="of no use to anybody",  # noqa: S106 - a test's
)
django.setup()
meeting = Meeting(int(os.environ.get("MATRIX_SESSIONS", "1")))


async def in_async(request: HttpRequest) -> HttpResponse:
    """Answer on the event loop."""
    expected = request.GET["expected"]
    work("django-async", expected)
    await meeting.join()
    work("django-async", expected)
    return HttpResponse("x")


def in_def(request: HttpRequest) -> HttpResponse:
    """Answer on a thread."""
    expected = request.GET["expected"]
    work("django-def", expected)
    if hasattr(request, "environ"):
        threads.wait()
    work("django-def", expected)
    return HttpResponse("x")


def nothing(request: HttpRequest) -> HttpResponse:
    """Answer."""
    return HttpResponse(request.path)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Answer by and by."""

    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            work("django-stream", request.GET["expected"])
            yield b"x"

    return StreamingHttpResponse(chunks())


def fail(request: HttpRequest) -> HttpResponse:
    """Raise."""
    work("django-fail", request.GET["expected"])
    msg = "on purpose"
    raise RuntimeError(msg)


urlpatterns = [
    path("async", in_async),
    path("def", in_def),
    path("nothing", nothing),
    path("stream", stream),
    path("fail", fail),
]

asgi = SessionMiddleware(get_asgi_application())
wsgi = SessionWSGIMiddleware(get_wsgi_application())
