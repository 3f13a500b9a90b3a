"""Log, trace and print, beneath an agent that was started with Python or none."""

from __future__ import annotations

import logging
import sys

import structlog
from opentelemetry import trace

structlog.configure(processors=[structlog.processors.KeyValueRenderer(sort_keys=True)])
logging.getLogger("app").warning("std")
structlog.get_logger("app").info("event", n=1)
with trace.get_tracer("app").start_as_current_span("work"):
    logging.getLogger("app").warning("in a span")
agents = (
    "newrelic.config",
    "ddtrace.bootstrap",
    "opentelemetry.instrumentation.auto_instrumentation",
)
sys.stdout.write(f"{[name for name in agents if name in sys.modules]}\n")
sys.exit(3)
