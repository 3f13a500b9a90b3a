"""``configure(retention=...)``: old sessions go, and the application notices nothing."""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.session import session
from tracectrl_logging import configure, dict_config, retention
from tracectrl_logging.retention import Limits, Pruner, age_s, limits, size_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY = 86400


@pytest.fixture
def old(root: Path) -> Callable[[str], Path]:
    """Return the function that makes the log file of a session of two days ago."""
    root.mkdir()

    def make(sid: str) -> Path:
        path = root / f"{sid}.logs.jsonl"
        path.write_bytes(b"{}\n")
        os.utime(path, (time.time() - 2 * DAY,) * 2)
        return path

    return make


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until *condition* holds, ten seconds at most."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def threads() -> list[str]:
    """Return the names of the threads that prune."""
    return [it.name for it in threading.enumerate() if it.name == "tracectrl-retention"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("30s", 30.0),
        ("10m", 600.0),
        ("12h", 43200.0),
        ("7d", 604800.0),
        ("2w", 1209600.0),
        ("1.5 h", 5400.0),
        (90, 90.0),
        (0.5, 0.5),
        (timedelta(days=1, seconds=1), 86401.0),
    ],
)
def test_ages(given: Any, expected: float) -> None:
    """An age is text with a unit, a number of seconds, or a timedelta."""
    assert expected == age_s(given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("500KB", 500_000),
        ("10GB", 10**10),
        ("1GiB", 2**30),
        ("2 mib", 2**21),
        ("1.5kB", 1500),
        ("3TB", 3 * 10**12),
        ("1tib", 2**40),
        ("1000", 1000),
        ("12b", 12),
        (7, 7),
    ],
)
def test_sizes(given: Any, expected: int) -> None:
    """A size is text, in powers of 1000 or 1024, or a number of bytes."""
    assert expected == size_bytes(given)


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({}, ValueError, "needs one of older_than, max_total, keep"),
        ({"keep": None}, ValueError, "needs one of"),
        ({"older": "7d"}, ValueError, "be of older_than, max_total, keep, got 'older'"),
        ("7d", TypeError, "a dict like .*, got str '7d'"),
        ({"older_than": "7"}, ValueError, "older_than must be a number with a unit, .* got '7'"),
        ({"older_than": "7 parsecs"}, ValueError, "as in 30s, 10m"),
        ({"older_than": "-7d"}, ValueError, "got '-7d'"),
        ({"older_than": -1}, ValueError, "older_than must be 0 or more, got -1"),
        ({"older_than": timedelta(-1)}, ValueError, "0 or more"),
        ({"older_than": float("nan")}, ValueError, "got nan"),
        ({"older_than": True}, TypeError, "got bool True"),
        ({"older_than": [1]}, TypeError, "seconds or a timedelta, got list"),
        ({"max_total": "10XB"}, ValueError, "max_total must be a number of bytes, .* got '10XB'"),
        ({"max_total": 1.5}, TypeError, "max_total must be .*, got float 1.5"),
        ({"max_total": -1}, ValueError, "max_total must be 0 or more"),
        ({"keep": "5"}, TypeError, "keep must be a whole number, got str '5'"),
        ({"keep": -5}, ValueError, "keep must be 0 or more, got -5"),
        ({"keep": True}, TypeError, "got bool"),
    ],
)
def test_bad_values(given: Any, error: type[Exception], match: str, root: Path) -> None:
    """A bad value raises in ``configure()``, names itself and the mend, and nothing is set up."""
    with pytest.raises(error, match=match):
        limits(given)
    with pytest.raises(error, match=match):
        configure(root, console=None, spans=False, retention=given)
    assert (False, []) == (root.exists(), threads())


def test_limits() -> None:
    """What is given is understood, the rest is off."""
    assert Limits(604800.0, 10**10, 1000) == limits(
        {"older_than": "7d", "max_total": "10GB", "keep": 1000}
    )
    assert Limits(keep=0) == limits({"keep": 0, "max_total": None})


def test_configure(root: Path, old: Callable[[str], Path]) -> None:
    """Old sessions go at once, on one daemon thread that ends with ``shutdown()``."""
    path = old("a")
    with configure(root, console=None, spans=False, retention={"older_than": "1d"}):
        with session("b"):
            logging.getLogger("app").warning("hello")
        wait_until(lambda: not path.exists())
        assert ["tracectrl-retention"] == threads()
        assert all(it.daemon for it in threading.enumerate() if it.name == threads()[0])
        configure(root, console=None, spans=False, retention={"keep": 5})
        assert 1 == len(threads())
        configure(root, console=None, spans=False).shutdown()
        assert [] == threads()
    assert ["b.logs.jsonl"] == os.listdir(root)


