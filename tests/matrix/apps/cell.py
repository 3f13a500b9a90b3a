"""What an application of the matrix does for a request: it says which session it expects."""

from __future__ import annotations

import asyncio
import logging
import os
import threading

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tracectrl.exporter import FileSpanExporter
from tracectrl.processor import SessionSpanProcessor
from tracectrl_logging import configure

delayed = "MATRIX_DELAYED" in os.environ  # lines and spans wait for a thread to write them
if delayed:
    provider = TracerProvider()
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(BatchSpanProcessor(FileSpanExporter()))
    trace.set_tracer_provider(provider)
configure(console=None, background=delayed, spans=not delayed)
# By gunicorn's own set-up, which comes before this, its access log goes to its own handler alone.
logging.getLogger("gunicorn.access").propagate = True

log = logging.getLogger("matrix")
tracer = trace.get_tracer("matrix")


def work(cell: str, expected: str) -> None:
    """Write one span, and one line within it."""
    with tracer.start_as_current_span(cell, attributes={"cell": cell, "expected": expected}):
        log.info("at work", extra={"cell": cell, "expected": expected})


class Meeting:
    """Where a number of requests wait for each other, so that they do run at the same time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting = 0
        self._all_here = asyncio.Event()

    async def join(self) -> None:
        """Wait until all are here; those after them are the next meeting."""
        self._waiting += 1
        here = self._all_here
        if self._waiting == self._size:
            self._waiting, self._all_here = 0, asyncio.Event()
            here.set()
        await asyncio.wait_for(here.wait(), 120)


THREADS = 8
threads = threading.Barrier(THREADS, timeout=120)
"""The same for threads: as many as the smallest pool has."""
