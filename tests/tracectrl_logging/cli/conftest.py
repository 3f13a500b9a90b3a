"""Fixtures for the tests of the command.

- ``command``: runs ``tracectrl-logs`` in this process, ``root`` as its ``TRACECTRL_TRACE_DIR``.
- ``write``: puts lines into a file of ``root`` as they are.
- ``file_tracer``: a tracer whose spans are in ``root`` when they have ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tracectrl.exporter import FileSpanExporter
from tracectrl.processor import SessionSpanProcessor
from tracectrl_logging.cli.group import group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result
    from opentelemetry import trace


@pytest.fixture
def command(root: Path) -> Callable[..., Result]:
    """Return the function that runs the command with these arguments."""

    def run(*args: str, **environment: str) -> Result:
        env: dict[str, str | None] = dict.fromkeys(("NO_COLOR", "FORCE_COLOR", "COLUMNS"))
        env |= {"TRACECTRL_TRACE_DIR": str(root), **environment}
        return CliRunner().invoke(group, args, env=env, prog_name="tracectrl-logs")

    return run


@pytest.fixture
def write(root: Path) -> Callable[..., Path]:
    """Return the function that writes lines (bytes; a newline each) to a file of ``root``."""

    def to(name: str, *lines: bytes) -> Path:
        root.mkdir(exist_ok=True)
        path = root / name
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    return to


@pytest.fixture
def file_tracer(root: Path) -> Iterator[trace.Tracer]:
    """Return a tracer of the service ``api`` whose spans are in files when they have ended."""
    provider = TracerProvider(resource=Resource({"service.name": "api"}), shutdown_on_exit=False)
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(root)))
    yield provider.get_tracer("tests")
    provider.shutdown()
