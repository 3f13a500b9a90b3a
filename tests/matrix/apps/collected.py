"""A span, and a record by the standard library, in many sessions at once: ``collected.py SESSION...``.

``CONFIGURE`` in the environment has the program call ``configure(otlp=True)``.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from opentelemetry import trace

from tracectrl.session import session

if "CONFIGURE" in os.environ:
    from tracectrl_logging import configure

    configure(otlp=True, console=None)
logging.getLogger().setLevel(logging.INFO)
here = threading.Barrier(8, timeout=120)


def workflow(sid: str) -> None:
    """Work while seven others do."""
    extra = {"cell": "collected", "expected": sid}
    with session(sid), trace.get_tracer("t").start_as_current_span("work", attributes=extra):
        here.wait()
        logging.getLogger("app").info("at work", extra=extra)


with ThreadPoolExecutor(8) as pool:
    list(pool.map(workflow, sys.argv[1:]))
