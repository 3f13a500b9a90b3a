"""Fixtures for the tests of the reader.

- ``file_tracer``: a tracer whose spans are in ``root`` when they have ended.
- ``write``: puts lines into a file of ``root`` as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tracectrl.exporter import FileSpanExporter
from tracectrl.processor import SessionSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from opentelemetry import trace


@pytest.fixture
def file_tracer(root: Path) -> Iterator[trace.Tracer]:
    """Return a tracer of the service ``api`` whose spans are in files when they have ended."""
    provider = TracerProvider(resource=Resource({"service.name": "api"}), shutdown_on_exit=False)
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(root)))
    yield provider.get_tracer("tests")
    provider.shutdown()


@pytest.fixture
def write(root: Path) -> Callable[..., Path]:
    """Return the function that writes lines (bytes; a newline each) to a file of ``root``."""

    def to(name: str, *lines: bytes) -> Path:
        root.mkdir(exist_ok=True)
        path = root / name
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    return to
