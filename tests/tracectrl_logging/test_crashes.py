"""What nobody catches is a line in the session it was raised in, and ends the program as without us."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files import log_path
from tracectrl.session import session
from tracectrl_logging import configure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.tracectrl_logging.conftest import Twins

    Crash = Callable[..., list[tuple[str, str, str]]]

BEGIN = """
import asyncio, contextvars, gc, logging, sys, threading
from concurrent.futures import ThreadPoolExecutor
from tracectrl.session import leave_finalizers_out, session, set_session_id
from tracectrl.workers import carry, pack, unpack
from tracectrl_logging import configure
"""

DUMPED = re.compile(r"(object (?:address|refcount|type) *: ).*")
CONFIGURE = "configure(sys.argv[1], console=None, log_uncaught_exceptions=sys.argv[2] == 'yes')"


# --- configure() ----------------------------------------------------------------------------------


@pytest.fixture
def crash(tmp_path: Path, read_lines: Callable[[Path], list[dict[str, Any]]]) -> Crash:
    """Return what runs a program with and without the hooks, which differ in the files alone.

    The result is session, level and exception of each line.
    """

    def run(source: str, *, status: int = 1, set_up: str = CONFIGURE) -> list[tuple[str, str, str]]:
        program = tmp_path / "program.py"
        program.write_text(f"{BEGIN}{set_up}\n{textwrap.dedent(source)}", encoding="utf-8")
        ends = []
        for hooks in ("no", "yes"):
            done = subprocess.run(
                [sys.executable, str(program), str(tmp_path / hooks), hooks],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert status == done.returncode, done.stderr
            # What the interpreter prints of an exception that it cannot print: not the same twice.
            ends.append((done.stdout, DUMPED.sub(r"\1", done.stderr)))
        assert ends[0] == ends[1]
        paths = sorted((tmp_path / "yes").glob("*.logs.jsonl"))
        rows = [row for path in paths for row in read_lines(path)]
        return [(row["session_id"], row["level"], row["exception"]["message"]) for row in rows]

    return run


MAIN = {
    "raise ValueError('boom')": "unknown",
    "set_session_id('s'); raise ValueError('boom')": "s",
    "with session('s'): raise ValueError('boom')": "s",
    "with session('outer'), session('s'): raise ValueError('boom')": "s",
    "with session('s'): set_session_id('t'); raise ValueError('boom')": "t",
    "@session('s')\ndef f(): raise ValueError('boom')\nf()": "s",
    "@session('s')\ndef f(): yield 1; raise ValueError('boom')\nlist(f())": "s",
    "with session('s'): f = carry(lambda: {}['boom'])\nf()": "s",
    "def g(): yield 1; {}['boom']\nwith session('s'): f = carry(g)\nlist(f())": "s",
    "with session('s'): contextvars.copy_context().run(int, 'boom')": "s",
    "with session('s'): message = pack({})\nwith unpack(message): int('boom')": "s",
}

TASKS = {
    "set_session_id('s'); raise ValueError('boom')": "s",
    "with session('s'): raise ValueError('boom')": "s",
    "set_session_id('outer')\n with session('s'): raise ValueError('boom')": "s",
    "await asyncio.create_task(fail())": "s",
    "with session('outer'): await asyncio.gather(fail(), asyncio.sleep(0))": "s",
    "with session('s'): await asyncio.to_thread(int, 'boom')": "s",
}

ASYNC = """
async def fail():
    with session("s"): raise ValueError("boom")
