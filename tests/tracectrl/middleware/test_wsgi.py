"""tracectrl.middleware.SessionWSGIMiddleware: a session for each request, as servers see it."""

# ruff: noqa: ARG001, ARG002 - the signatures are the protocol's

from __future__ import annotations

import io
import sys
import uuid
from typing import TYPE_CHECKING, Any
from wsgiref.handlers import SimpleHandler
from wsgiref.validate import validator

import pytest
from opentelemetry import trace

from tracectrl.middleware import SessionWSGIMiddleware
from tracectrl.session import current_session_id, session, set_session_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TRACE_ID = 0xAF7651916CD43DD8448EB211C80319C
TRACEPARENT = f"00-{TRACE_ID:032x}-b7ad6b7169203331-01"


def environ_of(**headers: str) -> dict[str, Any]:
    """Return the environment of a request with *headers*, named as WSGI does."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        **headers,
    }


class Handler(SimpleHandler):
    """The standard library's own WSGI server, less the network; keeps the exception it saw."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self.output, self.errors = io.BytesIO(), io.StringIO()
        super().__init__(io.BytesIO(), self.output, self.errors, environ)
        self.os_environ = {}
        self.error: BaseException | None = None

    def log_exception(self, exc_info: Any) -> None:
        """Keep the exception."""
        self.error = exc_info[1]


class Answer:
    """What the server has sent."""

    def __init__(self, handler: Handler) -> None:
        head, _, self.body = handler.output.getvalue().partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1]) if first else 0
        self.headers = [
            (name, value) for name, _, value in (line.partition(": ") for line in lines)
        ]
        self.error = handler.error

    @property
    def sessions(self) -> list[str]:
        """The values of the session's header."""
        return [pair[1] for pair in self.headers if pair[0].lower() == "x-tracectrl-session"]


def ask(app: Any, **headers: str) -> Answer:
    """Send one request to *app*; what was current must be so again afterwards."""
    before = current_session_id(), trace.get_current_span()
    handler = Handler(environ_of(**headers))
    handler.run(app)
    assert before == (current_session_id(), trace.get_current_span())
    return Answer(handler)


def correlation() -> tuple[str | None, int]:
    """Return the current session ID and trace ID."""
    return current_session_id(), trace.get_current_span().get_span_context().trace_id


