"""Log records over OTLP, from many sessions at once: ``otlp_logs.py HOW SESSION...``.

HOW is ``by-hand``, or ``instrumented`` beneath ``opentelemetry-instrument``.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from opentelemetry._logs import LogRecord, get_logger_provider, set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor

from tracectrl.processor import SessionLogRecordProcessor

how, *ids = sys.argv[1:]
if how != "instrumented":
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler

    kind = SimpleLogRecordProcessor if how == "simple" else BatchLogRecordProcessor
    provider = LoggerProvider()
    provider.add_log_record_processor(SessionLogRecordProcessor())
    provider.add_log_record_processor(kind(OTLPLogExporter()))
    set_logger_provider(provider)
    logging.getLogger().addHandler(LoggingHandler(logger_provider=provider))
else:
    provider = get_logger_provider()  # type: ignore[assignment]
    if isinstance(provider, LoggerProvider):
        provider.add_log_record_processor(SessionLogRecordProcessor())

from cell import Meeting, log, work  # noqa: E402 - it calls configure(), as a program does then

from tracectrl.session import session  # noqa: E402


async def workflow(sid: str, meeting: Meeting) -> None:
    """Log by the standard library, on the loop and on a thread, and by OpenTelemetry's own API."""
    with session(sid):
        work("otlp", sid)
        await meeting.join()
        await asyncio.to_thread(work, "otlp", sid)
        own = LogRecord(body="at work", attributes={"cell": "otlp", "expected": sid})
        get_logger_provider().get_logger("own").emit(own)


async def main() -> None:
    """Run a workflow in each session, all at once."""
    log.info("nobody's", extra={"cell": "otlp-nobodys"})
    meeting = Meeting(len(ids))
    await asyncio.gather(*(workflow(sid, meeting) for sid in ids))


asyncio.run(main())
get_logger_provider().force_flush()