async def main():
 {}
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "expected",
    [MAIN, {ASYNC.format(body): sid for body, sid in TASKS.items()}],
    ids=["main", "tasks"],
)
def test_session_of_the_raise(tmp_path: Path, expected: dict[str, str], read_lines: Any) -> None:
    """A crash is one line in the session of the raise, whose blocks and tasks are over by then."""
    source = f"""{BEGIN}
import json, os
for number, source in enumerate(json.loads(sys.argv[1])):
    if not os.fork():
        break
    assert os.wait()[1]
else:
    sys.exit()
configure(str(number), console=None)
exec(source)
"""
    subprocess.run(
        [sys.executable, "-c", source, json.dumps([*expected])],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
    )
    found = {}
    for number, body in enumerate(expected):
        [path] = (tmp_path / str(number)).iterdir()
        [row] = read_lines(path)
        assert ("CRITICAL", "tracectrl.crash") == (row["level"], row["logger"])
        assert "boom" in row["exception"]["message"]
        found[body] = row["session_id"]
    assert expected == found


def test_exception_that_was_handled_and_is_raised_anew(crash: Crash) -> None:
    """The session of the last raise counts, not the one that the exception left before."""
    source = """
        error = ValueError("boom")
        try:
            with session("first"):
                raise error
        except ValueError:
            pass
        with session("second"):
            raise error
    """
    assert [("second", "CRITICAL", "boom")] == crash(source)


def test_exception_that_is_made_once(crash: Crash) -> None:
    """One that was raised and handled in a session, and is raised anew in none, is in no stranger's."""
    source = """
        CLOSED = ConnectionError("closed")
        def receive():
            raise CLOSED
        async def serve():
            with session("strangers"):
                receive()
        for serving in (receive, carry(receive), lambda: asyncio.run(serve())):
            try:
                with session("strangers"):
                    serving()
            except ConnectionError:
                pass
        receive()
    """
    assert [("unknown", "CRITICAL", "closed")] == crash(source)


def test_exception_that_is_handed_on(crash: Crash) -> None:
    """A future that raises what it was given, and who raises what it caught, raise nothing anew."""
    source = """
        def work():
            try:
                with session("s"), ThreadPoolExecutor(1) as pool:
                    pool.submit(carry(int), "boom").result()
            except ValueError as error:
                raise error
        work()
    """
    [(sid, _, _)] = crash(source)
    assert "s" == sid


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.11 has the first task groups")
@pytest.mark.parametrize(
    ("around", "expected"),
    [
        ("nullcontext()", ["a: error in a", "b: error in b", "unknown: unhandled errors"]),
        ("session('m')", ["a: error in a", "b: error in b", "m: unhandled errors"]),
    ],
)
def test_task_group(crash: Crash, around: str, expected: list[str]) -> None:
    """A group is a line in its session, and what is in it in the sessions of the tasks."""
    source = f"""
from contextlib import nullcontext
async def work(sid):
    with session(sid):
        raise ValueError("error in " + sid)
async def main():
    with {around}:
        async with asyncio.TaskGroup() as group:
            group.create_task(work("a"))
            group.create_task(work("b"))
asyncio.run(main())
"""
    rows = crash(source)
    assert expected == [f"{sid}: {message.partition(' in a Task')[0]}" for sid, _, message in rows]
    assert {"CRITICAL"} == {level for _, level, _ in rows}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.11 has the first task groups")
def test_task_group_of_one_session(crash: Crash) -> None:
    """A group all of whose exceptions are of one session is one line, in that."""
    source = """
        async def work():
            with session("a"):
                raise ValueError("boom")
        async def main():
            async with asyncio.TaskGroup() as group:
                group.create_task(work())
        asyncio.run(main())
    """
    [(sid, _, message)] = crash(source)
    assert ("a", True) == (sid, message.startswith("unhandled errors"))


def test_thread(crash: Crash) -> None:
    """A thread that ends by an exception is a line in its session; the program goes on."""
    source = """
        def work():
            set_session_id("t")
            raise ValueError("boom")
        def leave():
            sys.exit(3)
        for fn in (work, leave, carry(work)):
            thread = threading.Thread(target=fn)
            thread.start()
            thread.join()
    """
    assert [("t", "CRITICAL", "boom")] * 2 == crash(source, status=0)


