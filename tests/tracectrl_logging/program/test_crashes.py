"""What ends a captured program is a line in its session, and ends it as without us."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.tracectrl_logging.conftest import Twins


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
