"""The matrix, a collector: our files beside OTLP, by each of OpenTelemetry's doors and by ``configure(otlp=True)``."""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILE = """
file_format: "1.0"
propagator: {{composite: [{{tracecontext: {{}}}}, {{tracectrl: {{}}}}]}}
tracer_provider:
  processors:
    - {kind}: {{exporter: {{tracectrl_file: {{max_value_bytes: 4096}}}}}}
    - batch: {{exporter: {{otlp_http: {{endpoint: "{url}/v1/traces"}}}}}}
logger_provider:
  processors:
    - {kind}: {{exporter: {{tracectrl_file: {{}}}}}}
    - batch: {{exporter: {{otlp_http: {{endpoint: "{url}/v1/logs"}}}}}}
"""
BY_VARIABLES = {
    "OTEL_TRACES_EXPORTER": "tracectrl_file,otlp_proto_http",
    "OTEL_LOGS_EXPORTER": "tracectrl_file,otlp_proto_http",
}
BY_INSTRUMENTOR = {
    "OTEL_TRACES_EXPORTER": "otlp_proto_http",
    "OTEL_LOGS_EXPORTER": "otlp_proto_http",
}


@pytest.mark.parametrize(
    ("way", "environment"),
    [
        ("variables", BY_VARIABLES),
        ("instrumentor", BY_INSTRUMENTOR),
        ("simple", {}),
        ("batch", {}),
    ],
    ids=["variables", "instrumentor", "file, simple", "file, batch"],
)
def test_without_code(
    start: Callable[..., Any],
    new_ids: Callable[..., list[str]],
    collector: Any,
    assert_cell: Callable[..., None],
    tmp_path: Path,
    way: str,
    environment: dict[str, str],
) -> None:
    """Beneath ``opentelemetry-instrument`` each session has its line and its span, here and there."""
    pytest.importorskip("opentelemetry.distro", reason="it is what is tested")
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="it sends them")
    more = {**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    if way in ("simple", "batch"):
        pytest.importorskip("opentelemetry.configuration", reason="it reads the file")
        file = tmp_path / "otel.yaml"
        file.write_text(FILE.format(kind=way, url=collector.url))
        more = {"OTEL_CONFIG_FILE": str(file)}
    ids = new_ids()
    program = start(
        *(sys.executable, "collected.py", *ids),
        program=str(Path(sys.executable).with_name("opentelemetry-instrument")),
        OTEL_METRICS_EXPORTER="none",
        NO_PROXY="127.0.0.1",
        **more,
    )
    text = program.wait()

    assert 0 == program.process.returncode, text
    assert_cell(program.root, "collected", ids, 1)
    assert_sent(collector.logs, collector.spans, ids)


@pytest.mark.parametrize("way", ["file", "grpc", "http/protobuf"])
def test_a_real_one(
    start: Callable[..., Any],
    new_ids: Callable[..., list[str]],
    rotel: Callable[..., Any],
    collector: Any,
    assert_cell: Callable[..., None],
    tmp_path: Path,
    way: str,
) -> None:
    """Behind rotel all is the same, by the file and by ``configure(otlp=True)``."""
    real = rotel(
        *("--exporter", "otlp", "--otlp-exporter-endpoint", collector.url),
        *("--otlp-exporter-protocol", "http"),
    )
    ids = new_ids()
    if way == "file":
        pytest.importorskip("opentelemetry.distro", reason="it is what is tested")
        file = tmp_path / "otel.yaml"
        file.write_text(FILE.format(kind="batch", url=real.url))
        program = start(
            *(sys.executable, "collected.py", *ids),
            program=str(Path(sys.executable).with_name("opentelemetry-instrument")),
            OTEL_METRICS_EXPORTER="none",
            NO_PROXY="127.0.0.1",
            OTEL_CONFIG_FILE=str(file),
        )
    else:
        url = real.grpc_url if way == "grpc" else real.url
        more = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": way}
        program = start("collected.py", *ids, CONFIGURE="1", NO_PROXY="127.0.0.1", **more)
    text = program.wait()
    real.stop()

    assert 0 == program.process.returncode, text
    assert_cell(program.root, "collected", ids, 1)
    assert_sent(collector.logs, collector.spans, ids)


def assert_sent(logs: list[Any], spans: list[Any], ids: list[str]) -> None:
    """Assert that each session has one record and one span, which that was made in."""
    for rows in (logs, spans):
        own = [row["attributes"] for row in rows if row["attributes"].get("cell") == "collected"]
        assert [] == [row for row in own if row["session.id"] != row["expected"]]
        assert dict.fromkeys(ids, 1) == Counter(row["session.id"] for row in own)
    span_ids = {row["span_id"] for row in spans}
    assert span_ids == {row["span_id"] for row in logs if "cell" in row["attributes"]}


@pytest.fixture
def grpc_url(collector: Any) -> Iterator[str]:
    """Return where the collector takes gRPC, too."""
    grpc = pytest.importorskip("grpc", reason="it is what is tested")
    server = grpc.server(ThreadPoolExecutor(4))
    for signal, name in (("logs", "Logs"), ("trace", "Trace")):
        place = f"opentelemetry.proto.collector.{signal}.v1.{signal}_service_pb2"
        answer = getattr(import_module(place), f"Export{name}ServiceResponse")
        path = "/v1/logs" if signal == "logs" else "/v1/traces"

        class Servicer:
            """Takes requests of one signal."""

            def Export(self, request: Any, _: Any, path: str = path, answer: Any = answer) -> Any:  # noqa: N802
                """Keep what a request holds."""
                collector.take(path, request.SerializeToString())
                return answer()

        services = import_module(f"{place}_grpc")
        getattr(services, f"add_{name}ServiceServicer_to_server")(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_configure(
    start: Callable[..., Any],
    new_ids: Callable[..., list[str]],
    request: pytest.FixtureRequest,
    collector: Any,
    assert_cell: Callable[..., None],
    protocol: str,
) -> None:
    """``configure(otlp=True)``: the same, by either protocol."""
    url = collector.url
    if protocol == "grpc":
        pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc", reason="it sends them")
        url = request.getfixturevalue("grpc_url")
    ids = new_ids()
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    program = start("collected.py", *ids, CONFIGURE="1", NO_PROXY="127.0.0.1", **more)
    text = program.wait()

    assert 0 == program.process.returncode, text
    assert_cell(program.root, "collected", ids, 1)
    assert_sent(collector.logs, collector.spans, ids)