NEVER_AWAITED = """
class Owner:
    pass
async def fail():
    raise ValueError("boom")
async def fail_elsewhere():
    with session("t"):
        raise ValueError("boom")
async def main(coroutine, is_cycle):
    owner = Owner()
    owner.itself = owner if is_cycle else None
    with session("s"):
        owner.task = asyncio.create_task(coroutine())
    del coroutine
    await asyncio.sleep(0.01)
    with session("stranger"):
        del owner
        gc.collect()
for coroutine in (fail, fail_elsewhere):
    for is_cycle in (False, True):
        RUN(main(coroutine, is_cycle))
"""


@pytest.mark.parametrize("leaves_out", [False, True])
def test_task_that_nobody_awaits(tmp_path: Path, leaves_out: bool, read_lines: Any) -> None:  # noqa: FBT001
    """What asyncio logs of it is in the task's session, whoever's turn it is, the collector's too."""
    begin = f"{BEGIN}configure(sys.argv[1])\n" + "leave_finalizers_out()\n" * leaves_out
    source = begin + NEVER_AWAITED.replace("RUN", "asyncio.run")
    subprocess.run([sys.executable, "-c", source, tmp_path], check=True, capture_output=True)
    for sid in "st":
        rows = read_lines(log_path(sid, tmp_path))
        assert [("asyncio", "ERROR", "ValueError")] * 2 == [
            (row["logger"], row["level"], row["exception"]["type"]) for row in rows
        ]
    assert ["s.logs.jsonl", "t.logs.jsonl"] == sorted(os.listdir(tmp_path))


def test_event_loop_that_is_made_elsewhere(tmp_path: Path, read_lines: Any) -> None:
    """A loop whose class comes later, and is none of asyncio's, tells of its tasks alike."""
    source = f"""{BEGIN}
configure(sys.argv[1])
class Inner(asyncio.SelectorEventLoop):  # stands for a loop in C, with methods of its own
    pass
class Loop(Inner, asyncio.AbstractEventLoop):
    def call_exception_handler(self, context):
        logging.getLogger("loop").error("mine", exc_info=context["exception"])
loop = Loop()
{NEVER_AWAITED.replace("RUN", "loop.run_until_complete")}
loop.close()
"""
    subprocess.run([sys.executable, "-c", source, tmp_path], check=True, capture_output=True)
    assert ["mine", "mine"] == [row["message"] for row in read_lines(log_path("s", tmp_path))]


@pytest.mark.parametrize("ending", ["sys.exit(3)", "raise SystemExit(3)"])
def test_exit_is_no_crash(crash: Crash, ending: str) -> None:
    """A program that ends itself leaves no line."""
    assert [] == crash(f"with session('s'): {ending}", status=3)


def test_interrupt_is_no_crash(crash: Crash) -> None:
    """Who presses Ctrl-C knows."""
    source = "import os, signal\nwith session('s'): os.kill(os.getpid(), signal.SIGINT)"
    assert [] == crash(source, status=-signal.SIGINT)


@pytest.mark.parametrize("set_up", [CONFIGURE, ""])
def test_other_hooks(crash: Crash, set_up: str) -> None:
    """A hook of others, put before ours or behind, is called once, and the line is there once."""
    hook = """
def hooked(before):
    def hook(*args):
        sys.stdout.write("hooked;")
        before(*args)
    return hook
sys.excepthook = hooked(sys.excepthook)
threading.excepthook = hooked(threading.excepthook)
"""
    source = f"""{hook}{"" if set_up else CONFIGURE}
def work():
    raise ValueError("in a thread")
thread = threading.Thread(target=work)
thread.start()
thread.join()
with session("s"):
    raise ValueError("boom")
"""
    assert [("s", "CRITICAL", "boom"), ("unknown", "CRITICAL", "in a thread")] == crash(
        source, set_up=set_up
    )


def test_hook_that_calls_no_other(crash: Crash) -> None:
    """A hook that replaces ours hides the crash from stderr, and not from the file."""
    source = """
        sys.excepthook = lambda kind, error, traceback: print("mine:", error)
        with session("s"):
            raise ValueError("boom")
    """
    assert [("s", "CRITICAL", "boom")] == crash(source)


