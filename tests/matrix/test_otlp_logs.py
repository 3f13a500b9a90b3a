"""The matrix, OTLP: log records as a receiver of OTLP over HTTP sees them."""

from __future__ import annotations

import gzip
import http.server
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="it sends the records")
pytest.importorskip("opentelemetry.instrumentation.logging.handler", reason="it makes the records")

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSIONS = 200


class Receiver(http.server.ThreadingHTTPServer):
    """Takes OTLP over HTTP on 127.0.0.1 and keeps the log records."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.records: list[tuple[dict[str, str], Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def keep(self, body: bytes) -> None:
        """Keep the records of one request, each with its attributes."""
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (  # noqa: PLC0415
            ExportLogsServiceRequest,
        )

        for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    attributes = {pair.key: pair.value.string_value for pair in record.attributes}
                    self.records.append((attributes, record))


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request."""

    server: Receiver

    def do_POST(self) -> None:
        """Keep what was sent."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == "/v1/logs":
            self.server.keep(body)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a receiver that listens."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("how", "environment"),
    [
        ("simple", {}),
        ("batch", {}),
        ("batch", {"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "1"}),
        ("batch", {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}),
        ("instrumented", {"OTEL_LOGS_EXPORTER": "otlp_proto_http"}),
    ],
    ids=["simple", "batch", "batches of one", "compressed", "opentelemetry-instrument"],
)
def test_each_record_has_its_session(
    start: Any,
    new_ids: Any,
    receiver: Receiver,
    assert_cell: Any,
    how: str,
    environment: dict[str, str],
) -> None:
    """``session.id`` on each record of 200 sessions at a time, beside the trace and the span.

    Logged on the event loop, on threads and by OpenTelemetry's own API; sent by a thread that is in
    no session. A record of no session has no such attribute. The files of the sessions are written,
    too.
    """
    ids = new_ids(SESSIONS)
    command = ["otlp_logs.py", how, *ids]
    more = {**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "NO_PROXY": "127.0.0.1"}
    if how == "instrumented":
        pytest.importorskip("opentelemetry.distro", reason="it is what is tested")
        more.update(OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="none")
        program = start(
            *(sys.executable, *command),
            program=str(Path(sys.executable).with_name("opentelemetry-instrument")),
            **more,
        )
    else:
        program = start(*command, **more)
    text = program.wait()

    assert 0 == program.process.returncode, text
    sent = [attributes for attributes, _ in receiver.records if attributes.get("cell") == "otlp"]
    assert [] == [each for each in sent if each.get("session.id") != each["expected"]]
    assert dict.fromkeys(ids, 3) == Counter(each["session.id"] for each in sent)
    traces = {
        (attributes["session.id"], record.trace_id, record.span_id)
        for attributes, record in receiver.records
        if attributes.get("cell") == "otlp" and record.trace_id
    }
    assert dict.fromkeys(ids, 2) == Counter(sid for sid, _, _ in traces)
    (nobodys,) = (each for each, _ in receiver.records if each.get("cell") == "otlp-nobodys")
    assert "session.id" not in nobodys
    assert_cell(program.root, "otlp", ids, 2)
