"""What ``run`` captures of a program, which is its own: most tests run one alone and captured."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from opentelemetry import trace

from tracectrl.files.write.appender import Appender
from tracectrl_logging import SessionFileHandler, SessionFileLoggerFactory
from tracectrl_logging.program.capture import Capture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.tracectrl_logging.conftest import Twins

SID = "session-1"


def test_program_sees_what_python_shows_it(twins: Twins) -> None:
    """Arguments, ``__main__``, the import path, standard input and loggers are python's."""
    source = """
        import json, logging, sys
        import helper
        main = sys.modules["__main__"]
        print(json.dumps({
            "name": __name__, "file": __file__, "argv": sys.argv, "orig": sys.orig_argv[1:],
            "spec": repr(__spec__), "path": sys.path, "same": main.__dict__ is globals(),
            "stdin": sys.stdin.read(), "helper": helper.__file__,
            "handlers": repr(logging.getLogger().handlers), "level": logging.getLogger().level,
            "site": "sitecustomize" in sys.modules, "hook": sys.excepthook is sys.__excepthook__,
        }))
    """
    twins.write("", "helper.py")
    done = twins.same(source, "--level", "-m", "--", "--root", "x", stdin="typed\n")
    seen = json.loads(done.stdout)
    assert ["program.py", "--level", "-m", "--", "--root", "x"] == seen["argv"]
    assert ("__main__", True, "typed\n") == (seen["name"], seen["same"], seen["stdin"])


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ("pass", 0),
        ("raise SystemExit", 0),
        ("sys.exit(3)", 3),
        ("sys.exit('a reason')", 1),
        ("sys.exit(None)", 0),
        ("os._exit(7)", 7),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    ],
)
def test_exit_status_is_the_programs(twins: Twins, statement: str, status: int) -> None:
    """However a program ends, whoever started it sees the same status and output."""
    done = twins.same(f"import os, signal, sys\n{statement}\n", "argument")
    assert status == done.returncode
    assert [] == twins.logs()


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_process_pools_find_main_and_are_captured(twins: Twins, method: str) -> None:
    """What ``__main__`` defines can be pickled to worker processes, and their lines are here."""
    source = f"""
        import logging, multiprocessing
        class Point:
            def __init__(self, x): self.x = x
        def work(point):
            logging.getLogger("pool").warning("point %d", point.x)
            return Point(point.x * 2)
        if __name__ == "__main__":
            with multiprocessing.get_context("{method}").Pool(1) as pool:
                print([point.x for point in pool.map(work, [Point(1), Point(2)])])
    """
    # Coverage may be saving when the pool ends its workers, and say so.
    done = twins.same(source, COVERAGE_PROCESS_CONFIG="")
    assert "[2, 4]\n" == done.stdout
    assert ["point 1", "point 2"] == [row["message"] for row in twins.logs()]


def test_children_continue_the_session(twins: Twins) -> None:
    """A program started by the program finds the session's ID, and is captured."""
    twins.write("import logging; logging.getLogger('child').warning('hi')", "child.py")
    source = """
        import os, subprocess, sys
        print(os.environ["TRACECTRL_SESSION_ID"])
        subprocess.run([sys.executable, "child.py"], check=True, cwd=os.getcwd())
    """
    twins.write(source)
    done = twins.run("program.py")
    assert (0, f"{SID}\n", "hi\n") == (done.returncode, done.stdout, done.stderr)
    assert [("WARNING", "child", "hi")] == twins.messages()


def test_module_runs_as_with_python_m(twins: Twins) -> None:
    """``-m`` runs a module of a package: its spec, its relative imports, its path and arguments."""
    twins.write("", "package/__init__.py")
    twins.write("VALUE = 5", "package/other.py")
    source = """
        import logging, sys
        from .other import VALUE
        logging.getLogger(__package__).warning("value %d", VALUE)
        print(__name__, __spec__.name, sys.argv[1:], sys.path[0])
        if "crash" in sys.argv: raise KeyError(VALUE)
    """
    twins.write(source, "package/tool.py")
    for args in ([], ["-m", "--level", "x"], ["crash"]):
        alone = twins.start(sys.executable, "-m", "package.tool", *args)
        done = twins.run("-m", "package.tool", *args)
        assert (alone.returncode, alone.stdout, alone.stderr) == (
            done.returncode,
            done.stdout,
            done.stderr,
        )
    assert ("WARNING", "package", "value 5") == twins.messages()[0]
    assert ("CRITICAL", "tracectrl.run", "uncaught KeyError") == twins.messages()[-1]


def test_uninstall_puts_everything_back(
    root: Path, read_lines: Callable[[Any], list[dict[str, Any]]]
) -> None:
    """What a capture replaced is there again, save what somebody has put on top since."""
    owners = {
        logging.Logger: ["isEnabledFor", "callHandlers"],
        structlog.BoundLoggerBase: ["_processors"],
        trace: ["_set_tracer_provider"],
        trace.ProxyTracer: ["__init__"],
        sys: ["excepthook", "__excepthook__"],
        threading: ["excepthook", "__excepthook__"],
        SessionFileHandler: ["__init__"],
        SessionFileLoggerFactory: ["__init__"],
        Appender: ["__init__"],
    }
    names = [(owner, name) for owner, some in owners.items() for name in some]
    before = [vars(owner).get(name) for owner, name in names]
    hook = sys.excepthook
    capture = Capture(SID, root)
    capture.install()
    try:
        assert not any(
            vars(owner).get(name) is was for (owner, name), was in zip(names, before, strict=True)
        )
        logging.getLogger("app").info("captured")
        mine = sys.excepthook = lambda *_: None
    finally:
        capture.uninstall()
    assert mine is sys.excepthook
    sys.excepthook = hook
    assert before == [vars(owner).get(name) for owner, name in names]
    logging.getLogger("app").warning("not captured")
    assert ["captured"] == [row["message"] for row in read_lines(root / f"{SID}.logs.jsonl")]


def test_requests_have_sessions_of_their_own(twins: Twins) -> None:
    """The session of ``run`` is the program's; each request that brings none has its own."""
    source = """
        import asyncio, logging
        from tracectrl.middleware import SessionMiddleware, SessionWSGIMiddleware
        log = logging.getLogger("app")
        async def app(scope, receive, send):
            log.warning("asgi")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        async def send(message): pass
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        for _ in range(2): asyncio.run(SessionMiddleware(app)(dict(scope), None, send))
        def wsgi(environ, start):
            log.warning("wsgi")
            start("200 OK", [])
            return [b""]
        for _ in range(2):
            answer = SessionWSGIMiddleware(wsgi)({}, lambda *_: None)
            list(answer)
            answer.close()
        log.warning("program")
    """
    twins.same(source)
    assert ["program"] == [row["message"] for row in twins.logs()]
    others = [path for path in twins.root.iterdir() if not path.name.startswith(SID)]
    assert [1] * 4 == [len(path.read_text().splitlines()) for path in others]
