"""The session for WSGI applications: Flask, Django, and any other."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

from tracectrl.middleware.inbound import DEFAULT_HEADERS, DEFAULT_MAX_LENGTH, Inbound, Policy
from tracectrl.propagation import SESSION_HEADER, encode_session_header
from tracectrl.remote import continued
from tracectrl.session import current_session_id, leave_finalizers_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ENVIRON_KEY = "tracectrl.session_id"
"""Where the session ID stands in the WSGI environment."""

_SERVER_ERROR = b"Internal Server Error"


class SessionWSGIMiddleware:
    """Runs each request in its session; a plain WSGI application.

    The session is the one in the request's headers, else a new one, and it lasts until the server
    closes the response, so streams and the server's access log belong to it. The thread is then as
    it was before. The answer carries the session in ``X-TraceCtrl-Session``, also when the
    application, or its body, raises before anything was sent; the exception still reaches the
    server.

    The arguments, and the errors raised, are those of
    :class:`~tracectrl.middleware.SessionMiddleware`.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        headers: Sequence[str] = DEFAULT_HEADERS,
        policy: Policy = "replace",
        trust_inbound: bool = True,
        is_valid: Callable[[str], bool] | None = None,
        max_length: int = DEFAULT_MAX_LENGTH,
        aliases: Sequence[str] = (),
        attributes: bool = False,
    ) -> None:
        self.app = app
        leave_finalizers_out()
        self._inbound = Inbound(
            headers=headers,
            policy=policy,
            trust_inbound=trust_inbound,
            is_valid=is_valid,
            max_length=max_length,
            aliases=aliases,
            attributes=attributes,
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Run the application for one request."""
        headers = headers_of(environ)
        verdict = self._inbound(headers, environ.get(ENVIRON_KEY))
        environ[ENVIRON_KEY] = verdict.sid
        start = _Start(start_response, verdict.sid)
        scope = continued(headers, self._inbound.state(headers, environ, verdict.sid))
        scope.__enter__()
        try:
            verdict.tell()
            if verdict.refusal is not None:
                text = f"The session ID of the request is refused: {verdict.refusal}.\n".encode()
                start("400 Bad Request", _plain_text(text))
                parts: Iterable[bytes] = [text]
            else:
                parts = self.app(environ, start)
            body = _Body(parts, scope, start)
            body.begin()
            return body  # noqa: TRY300 - what is raised here is answered below
        except BaseException as error:
            try:
                if isinstance(error, Exception):
                    start.answer_error()
            finally:
                scope.__exit__(*sys.exc_info())
            raise


class _Start:
    """A ``start_response`` that puts the session into the headers and waits for the first part of the body.

    PEP 3333 lets an application start its response as late as then. Until
    then an exception can still be answered; to start again does not do, for gunicorn keeps the
    headers of the first start.
    """

    def __init__(self, start_response: StartResponse, sid: str) -> None:
        self._start_response = start_response
        self._sid = sid
        self._pending: tuple[str, list[tuple[str, str]]] | None = None
        self._write: Callable[[bytes], object] | None = None
        self._started = False

    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        others = [pair for pair in headers if pair[0].lower() != SESSION_HEADER.lower()]
        others.append(self._header())
        if self._started or (self._pending is not None and exc_info is None):
            # For the server to raise exc_info, or that this is a mistake.
            self.now()
            return self._start_response(status, others, exc_info)
        self._pending = status, others
        return self.write

    def now(self) -> None:
        """Start the response, if the application has said how and it is not started yet."""
        if not self._started and self._pending is not None:
            self._started = True
            self._write = self._start_response(*self._pending)

    def write(self, data: bytes) -> None:
        self.now()
        if self._write is not None:  # asgiref's adapter has none
            self._write(data)

    def _header(self) -> tuple[str, str]:
        """Return the header of the session in which the application answers."""
        return SESSION_HEADER, encode_session_header(current_session_id() or self._sid)

    def answer_error(self) -> None:
        """Answer with status 500, unless the response has started.

        The answer is sent at once, for the server must still see the exception.
        """
        if not self._started:
            self._pending = "500 Internal Server Error", _plain_text(_SERVER_ERROR)
            self._pending[1].append(self._header())
            self.write(_SERVER_ERROR)


class _Body:
    """A response body that ends the session when the server closes it.

    A generator would not do: the server need not iterate it, and then its ``finally`` never runs.
    """

    def __init__(self, body: Iterable[bytes], scope: continued, start: _Start) -> None:
        self._body = body
        self._parts: Iterator[bytes] = iter(())
        self._first: list[bytes] = []
        self._start = start
        self._scope: continued | None = scope
        if hasattr(body, "__len__"):
            # Servers derive the content length from a body of one part.
            self.__class__ = _SizedBody

    def begin(self) -> None:
        """Take the first part and start the response.

        Granian asks for the status as soon as it has the body, not when that has a first part.
        """
        try:
            self._parts = iter(self._body)
            self._first = list(islice(self._parts, 1))
        except BaseException:
            self._close_body()  # the server does not get it
            raise
        self._start.now()

    def __iter__(self) -> Iterator[bytes]:
        yield from self._first
        yield from self._parts

    def close(self) -> None:
        try:
            self._close_body()
        finally:
            scope, self._scope = self._scope, None
            if scope is not None:
                scope.__exit__(None, None, None)

    def _close_body(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


class _SizedBody(_Body):
    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]


def headers_of(environ: WSGIEnvironment) -> dict[str, list[str]]:
    """Return the request's headers; PEP 3333 hands their bytes over as ISO 8859-1."""
    return {
        name[5:].replace("_", "-").lower(): [_utf8(value)]
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    }


def _utf8(value: str) -> str:
    try:
        return value.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return value


def _plain_text(body: bytes) -> list[tuple[str, str]]:
    return [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
