"""tracectrl.session_events: lines about the beginning and the end of a session's block."""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files import log_path
from tracectrl.session import current_session_id, session
from tracectrl_logging import configure
from tracectrl_logging.reader import query, sessions

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path


LOG = logging.getLogger("app")


@pytest.fixture(autouse=True)
def _configured(root: Path) -> Iterator[None]:
    configuration = configure(root, console=None, spans=False)
    yield
    configuration.shutdown()


def rows(root: Path, sid: str = "s") -> list[dict[str, Any]]:
    """Return the log lines of a session."""
    return [json.loads(line) for line in log_path(sid, root).read_text("utf-8").splitlines()]


def test_a_block_says_that_it_begins_and_ends(root: Path) -> None:
    """The lines stand around the others, by OpenTelemetry's names, and name the same block."""
    with session("s", events=True):
        LOG.info("work")
    first, _, last = found = rows(root)
    assert ["session.start", "work", "session.end"] == [row["message"] for row in found]
    assert ["session.start", "session.end"] == [first["event.name"], last["event.name"]]
    assert {"INFO"} == {row["level"] for row in found}
    assert {"tracectrl.session"} == {first["logger"], last["logger"]}
    assert first["session.block"] == last["session.block"]
    assert os.getpid() == first["process.pid"]
    assert "exception" not in last


def test_without_it_nothing_is_said(root: Path) -> None:
    """A block is silent unless it is asked to speak."""
    with session("s"):
        LOG.info("work")
    assert ["work"] == [row["message"] for row in rows(root)]


def test_the_end_has_the_exception_that_ended_it(root: Path) -> None:
    """It comes out of the block as it was, and is on the line of the end."""
    with pytest.raises(KeyError, match="k"), session("s", events=True):
        raise KeyError("k")  # noqa: EM101 - a key
    assert "KeyError" == rows(root)[-1]["exception"]["type"]
    assert 0 == sessions(root)[0].errors


def test_blocks_that_overlap_each_have_their_two_lines(root: Path) -> None:
    """One object that several threads enter at once tells each block from the others."""
    scope = session("s", events=True)
    together = threading.Barrier(4)

    def work() -> None:
        with scope:
            together.wait(10)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    blocks: dict[str, list[str]] = {}
    for row in rows(root):
        blocks.setdefault(row["session.block"], []).append(row["message"])
    assert [["session.start", "session.end"]] * 4 == list(blocks.values())


def test_a_block_that_is_left_elsewhere_ends(root: Path) -> None:
    """A block that is closed in another context, as generators are, says so, too."""

    def steps() -> Generator[None, None, None]:
        with session("s", events=True):
            yield

    running = steps()
    contextvars.copy_context().run(next, running)
    running.close()
    assert ["session.start", "session.end"] == [row["message"] for row in rows(root)]
    assert current_session_id() is None


def test_a_level_above_info_says_nothing_and_a_filter_that_raises_does_no_harm(root: Path) -> None:
    """The block runs whatever the logging does."""
    logger = logging.getLogger("tracectrl.session")

    def refuse(record: logging.LogRecord) -> bool:
        raise ValueError(record.msg)

    logger.addFilter(refuse)
    with contextlib.ExitStack() as stack:
        stack.callback(logger.removeFilter, refuse)
        with session("s", events=True):
            LOG.info("work")
    logging.root.setLevel(logging.WARNING)
    with session("s", events=True):
        LOG.warning("more")
    assert ["work", "more"] == [row["message"] for row in rows(root)]


LEFT = """
import os, sys
from opentelemetry import trace
from tracectrl.session import session
from tracectrl_logging import configure

configuration = configure(
    sys.argv[1], console=None, open_spans_after_s=0, max_sessions_per_minute=2
)
with session("done", events=True):
    with trace.get_tracer("t").start_as_current_span("done"):
        pass
with session("span"):
    trace.get_tracer("t").start_span("open")
with session("left", events=True):
    with session("beyond", events=True):  # in the file of many
        trace.get_tracer("t").start_span("of many")
    with session("left", events=True):
        pass
    trace.get_tracer_provider().shutdown()
    for handler in configuration.handlers:
        handler.close()
    print("ready", flush=True)
    sys.stdin.readline()
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs record locks")
def test_a_block_that_was_left_by_its_process_has_crashed(root: Path) -> None:
    """A session runs while a block of it does, open files or not; without its process it has crashed."""
    with subprocess.Popen(
        [sys.executable, "-c", LEFT, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        states = {it.session_id: it.state for it in sessions(root)}
        live = {"left": "running", "span": "running", "%overflow": "running"}
        assert {"done": "ended", **live} == states == states_by_sql(root)
        process.communicate("\n")
    states = {it.session_id: it.state for it in sessions(root)}
    assert {"done": "ended", **dict.fromkeys(live, "crashed")} == states == states_by_sql(root)


def states_by_sql(root: Path) -> dict[str, str]:
    """Return the states of the sessions as SQL has them."""
    with query("SELECT session_id, state FROM sessions", root) as found:
        return dict(found)
