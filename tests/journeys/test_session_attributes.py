"""Who a session is: on each line and span, wherever its work goes."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import multiprocessing
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace

from tracectrl.attributes import is_free
from tracectrl.context import extract_trace_headers, inject_trace_headers, remote_session
from tracectrl.files import log_path, span_path
from tracectrl.middleware import SessionMiddleware, SessionWSGIMiddleware
from tracectrl.propagation import SessionPropagator
from tracectrl.session import attributes_of, session, set_session_attributes
from tracectrl.workers import (
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    carry,
    child_environment,
    pack,
    unpack,
)
from tracectrl_logging import configure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("configured")

VALUES = st.one_of(st.text("ab \u00e9\u2028", max_size=5), st.booleans(), st.integers(-5, 2**60))
TEXTS = st.text("ab .\u00e9", min_size=1, max_size=5).filter(is_free)
ATTRIBUTES = st.dictionaries(TEXTS, VALUES | st.lists(st.text("ab", max_size=2)), max_size=4)


def elsewhere(fn: Callable[[], Any]) -> None:
    """Call *fn* on a new thread, which is in nobody's session."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            fn()
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)

    thread = threading.Thread(target=lambda: contextvars.Context().run(run))
    thread.start()
    thread.join(30)
    for error in failed:
        raise error


def by_task(work: Callable[[], Any]) -> None:
    """A task of an event loop."""

    async def main() -> None:
        await asyncio.create_task(asyncio.to_thread(work))

    asyncio.run(main())


def by_executor(work: Callable[[], Any]) -> None:
    """An executor's thread, which was there before."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(work).result()


def by_carry(work: Callable[[], Any]) -> None:
    """A callback on another thread."""
    elsewhere(carry(work))


def by_pickle(work: Callable[[], Any]) -> None:
    """What a callback is in another process."""
    _WORK.append(work)
    carried = pickle.dumps(carry(last_work))
    elsewhere(pickle.loads(carried))  # noqa: S301 - our own
    _WORK.pop()


def by_message(work: Callable[[], Any]) -> None:
    """An item of a queue, as JSON."""
    packed: dict[str, Any] = pack({})
    message = json.dumps(packed)

    def receive() -> None:
        with unpack(json.loads(message)):
            work()

    elsewhere(receive)


def by_asgi(work: Callable[[], Any]) -> None:
    """A request to a service of one's own."""
    headers: dict[str, str] = inject_trace_headers({}, attributes=True)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        work()
        await send({"type": "http.response.start", "status": 200})

    async def send(message: Any) -> None:
        del message

    async def ask() -> None:
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "headers": pairs}
        await SessionMiddleware(app, attributes=True, policy="accept")(scope, None, send)  # type: ignore[arg-type]

    elsewhere(lambda: asyncio.run(ask()))


def by_wsgi(work: Callable[[], Any]) -> None:
    """A request to a service with threads."""
    headers: dict[str, str] = inject_trace_headers({}, attributes=True)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        del environ
        work()
        start_response("200 OK", [])
        return []

    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    served = SessionWSGIMiddleware(app, attributes=True, policy="accept")

    def ask() -> None:
        served(environ, lambda *_: lambda _: None).close()  # type: ignore[attr-defined]

    elsewhere(ask)


def by_celery(work: Callable[[], Any]) -> None:
    """A task of Celery's, by its signals."""
    signals = pytest.importorskip("celery.signals", reason="it is one of the ways")
    from tracectrl.workers.celery import install  # noqa: PLC0415 - an extra

    undo = install()
    headers: dict[str, Any] = {"id": "1"}
    signals.before_task_publish.send("name", headers=headers, body=())

    def run() -> None:
        task: Any = type("Task", (), {})()
        task.request = type("Request", (), {})()
        vars(task.request).update(headers)
        signals.task_prerun.send(task, task_id="1", task=task)
        work()
        signals.task_postrun.send(task, task_id="1", task=task)

    try:
        elsewhere(run)
    finally:
        undo()


WAYS = [
    by_task,
    by_executor,
    by_carry,
    by_pickle,
    by_message,
    by_asgi,
    by_wsgi,
    by_celery,
]
_WORK: list[Callable[[], Any]] = []


def last_work() -> None:
    """Do the work that was asked for last; a function that can be pickled."""
    _WORK[-1]()


def log_one() -> None:
    """Log a line each way, in a span."""
    with trace.get_tracer("tests").start_as_current_span("work"):
        logging.getLogger("work").info("stdlib")
        structlog.get_logger("work").info("structlog")


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    attributes=ATTRIBUTES,
    ways=st.lists(st.sampled_from(WAYS), max_size=3),
    user=st.text("uv\u00e9", min_size=1),
)
def test_wherever_the_work_goes(
    root: Path, read_lines: Any, attributes: dict[str, Any], ways: list[Any], user: str
) -> None:
    """Through any ways, one after the other, each line and span has them, and a later one joins in."""

    def last() -> None:
        log_one()
        set_session_attributes(added="late")
        log_one()

    work = last
    for way in reversed(ways):
        work = lambda way=way, work=work: way(work)  # type: ignore[misc] # noqa: E731 - one inside of another
    with session(user_id=user, **attributes) as sid:
        work()

    expected = {"user.id": user, **attributes}
    logs, spans = read_lines(log_path(sid, root)), read_lines(span_path(sid, root))
    assert 4 == len(logs)
    for row in logs:
        assert expected == {name: row[name] for name in expected}
    assert [None, None, "late", "late"] == [row.get("added") for row in logs]
    assert [None, "late"] == [span["attributes"].get("added") for span in spans]
    for span in spans:
        assert expected == {name: span["attributes"][name] for name in expected}


