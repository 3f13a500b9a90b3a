"""structlog's events as Sentry and OpenTelemetry see them, with their real packages, offline."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import json, logging, sys
import sentry_sdk, structlog
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from sentry_sdk.transport import Transport
from tracectrl.session import session
from tracectrl_logging import configure

class Offline(Transport):
    events = []
    def capture_envelope(self, envelope):
        self.events += [item.payload.json for item in envelope.items]

sentry_sdk.init(dsn="http://key@localhost/1", transport=Offline)
exporter = InMemoryLogRecordExporter()
provider = LoggerProvider()
provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
logging.getLogger().addHandler(LoggingHandler(logger_provider=provider))
configure("traces", console=None, spans=False)
log = structlog.get_logger("shop")
with session("order-1"):
    log.info("packed", parcels=3)
    try:
        {}["x"]
    except KeyError:
        log.exception("card declined", attempt=3, name="bob")
records = [it.log_record for it in exporter.get_finished_logs()]
print(json.dumps({
    "bodies": [record.body for record in records],
    "attributes": [{k: v for k, v in record.attributes.items() if k[:1] != "_"} for record in records],
    "events": Offline.events,
}, default=repr))
"""


def _seen(directory: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "" == done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_sentry_and_opentelemetry(tmp_path: Path) -> None:
    """Both have the text, the keys and the exception; Sentry's issue is grouped by the text alone."""
    seen = _seen(tmp_path)
    assert ["packed", "card declined"] == seen["bodies"]
    plain, failed = seen["attributes"]
    assert {"parcels": 3} == plain
    assert (3, "bob", "KeyError") == (
        failed["attempt"],
        failed["extra_name"],
        failed["exception.type"],
    )
    (event,) = seen["events"]
    assert ("card declined", "shop", "error") == (
        event["logentry"]["message"],
        event["logger"],
        event["level"],
    )
    assert {"attempt": 3, "extra_name": "bob"}.items() <= event["extra"].items()
    assert "KeyError" == event["exception"]["values"][0]["type"]
    assert [{"parcels": 3}] == [it["data"] for it in event["breadcrumbs"]["values"]]
    assert 2 == len((tmp_path / "traces" / "order-1.logs.jsonl").read_text().splitlines())