def test_thread_hook_that_calls_no_other(crash: Crash) -> None:
    """A hook that replaces ours hides the crash of a thread from stderr, and not from the file."""
    source = """
        threading.excepthook = lambda args: print("mine:", args.exc_value)
        def work():
            with session("s"):
                raise ValueError("boom")
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    """
    assert [("s", "CRITICAL", "boom")] == crash(source, status=0)


def test_exception_that_is_left_for_a_debugger(crash: Crash) -> None:
    """What was caught, as a test runner does, and left in sys.last_value ended nothing."""
    source = """
        hook = sys.excepthook
        sys.excepthook = lambda *args: hook(*args)
        def run():
            try:
                int("boom")
            except ValueError as error:
                sys.last_value = error
        run()
    """
    assert [] == crash(source, status=0)


def test_hook_that_is_called_by_hand(crash: Crash) -> None:
    """A program that shows each failure by the hook, and goes on, has a line for each."""
    source = """
        for number in range(3):
            try:
                with session("s"):
                    raise ValueError(str(number))
            except ValueError:
                sys.excepthook(*sys.exc_info())
    """
    assert [("s", "CRITICAL", str(number)) for number in range(3)] == crash(source, status=0)


WITH = f"with {CONFIGURE}, session('s'):"


def test_leaving_the_with_block_of_configure(crash: Crash) -> None:
    """An exception that ends the program by way of ``with configure()`` is a line."""
    assert [("s", "CRITICAL", "boom")] == crash(f"{WITH} raise ValueError('boom')", set_up="")


def test_caught_outside_of_the_with_block_of_configure(crash: Crash) -> None:
    """An exception that is caught behind ``with configure()`` is none, nor is a later one."""
    source = f"try:\n {WITH} raise ValueError('x')\nexcept ValueError: pass\nraise KeyError('x')"
    assert [] == crash(source, set_up="")


def test_strange_exceptions(crash: Crash) -> None:
    """An exception that takes no attribute and answers no question ends the program as ever."""
    source = """
        class Strange(Exception):
            __hash__ = None
            def __eq__(self, other):
                raise RuntimeError
            def __setattr__(self, name, value):
                raise RuntimeError
            def __getattr__(self, name):
                raise RuntimeError(name)
        with session("s"):
            raise Strange("boom")
    """
    assert [("s", "CRITICAL", "boom")] == crash(source)


def test_hooks_go_with_the_configuration(root: Path) -> None:
    """``shutdown`` puts every hook back, and a second ``configure`` adds none."""

    def hooks() -> tuple[object, ...]:
        loops = asyncio.AbstractEventLoop
        watched = [vars(kind).get("call_exception_handler") for kind in loops.__subclasses__()]
        return (
            *(getattr(it, name) for it in (sys, threading) for name in ("excepthook", HIDDEN)),
            vars(loops).get("__init_subclass__"),
            *watched,
        )

    before = hooks()
    configure(root, console=None, log_uncaught_exceptions=False)
    assert before == hooks()
    configure(root, console=None)
    first = hooks()
    assert not {id(it) for it in before if it is not None} & {id(it) for it in first}
    configure(root, console=None).shutdown()
    assert before == hooks()


HIDDEN = "__excepthook__"


def test_nothing_shows_on_the_exception(root: Path) -> None:
    """An exception that leaves a session and the set-up has no attribute more, and lives no longer."""

    class Failure(Exception):  # noqa: N818 - stands for any
        pass

    with pytest.raises(Failure) as caught, configure(root, console=None), session("s"):
        raise Failure
    assert {} == vars(caught.value)
    alive = weakref.ref(caught.value)
    del caught
    gc.collect()
    assert alive() is None


# --- run ------------------------------------------------------------------------------------------