def test_off_by_default(root: Path, old: Callable[[str], Path]) -> None:
    """Without the option there is no thread and nothing is removed; dictConfig has none."""
    path = old("a")
    with configure(root, console=None, spans=False):
        assert [] == threads()
    assert path.exists()
    assert "retention" not in str(dict_config(root))


def test_sessions_of_this_process_stay(root: Path) -> None:
    """What the process itself writes is not removed, whatever the limits."""
    with configure(root, console=None, spans=False, retention={"keep": 0, "older_than": 0}) as it:
        with session("a"):
            logging.getLogger("app").warning("hello")
        pruner = Pruner(str(root), Limits(keep=0), it.shutdown)
        pruner.stop()
        assert ["a.logs.jsonl"] == os.listdir(root)


def test_again_and_again(
    root: Path, old: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks again about every minute, and later where looking takes long."""
    monkeypatch.setattr(retention, "EVERY_S", 0.01)
    pruner = Pruner(str(root), Limits(older_than_s=DAY), pytest.fail)
    for sid in ("a", "b"):
        old(sid)
        wait_until(lambda: not os.listdir(root))
    pruner.stop()
    assert [] == threads()

    waits: list[float] = []

    class Watch(threading.Event):
        """Says how long it is waited for, and does not."""

        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0)
            return True

    monkeypatch.setattr(threading, "Event", Watch)
    monkeypatch.setattr(retention, "prune", lambda *_, **__: time.sleep(0.05))
    Pruner(str(root), Limits(keep=0), pytest.fail)
    wait_until(lambda: max(waits) >= 20 * 0.05)


def test_failures(
    root: Path, old: Callable[[str], Path], capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """A failure is reported once, through the handler's ``handleError``; logging goes on."""
    monkeypatch.setattr(retention, "EVERY_S", 0.01)
    path = old("a")
    unlink, calls = os.unlink, []

    def refuse(name: str, *, dir_fd: int) -> None:
        calls.append(name)
        if len(calls) < 5:
            raise PermissionError(1, "Operation not permitted", name)
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refuse)
    with configure(root, console=None, spans=False, retention={"older_than": "1d"}):
        wait_until(lambda: not path.exists())
        logging.getLogger("app").warning("hello")
    said = capsys.readouterr().err
    assert 1 == said.count("--- Logging error ---")
    assert "PermissionError: [Errno 1] Operation not permitted" in said
    assert "old sessions cannot be removed" in said
    assert ["unknown.logs.jsonl"] == os.listdir(root)


def test_failures_of_the_report(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that raises does not end the thread; a root that is gone is no failure."""
    monkeypatch.setattr(retention, "EVERY_S", 0.01)
    reports: list[int] = []
    prunings: list[int] = []

    def report() -> None:
        reports.append(1)
        raise RuntimeError

    def fail(*_: object, **__: object) -> None:
        prunings.append(1)
        if len(prunings) == 1:
            raise FileNotFoundError
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(retention, "prune", fail)
    pruner = Pruner(str(root), Limits(keep=0), report)
    wait_until(lambda: len(prunings) > 3)
    pruner.stop()
    assert [1] == reports


def test_ending_in_the_middle(
    root: Path, old: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``shutdown()`` does not wait until everything is removed."""
    for number in range(100):
        old(f"s{number}")
    unlink, started = os.unlink, threading.Event()

    def slowly(name: str, *, dir_fd: int) -> None:
        started.set()
        time.sleep(0.1)
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", slowly)
    pruner = Pruner(str(root), Limits(older_than_s=DAY), pytest.fail)
    assert started.wait(10)
    start = time.monotonic()
    pruner.stop()
    assert time.monotonic() - start < 2
    assert [] == threads()
    assert len(os.listdir(root)) > 50


def test_fork(root: Path, run_python: Callable[..., str]) -> None:
    """A forked child does not prune, and can shut down; the interpreter ends by itself."""
    source = """if True:
        import os, sys, threading
        from tracectrl_logging import configure
        it = configure(sys.argv[1], console=None, spans=False, retention={"keep": 0})
        if (pid := os.fork()) == 0:
            print(sum(t.name == "tracectrl-retention" for t in threading.enumerate()), flush=True)
            it.shutdown()
            os._exit(0)
        os.waitpid(pid, 0)
        print(sum(t.name == "tracectrl-retention" for t in threading.enumerate()))
    """
    assert "0\n1\n" == run_python(source, str(root), PYTHONWARNINGS="ignore")
