"""A program that writes session files itself is left to do so.

Its writer may redact, rotate or rename what we would write beside it: one line per record, and
the program's own choice of it.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from tracectrl.files.names import SPAN_SUFFIX, root_path
from tracectrl.files.write.appender import Appender
from tracectrl_logging.loguru import OwnHandler, Sink
from tracectrl_logging.stdlib.handler import SessionFileHandler
from tracectrl_logging.structlog.logger_factory import SessionFileLoggerFactory

if TYPE_CHECKING:
    from tracectrl_logging.patches import Patches
    from tracectrl_logging.program.capture import Capture
    from tracectrl_logging.program.otel_spans import Spans


def tap(capture: Capture, spans: Spans, patches: Patches) -> None:
    """Stand back once the program sets up a writer of its own for the same files."""
    root = os.path.abspath(root_path(capture.root))

    def watch(cls: type[Any], wanted: str) -> None:
        initialise = cls.__init__

        def watched(self: Any, *args: Any, **kwargs: Any) -> None:
            initialise(self, *args, **kwargs)
            if cls is Appender and (spans.making or not any(each is SPAN_SUFFIX for each in args)):
                return
            if isinstance(self, OwnHandler):
                return  # logging's records do not come by there
            with contextlib.suppress(Exception):  # a root that is gone, or no path
                given = args[0] if args else kwargs.get("root")
                if os.path.abspath(root_path(given)) == root:
                    setattr(capture, wanted, False)

        patches.replace(cls, "__init__", watched)

    watch(SessionFileHandler, "records_wanted")
    watch(Sink, "loguru_wanted")
    watch(SessionFileLoggerFactory, "events_wanted")
    watch(Appender, "spans_wanted")  # the exporter's: to watch that would be to load the SDK
