"""Where a descriptor stands: both ways to ask give the same answer."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tracectrl.files.names import LOG_SUFFIX
from tracectrl.files.write import position
from tracectrl.files.write.appender import Appender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tracectrl.files.write.position import Seek


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    position.held_seek.cache_clear()
    yield
    position.held_seek.cache_clear()


def ways() -> list[Seek]:
    """Return what is used with one thread and with two."""
    return [os.lseek, position.held_seek()]


def test_both_ways_say_the_same(tmp_path: Path) -> None:
    """At the start, at the end, in between and past four gigabytes."""
    path = tmp_path / "file"
    with path.open("wb", buffering=0) as file:
        fd = file.fileno()
        one, other = ways()
        assert one is not other
        for size in (0, 10, (1 << 32) + 7):
            os.truncate(fd, size)
            for place in (0, size // 2, size):
                os.lseek(fd, place, os.SEEK_SET)
                assert place == one(fd, 0, os.SEEK_CUR) == other(fd, 0, os.SEEK_CUR)
            assert size == other(fd, 0, os.SEEK_END) == one(fd, 0, os.SEEK_CUR)


def test_a_descriptor_that_is_closed() -> None:
    """No exception that nobody waits for: -1, or an OSError."""
    _, other = ways()
    with contextlib.suppress(OSError):
        assert -1 == other(-1, 0, os.SEEK_CUR)


@pytest.mark.parametrize("error", [OSError, AttributeError, TypeError, MemoryError, RuntimeError])
def test_without_ctypes(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the C library cannot be called, os.lseek does it."""

    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr(ctypes, "PyDLL", refuse)
    assert [os.lseek, os.lseek] == ways()


def test_where_it_answers_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried before it is trusted."""
    monkeypatch.setattr(position, "_is_right", lambda _: False)
    assert [os.lseek, os.lseek] == ways()


def test_half_a_line_of_another_process_among_threads(root: Path) -> None:
    """The line that it swallowed is written again, whichever way the position is asked for."""
    appender = Appender(root, LOG_SUFFIX)
    path = root / "s.logs.jsonl"
    for seek in ways():
        appender.append("s", b"1\n")
        appender._lseek = seek
        with path.open("ab") as other:
            other.write(b"half")
        appender.append("s", b"2\n")
    assert b"1\nhalf2\n2\n" * 2 == path.read_bytes()


def test_half_a_line_in_another_file_of_the_same_size(root: Path) -> None:
    """A file that was closed is known by its number, too: another's half line costs itself only."""
    appender = Appender(root, LOG_SUFFIX, max_open_files=1)
    path = root / "s.logs.jsonl"
    appender.append("s", b"1234\n")
    appender.append("other", b"1\n")
    (root / "new").write_bytes(b"half-")
    (root / "new").replace(path)
    appender.append("s", b"2\n")
    assert b"half-\n2\n" == path.read_bytes()


def test_an_import_that_logs(root: Path, run_python: Callable[..., str]) -> None:
    """ctypes is imported when the appender is made: later, under a file's lock, both would wait."""
    source = (
        "import sys, threading, time\n"
        "from tracectrl.files.write.appender import Appender\n"
        f"appender = Appender({str(root)!r}, '.logs.jsonl')\n"
        "class Hook:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'late':\n"
        "            time.sleep(0.7)\n"
        "            appender.append('s', b'of the hook\\n')\n"
        "def work():\n"
        "    while True:\n"
        "        appender.append('s', b'of the thread\\n')\n"
        "        time.sleep(0.01)\n"
        "appender.append('s', b'first\\n')\n"
        "assert 'ctypes' in sys.modules\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "sys.meta_path.insert(0, Hook)\n"
        "try:\n"
        "    import late\n"
        "except ImportError:\n"
        "    print('done')\n"
    )
    assert "done\n" == run_python(source)


SEEKS = """
import os, sys, threading
from opentelemetry.sdk.trace import TracerProvider
from tracectrl.exporter import FileSpanExporter
from tracectrl.files.write.position import best_seek, held_seek
from tracectrl.processor import SessionSpanProcessor

provider = TracerProvider(shutdown_on_exit=False)
exporter = FileSpanExporter(sys.argv[1], open_spans_after_s=30)
provider.add_span_processor(SessionSpanProcessor(exporter))
span = provider.get_tracer("x").start_span("x")
assert threading.active_count() == 2
while best_seek() is not os.lseek:  # the thread says so itself
    pass
stop = threading.Event()
other = threading.Thread(target=stop.wait)
other.start()
assert best_seek() is held_seek()
stop.set()
other.join()
assert best_seek() is os.lseek
exporter.shutdown()
"""


def test_a_thread_that_waits_for_open_spans_counts_as_none(tmp_path: Path) -> None:
    """Its program has one thread that writes, for which the plain call is the quicker one."""
    command = [sys.executable, "-c", SEEKS, str(tmp_path / "traces")]
    assert 0 == subprocess.run(command, check=False, timeout=60).returncode
