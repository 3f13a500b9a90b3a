"""A progress bar on stderr, for what takes more than a second while somebody looks on."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_SHOWN_AFTER_S = 1.0
_REDRAWN_AFTER_S = 0.1


@contextlib.contextmanager
def progress(total: int | None, what: str) -> Iterator[Progress]:
    """Show how far a piece of work is, as soon as it has taken a second.

        with progress(len(files), "Reading") as step:
            for file in files:
                read(file)
                step()

    There is no bar where stderr is no terminal. It goes away at the end, or before the first output
    to a terminal, which has to call :meth:`Progress.stop`. No thread is started, so that a process
    may be forked meanwhile.

    Args:
        total: how many steps there are; ``None`` where nobody knows.
        what: what is being done, in a word or two.
    """
    step = Progress(total, what)
    try:
        yield step
    finally:
        step.stop()


class Progress:
    """Counts steps; see :func:`progress`."""

    def __init__(self, total: int | None, what: str) -> None:
        self._total = total
        self._what = what
        self._done = 0.0
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._next_s = time.monotonic() + _SHOWN_AFTER_S
        self._is_wanted = sys.stderr.isatty()

    def __call__(self, steps: float = 1, total: int | None = None) -> None:
        """Take note that so many more *steps* are done, of so many in *total*."""
        self._total = self._total if total is None else total
        self._done += steps
        if self._is_wanted and time.monotonic() >= self._next_s:
            self._draw()

    def stop(self) -> None:
        """Take the bar away, for good."""
        self._is_wanted = False
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()

    def _draw(self) -> None:
        if self._bar is None or self._task is None:
            # Slow to import, and most commands are done before anybody needs it.
            from rich.console import Console  # noqa: PLC0415
            from rich.progress import Progress as Bar  # noqa: PLC0415

            self._bar = Bar(
                *Bar.get_default_columns(),
                console=Console(stderr=True),
                auto_refresh=False,  # a thread of its own
                transient=True,
                redirect_stdout=False,
            )
            self._task = self._bar.add_task(self._what, total=self._total)
            self._bar.start()
        self._bar.update(self._task, completed=self._done, total=self._total, refresh=True)
        self._next_s = time.monotonic() + _REDRAWN_AFTER_S
