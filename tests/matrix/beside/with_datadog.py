"""``ddtrace-run`` with log injection, IDs in the format; a trace filter keeps its spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

import shop
from ddtrace.trace import TraceFilter, tracer

if TYPE_CHECKING:
    from ddtrace.trace import Span


class Kept(TraceFilter):
    """Keeps each span, and sends none."""

    def process_trace(self, trace: list[Span]) -> list[Span] | None:
        """Keep *trace*."""
        for span in trace:
            shop.emit({"name": span.name, "tags": span.get_tags(), "error": span.error})


tracer.configure(trace_processors=[Kept()])
ids = "[%(dd.service)s %(dd.trace_id)s %(dd.span_id)s]"
shop.set_up(formatter={"format": f"%(levelname)s %(name)s {ids} %(message)s"})
with shop.session(), tracer.trace("orders"):
    shop.all_orders()
shop.done()