class App:
    """Answers; keeps what was current when it was called, read and closed."""

    def __init__(self) -> None:
        self.seen: list[tuple[str | None, int]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        self.seen.append(correlation())
        start_response("200 OK", [("Content-Type", "text/plain")])
        return self

    def __iter__(self) -> Iterator[bytes]:
        for part in (b"a", b"", b"b"):
            self.seen.append(correlation())
            yield part

    def close(self) -> None:
        """Be closed by the server."""
        self.seen.append(correlation())


class TestSession:
    """Whose session a request is in."""

    @pytest.mark.parametrize(
        ("headers", "sid", "value"),
        [
            ({"HTTP_X_TRACECTRL_SESSION": "mine"}, "mine", "mine"),
            ({"HTTP_X_SESSION_ID": "mine"}, "mine", "mine"),
            ({"HTTP_X_TRACECTRL_SESSION": "s%C3%A9"}, "s\u00e9", "s%C3%A9"),
            ({"HTTP_X_TRACECTRL_SESSION": "a", "HTTP_X_SESSION_ID": "b"}, "a", "a"),
        ],
    )
    def test_named_by_the_request(self, headers: dict[str, str], sid: str, value: str) -> None:
        """From the call to the close; the answer names it."""
        app = App()

        answer = ask(SessionWSGIMiddleware(app), HTTP_TRACEPARENT=TRACEPARENT, **headers)

        assert [(sid, TRACE_ID)] * 5 == app.seen
        assert (200, [value], b"ab") == (answer.status, answer.sessions, answer.body)

    @pytest.mark.parametrize("late", [False, True])
    def test_a_server_that_asks_for_the_status_at_once(self, late: bool) -> None:  # noqa: FBT001
        """The response has begun when the server gets the body, whenever the application begins it."""

        def of_generator(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
            start_response("201 Created", [])
            yield b"a"
            yield b"b"

        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            if late:
                return of_generator(environ, start_response)
            start_response("201 Created", [])
            return iter([b"a", b"b"])

        started: list[Any] = []

        def start_response(*args: Any) -> Any:
            started.append(args[:2])

        body: Any = SessionWSGIMiddleware(app)(environ_of(HTTP_X_SESSION_ID="mine"), start_response)
        assert [("201 Created", [("X-TraceCtrl-Session", "mine")])] == started
        assert [b"a", b"b"] == list(body)
        body.close()
        assert current_session_id() is None

    def test_chosen_by_the_application(self) -> None:
        """The answer names the session in which it begins, which is left behind with the request."""

        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            set_session_id("chosen 1")
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"x"]

        assert ["chosen%201"] == ask(SessionWSGIMiddleware(app)).sessions

    def test_minted(self) -> None:
        """A new one for each request that names none."""
        app = App()
        middleware = SessionWSGIMiddleware(app)

        ids = [ask(middleware).sessions[0] for _ in range(2)]

        assert ids == [str(uuid.UUID(sid)) for sid in ids]
        assert [(sid, 0) for sid in ids] == [app.seen[0], app.seen[5]]
        assert ids[0] != ids[1]

    def test_utf_8_is_read_as_such(self) -> None:
        """PEP 3333 hands bytes over as ISO 8859-1."""
        sent = "s\u00e9".encode().decode("latin-1")

        answer = ask(SessionWSGIMiddleware(App(), policy="accept"), HTTP_X_SESSION_ID=sent)

        assert ["s%C3%A9"] == answer.sessions

    def test_what_the_application_sets_is_gone_afterwards(self) -> None:
        """The thread's next request does not see it."""

        def app(environ: Any, start_response: Any) -> list[bytes]:
            set_session_id("left over")
            start_response("200 OK", [])
            return [b"x"]

        with session("server"):
            ask(SessionWSGIMiddleware(app), HTTP_X_TRACECTRL_SESSION="mine")

    def test_a_refusal(self) -> None:
        """Status 400 and the reason; the application is not asked."""
        app = App()

        answer = ask(SessionWSGIMiddleware(app, policy="reject"), HTTP_X_SESSION_ID="x" * 129)

        assert [] == app.seen
        assert 400 == answer.status
        assert b"The session ID of the request is refused: it is longer than " in answer.body
        assert answer.sessions == [str(uuid.UUID(answer.sessions[0]))]

    def test_in_the_middleware_itself(self) -> None:
        """Twice around, the outer one decides."""
        app = App()
        inner = SessionWSGIMiddleware(app, trust_inbound=False)

        answer = ask(SessionWSGIMiddleware(inner), HTTP_X_SESSION_ID="mine")

        assert {("mine", 0)} == set(app.seen)
        assert ["mine"] == answer.sessions


class TestProtocol:
    """The middleware is a WSGI application that servers and validators accept."""

    def test_the_standard_validator(self) -> None:
        """On both of its sides."""

        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"x"]

        answer = ask(validator(SessionWSGIMiddleware(validator(app))))

        assert (200, b"x", None) == (answer.status, answer.body, answer.error)

    def test_the_length_of_one_part(self) -> None:
        """The server still derives it."""

        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [])
            return [b"four"]

        assert ("Content-Length", "4") in ask(SessionWSGIMiddleware(app)).headers

    def test_an_empty_body(self) -> None:
        """Its headers are sent all the same."""

        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("204 No Content", [])
            return []

        assert (204, 1) == (
            (answer := ask(SessionWSGIMiddleware(app))).status,
            len(answer.sessions),
        )

    def test_write(self) -> None:
        """The callable for applications of old sends at once."""

        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [])(b"a")
            return [b"b"]

        answer = ask(SessionWSGIMiddleware(app), HTTP_X_SESSION_ID="mine")

        assert (b"ab", ["mine"]) == (answer.body, answer.sessions)

    def test_a_second_start(self) -> None:
        """With ``exc_info`` it replaces the first, without it is a mistake that the server tells."""

        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [("X-First", "1")])
            try:
                raise KeyError  # noqa: TRY301 - what exc_info is for
            except KeyError:
                start_response("503 Sorry", [("X-Second", "2")], sys.exc_info())
            return [b"x"]

        answer = ask(SessionWSGIMiddleware(app), HTTP_X_SESSION_ID="mine")

        assert (503, ["mine"], None) == (answer.status, answer.sessions, answer.error)
        assert "X-First" not in dict(answer.headers)

        def wrong(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [])
            start_response("200 OK", [])
            return [b"x"]

        assert isinstance(ask(SessionWSGIMiddleware(wrong)).error, AssertionError)

    def test_a_second_start_when_some_was_sent(self) -> None:
        """The server raises what the application hands it."""

        def app(environ: Any, start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", [])
            yield b"a"
            try:
                raise KeyError  # noqa: TRY301 - what exc_info is for
            except KeyError:
                start_response("503 Sorry", [], sys.exc_info())
            yield b"never"

        answer = ask(SessionWSGIMiddleware(app))

        assert (200, b"a") == (answer.status, answer.body)
        assert isinstance(answer.error, KeyError)

    def test_closed_though_never_read(self) -> None:
        """A server need not read the body; closing it ends the session, and twice does no harm."""
        app = App()
        body: Any = SessionWSGIMiddleware(app)(environ_of(), lambda *_: lambda _: None)

        assert current_session_id() is not None
        body.close()
        body.close()

        assert current_session_id() is None

    def test_an_exception_in_close(self) -> None:
        """It reaches the server, and the session has ended."""

        class Body(list[bytes]):
            def close(self) -> None:
                raise KeyError

        def app(environ: Any, start_response: Any) -> Body:
            start_response("200 OK", [])
            return Body([b"x"])

        body: Any = SessionWSGIMiddleware(app)(environ_of(), lambda *_: lambda _: None)
        assert [b"x"] == list(body)
        with pytest.raises(KeyError):
            body.close()
        assert current_session_id() is None


def raises(environ: Any, start_response: Any) -> list[bytes]:
    """Raise before anything."""
    raise KeyError


def raises_when_started(environ: Any, start_response: Any) -> list[bytes]:
    """Raise when the response has started, but nothing was sent."""
    start_response("200 OK", [("Content-Length", "1000")])
    raise KeyError


def raises_when_read(environ: Any, start_response: Any) -> Iterator[bytes]:
    """Raise at the first part of the body."""
    start_response("200 OK", [("Content-Length", "1000")])
    if environ:
        raise KeyError
    yield b"never"


class TestErrors:
    """An application that raises."""

    @pytest.mark.parametrize("app", [raises, raises_when_started, raises_when_read])
    def test_before_anything_was_sent(self, app: Any) -> None:
        """Status 500 with the session, and the server sees the exception."""
        answer = ask(SessionWSGIMiddleware(app), HTTP_X_SESSION_ID="mine")

        assert (500, ["mine"]) == (answer.status, answer.sessions)
        assert b"Internal Server Error" == answer.body
        assert ("Content-Length", "21") in answer.headers
        assert isinstance(answer.error, KeyError)

    def test_when_some_was_sent(self) -> None:
        """Nothing is added to it."""

        def app(environ: Any, start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", [])
            yield b"a"
            raise KeyError

        answer = ask(SessionWSGIMiddleware(app))

        assert (200, b"a") == (answer.status, answer.body)
        assert isinstance(answer.error, KeyError)

    def test_what_is_no_exception_is_not_answered(self) -> None:
        """The server or the user wants the process to end."""

        def app(environ: Any, start_response: Any) -> list[bytes]:
            raise KeyboardInterrupt

        started: list[Any] = []
        middleware: Any = SessionWSGIMiddleware(app)
        with pytest.raises(KeyboardInterrupt):
            middleware(environ_of(), lambda *args: started.append(args))

        assert ([], None) == (started, current_session_id())

    def test_a_server_without_write(self) -> None:
        """An adapter's ``start_response`` may answer with nothing; the exception counts."""
        middleware: Any = SessionWSGIMiddleware(raises)
        with pytest.raises(KeyError):
            middleware(environ_of(), lambda *_: None)

        assert current_session_id() is None
