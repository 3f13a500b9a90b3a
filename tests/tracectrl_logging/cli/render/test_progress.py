"""The progress bar: only for people, only after a while, and gone at the end."""

from __future__ import annotations

import io
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tracectrl_logging.cli.render.progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable


class Terminal(io.StringIO):
    """A terminal's input end."""

    def isatty(self) -> bool:
        """Tell that it is one."""
        return True


def stderr_as_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make stderr a terminal, and return it."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return stream


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return the function that lets so many seconds pass."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_quick_work(monkeypatch: pytest.MonkeyPatch, after: Callable[[float], None]) -> None:
    """What takes less than a second shows nothing."""
    terminal = stderr_as_terminal(monkeypatch)
    with progress(2, "Reading") as step:
        after(0.5)
        step()
        step()
    assert not terminal.getvalue()


def test_slow_work(monkeypatch: pytest.MonkeyPatch, after: Callable[[float], None]) -> None:
    """After a second there is a bar with what is done, and at the end it is wiped out."""
    terminal = stderr_as_terminal(monkeypatch)
    with progress(4, "Reading") as step:
        after(1.5)
        step()
        step()  # too soon to draw again
        after(0.2)
        step()
        shown = terminal.getvalue()
        assert all(text in shown for text in ("Reading", "25%", "75%"))
        assert "50%" not in shown
    assert terminal.getvalue().endswith("\x1b[2K")


def test_stopped(monkeypatch: pytest.MonkeyPatch, after: Callable[[float], None]) -> None:
    """A bar that was stopped does not come back."""
    terminal = stderr_as_terminal(monkeypatch)
    with progress(None, "Reading") as step:
        after(1.5)
        step()
        step.stop()
        shown = terminal.getvalue()
        after(1.5)
        step()
    assert shown
    assert shown == terminal.getvalue()


def test_no_terminal(monkeypatch: pytest.MonkeyPatch, after: Callable[[float], None]) -> None:
    """Where nobody looks on, nothing is written."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress(4, "Reading") as step:
        after(5)
        step(2)
    assert not stream.getvalue()
