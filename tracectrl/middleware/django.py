"""The session for Django, by its setting ``MIDDLEWARE``."""

from __future__ import annotations

import contextvars
from functools import partial
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpResponse

from tracectrl._steps import driven, items_of
from tracectrl.middleware.errors import SCOPE_KEY
from tracectrl.middleware.inbound import Inbound
from tracectrl.middleware.wsgi import headers_of
from tracectrl.propagation import SESSION_HEADER, encode_session_header
from tracectrl.remote import continued
from tracectrl.session import current_session_id, leave_finalizers_out

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tracectrl.middleware.inbound import Verdict

OPTIONS_SETTING = "TRACECTRL_MIDDLEWARE"
"""The setting with the options, a dict."""


class SessionMiddleware:
    """Runs each request in its session; for ``MIDDLEWARE``, as the first of them.

    ``"tracectrl.middleware.django.SessionMiddleware"`` works under WSGI and ASGI, with views of either
    kind, and with Django's test clients. What the views and the other middleware log, what Django logs of
    an exception, and each part of a stream is in the session; the answer carries it in
    ``X-TraceCtrl-Session``. Around the whole application,
    :class:`~tracectrl.middleware.SessionMiddleware` and
    :class:`~tracectrl.middleware.SessionWSGIMiddleware` have the server's access log in it, too; where
    one of these is there, its session is the request's.

    The setting ``TRACECTRL_MIDDLEWARE`` is a dict of the options of those, such as
    ``{"policy": "reject"}``.

    Raises:
        TypeError: there is no such option.
        ValueError: an option is out of range.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        leave_finalizers_out()
        self.get_response = get_response
        self._inbound = Inbound(**getattr(settings, OPTIONS_SETTING, {}))
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> HttpResponse | Awaitable[HttpResponse]:
        """Return the response to *request*, or what is awaited for it."""
        if self._is_async:
            return self._answer_async(request)
        verdict, scope = self._begin(request)
        with scope:
            refused = _refused(verdict)
            return _carrying(refused or self.get_response(request), verdict.sid)

    async def _answer_async(self, request: Any) -> HttpResponse:
        verdict, scope = self._begin(request)
        with scope:
            refused = _refused(verdict)
            return _carrying(refused or await self.get_response(request), verdict.sid)

    def _begin(self, request: Any) -> tuple[Verdict, continued]:
        """Return what is decided of the session of *request*, and the context manager to answer it in."""
        headers = headers_of(request.META)
        place = getattr(
            request, "scope", request.META
        )  # where a middleware around has left its session
        verdict = self._inbound(headers, place.get(SCOPE_KEY))
        place[SCOPE_KEY] = verdict.sid
        return verdict, continued(headers, self._inbound.state(headers, place, verdict.sid))


def _refused(verdict: Verdict) -> HttpResponse | None:
    """Return the answer to a request whose session is refused; say, in the session, what was replaced."""
    verdict.tell()
    if verdict.refusal is None:
        return None
    text = f"The session ID of the request is refused: {verdict.refusal}.\n"
    return HttpResponse(text, status=400, content_type="text/plain; charset=utf-8")


def _carrying(response: Any, sid: str) -> Any:
    """Return *response* with the session's header, and a stream of its with the present context."""
    response[SESSION_HEADER] = encode_session_header(current_session_id() or sid)
    if response.streaming:
        context = contextvars.copy_context()
        parts = response.streaming_content
        closers = response._resource_closers  # noqa: SLF001 - what closes the view's generator
        closers[:] = [partial(context.run, close) for close in closers]
        if response.is_async:
            response.streaming_content = items_of(lambda: (context, parts))()
        else:
            response.streaming_content = driven(context, (part for part in parts))
    return response