def test_crash_prints_the_programs_traceback_and_is_logged(twins: Twins) -> None:
    """An uncaught exception looks as under python, and is one line in the session's file."""
    done = twins.same("def f():\n    return 1 / 0\n\nf()\n")
    assert 1 == done.returncode
    assert "tracectrl" not in done.stderr
    [row] = twins.logs()
    assert ("CRITICAL", "tracectrl.run") == (row["level"], row["logger"])
    assert "uncaught ZeroDivisionError" == row["message"]
    assert ("ZeroDivisionError", "division by zero") == (
        row["exception"]["type"],
        row["exception"]["message"],
    )
    assert done.stderr.rstrip("\n") == row["exception"]["stacktrace"]


def test_crash_is_logged_where_the_program_has_its_own_hook(twins: Twins) -> None:
    """A hook that does not call the one before it does not hide the crash from the file."""
    source = """
        import sys
        sys.excepthook = lambda kind, error, traceback: print("mine:", error)
        raise ValueError("boom")
    """
    done = twins.same(source)
    assert ("mine: boom\n", 1) == (done.stdout, done.returncode)
    assert [("CRITICAL", "tracectrl.run", "uncaught ValueError")] == twins.messages()


def test_crash_is_logged_where_the_program_has_a_handler_of_ours(twins: Twins) -> None:
    """Nobody logs the exception that ends the program: the line is there, once."""
    source = """
        import logging, tracectrl_logging
        logging.getLogger().addHandler(tracectrl_logging.SessionFileHandler())
        logging.getLogger("app").warning("once")
        raise ValueError("boom")
    """
    twins.same(source)
    assert [
        ("WARNING", "app", "once"),
        ("CRITICAL", "tracectrl.run", "uncaught ValueError"),
    ] == twins.messages()


def test_ctrl_c_is_pythons(twins: Twins) -> None:
    """A KeyboardInterrupt kills the program by SIGINT, as python does, and is a WARNING line."""
    source = """
        import os, signal, time
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)
    """
    done = twins.same(source)
    assert -signal.SIGINT == done.returncode
    assert [("WARNING", "tracectrl.run", "interrupted")] == twins.messages()


def test_threads_are_awaited_and_exit_handlers_run(twins: Twins) -> None:
    """Lines of threads, and of atexit handlers after the last thread, belong to the session."""
    source = """
        import atexit, logging, threading
        log = logging.getLogger("app")
        main_is_done = threading.Event()
        def work():
            main_is_done.wait()
            log.warning("from the thread")
            raise RuntimeError("in the thread")
        atexit.register(lambda: log.warning("at exit"))
        threading.Thread(target=work, name="worker").start()
        threading.current_thread().join = None
        main_is_done.set()
    """
    done = twins.same(source)
    assert 0 == done.returncode
    assert [
        ("WARNING", "app", "from the thread"),
        ("CRITICAL", "tracectrl.run", "uncaught RuntimeError in thread worker"),
        ("WARNING", "app", "at exit"),
    ] == twins.messages()


def test_crash_is_one_line_where_the_program_calls_configure(twins: Twins) -> None:
    """The program's own set-up has the line; ``run`` adds none."""
    source = """
        import sys
        from tracectrl.session import session
        from tracectrl_logging import configure
        configure("traces", console=None)
        with session("inner"):
            raise ValueError("boom")
    """
    twins.same(source)
    assert [] == twins.logs()
    assert ["uncaught ValueError"] * 2 == [row["message"] for row in twins.logs("inner")]


def test_task_that_nobody_awaits_is_in_its_session(twins: Twins) -> None:
    """What asyncio logs of a task goes to the session that the task ran in."""
    source = """
        import asyncio
        from tracectrl.session import session
        async def fail():
            raise ValueError("boom")
        async def main():
            with session("inner"):
                task = asyncio.create_task(fail())
            await asyncio.sleep(0.01)
            with session("stranger"):
                del task
        asyncio.run(main())
    """
    twins.write(source)
    twins.run("program.py")
    assert ["asyncio"] == [row["logger"] for row in twins.logs("inner")]
