"""For tests of code that logs: its lines as dicts, IDs and times that are the same in each run."""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, overload
from unittest import mock

from tracectrl import session as sessions
from tracectrl.schema import TIME_KEY, UNKNOWN
from tracectrl_logging.program.capture import Capture
from tracectrl_logging.reader import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracectrl.schema import Kind

    Row = dict[str, Any]

__all__ = ["Captured", "captured", "fixed_ids", "fixed_time"]

_SDK = "opentelemetry.sdk.trace"


class Captured(Sequence["Row"]):
    """The log lines that were captured so far, in time order, and the spans."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._kept: tuple[list[Row], list[Row]] | None = None

    @property
    def logs(self) -> list[Row]:
        """The log lines, in time order, as the session files have them."""
        return self._read("log") if self._kept is None else self._kept[0]

    @property
    def spans(self) -> list[Row]:
        """The spans that have ended, in the order of their starts."""
        if self._kept is not None:
            return self._kept[1]
        return [row for row in self._read("span") if row.get("state") != "open"]

    def keep(self) -> None:
        """Take everything into memory: the files go."""
        self._kept = self.logs, self.spans

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        """Return log lines."""
        return self.logs[index]

    def __len__(self) -> int:
        """Return how many log lines there are."""
        return len(self.logs)

    def __repr__(self) -> str:
        return f"<{len(self.logs)} log lines and {len(self.spans)} spans>"

    def _read(self, kind: Kind) -> list[Row]:
        store = open_store(self._root)
        rows = [line.row for sid in store.ids() for line in store.read(sid) if line.kind == kind]
        return sorted(rows, key=lambda row: str(row[TIME_KEY[kind]]))


@contextlib.contextmanager
def captured(*, level: str | None = None) -> Iterator[Captured]:
    """Capture what is logged and traced in a ``with`` block, by stdlib logging, structlog, loguru and OpenTelemetry.

    As ``tracectrl-logs run`` does: no handler is added and no level is set, and what the code under test
    shows stays as it is. What code that writes session files logs is captured, too. Several at once may
    be nested, but not overlap; threads of the process are captured alike.

    Args:
        level: what is below is not captured. ``None`` takes what the program lets through, and
            everything from INFO up.

    Yields:
        The log lines, a sequence of dicts that grows, with the attribute ``spans``. What is logged outside
        any session has the ``session_id`` "unknown".

    Raises:
        OSError: no temporary directory can be made.
    """
    with tempfile.TemporaryDirectory(prefix="tracectrl-") as root:
        capture = Capture(UNKNOWN, root, level=level)
        lines = Captured(root)
        capture.install()
        try:
            yield lines
        finally:
            capture.uninstall()
            lines.keep()


@contextlib.contextmanager
def fixed_ids() -> Iterator[None]:
    """Number the IDs of new sessions, traces and spans in a ``with`` block, from 1 on.

    The first session is ``00000000-0000-4000-8000-000000000001``; the first trace ends in ``01`` behind
    zeros, as the first span does. Spans, where their provider makes IDs as the SDK does by default.
    """
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415 - where asked for

    ids, traces, spans = itertools.count(1), itertools.count(1), itertools.count(1)

    def new_id() -> str:
        return f"00000000-0000-4000-8000-{next(ids):012x}"

    def trace_id(_: object) -> int:
        return next(traces)

    def span_id(_: object) -> int:
        return next(spans)

    with (
        mock.patch.object(sessions, "new_id", new_id),
        mock.patch.object(RandomIdGenerator, "generate_trace_id", trace_id),
        mock.patch.object(RandomIdGenerator, "generate_span_id", span_id),
    ):
        yield


@contextlib.contextmanager
def fixed_time(
    start: datetime = datetime(2026, 1, 1, tzinfo=timezone.utc), *, step_s: float = 0.001
) -> Iterator[None]:
    """Have ``time.time()`` and ``time.time_ns()`` begin at *start* and go on by *step_s* with each call.

    For the whole process, in a ``with`` block; the times of records and of the SDK's spans are those.
    ``time.monotonic()``, and so waiting, is as ever. ``datetime.now()`` is, too: for that, there is the
    package time-machine.

    Args:
        start: the first time, with a zone.
        step_s: seconds.

    Raises:
        ValueError: *start* has no zone.
    """
    if start.tzinfo is None:
        msg = f"start must have a time zone, got {start!r}"
        raise ValueError(msg)
    first, step = round(start.timestamp() * 1_000_000) * 1000, round(step_s * 1_000_000_000)
    calls = itertools.count()

    def time_ns() -> int:
        return first + next(calls) * step

    def seconds() -> float:
        return time_ns() / 1_000_000_000

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(time, "time_ns", time_ns))
        stack.enter_context(mock.patch.object(time, "time", seconds))
        if hasattr(sys.modules.get(_SDK), "time_ns"):
            stack.enter_context(mock.patch(f"{_SDK}.time_ns", time_ns))
        yield