def log_in_process(root: str) -> None:
    """Log a line in a process of a pool."""
    with configure(root, console=None):
        logging.getLogger("work").info("in a pool")


def test_process_pool(root: Path, read_lines: Any) -> None:
    """A process of a pool, which was started outside of the session, knows who it is."""
    fork = multiprocessing.get_context("fork")  # another one would have to import this file
    with (
        ProcessPoolExecutor(max_workers=1, mp_context=fork) as pool,
        session("s", user_id="u", tags=["t"]),
    ):
        pool.submit(log_in_process, str(root)).result(60)

    (row,) = read_lines(log_path("s", root))
    assert ("u", ["t"]) == (row["user.id"], row["session.tags"])


def test_child_process(root: Path, read_lines: Any, run_python: Any) -> None:
    """A child process knows by its environment, as far as that is of its session."""
    source = (
        "import logging, sys, tracectrl_logging as t; t.configure(sys.argv[1], console=None);"
        "logging.getLogger('work').info('child')"
    )
    with session("s", user_id="u", plan="pro"):
        env = child_environment({})
    run_python(source, str(root), **env)

    (row,) = read_lines(log_path("s", root))
    assert ("u", "pro") == (row["user.id"], row["plan"])
    with session("t"):
        assert "TRACECTRL_SESSION_ATTRIBUTES" not in child_environment(env)


def test_http_where_asked_for_alone() -> None:
    """Nobody is told who the user is, and nobody believed, unless both ends say so."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive, send
        seen.append({**attributes_of("s")})

    with session("s", user_id="u"):
        told: dict[str, str] = inject_trace_headers({}, attributes=True)
        assert ["X-TraceCtrl-Session"] == [*inject_trace_headers({})]
        carrier: dict[str, str] = {}
        SessionPropagator().inject(carrier)
        assert ["X-TraceCtrl-Session"] == [*carrier]
        SessionPropagator(attributes=True).inject(carrier)
        assert told == carrier
        assert "user.id" not in json.dumps(pack({}, attributes=False))
        packed: dict[str, Any] = pack({})

    headers = [(name.lower().encode(), value.encode()) for name, value in told.items()]
    for middleware in (SessionMiddleware(app), SessionMiddleware(app, attributes=True)):
        scope = {"type": "http", "headers": headers}
        contextvars.Context().run(asyncio.run, middleware(scope, None, None))  # type: ignore[arg-type]
    with remote_session(told):
        seen.append({**attributes_of("s")})
    with remote_session(told, attributes=True):
        seen.append({**attributes_of("s")})
    with unpack(packed, attributes=False):
        seen.append({**attributes_of("s")})
    context = SessionPropagator().extract(told)
    seen.append({**contextvars.copy_context().run(known_in, context)})
    context = SessionPropagator(attributes=True).extract(told)
    seen.append({**contextvars.copy_context().run(known_in, context)})

    known = {"user.id": "u"}
    assert [{}, known, {}, known, {}, {}, known] == seen


def known_in(context: Any) -> Any:
    """Return what is known of the session that a propagator extracted."""
    otel_context.attach(context)
    return attributes_of("s")


def test_a_reused_thread(root: Path, read_lines: Any) -> None:
    """The next request of the same session brings what it says itself, and nothing of the one before."""
    with session("s", user_id="u"):
        told: dict[str, str] = inject_trace_headers({}, attributes=True)
    for headers in (told, {"X-TraceCtrl-Session": "s"}, told):
        extract_trace_headers(headers, attributes=True)
        logging.getLogger("work").info("a request")

    users = [row.get("user.id") for row in read_lines(log_path("s", root))]
    assert ["u", None, "u"] == users


def test_a_propagator_that_was_asked(root: Path, read_lines: Any) -> None:
    """Where the process's propagator takes attributes, so do the middleware and what reads headers."""
    propagate.set_global_textmap(SessionPropagator(attributes=True))
    with session("s", user_id="u"):
        told: dict[str, str] = inject_trace_headers({})
    headers = [(name.lower().encode(), value.encode()) for name, value in told.items()]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive, send
        logging.getLogger("work").info("a request")

    def ask() -> None:
        middleware: Any = SessionMiddleware(app)
        asyncio.run(middleware({"type": "http", "headers": headers}, None, None))
        with remote_session(told), session("s"):
            logging.getLogger("work").info("a block")

    contextvars.Context().run(ask)
    assert ["u", "u"] == [row.get("user.id") for row in read_lines(log_path("s", root))]
