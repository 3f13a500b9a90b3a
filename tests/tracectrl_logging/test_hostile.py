"""What only the application's own code can make, and what must not lose a line or raise for it."""

from __future__ import annotations

import enum
import io
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog

from tracectrl.files import log_path
from tracectrl.session import session
from tracectrl_logging import (
    SessionFileHandler,
    SessionFileLoggerFactory,
    SessionJSONRenderer,
    add_session_context,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Tenant(str, enum.Enum):
    """IDs as an application may name them."""

    ACME = "acme"


class Elsewhere(str):
    """A text whose format is another."""

    __slots__ = ()

    def __format__(self, _: str) -> str:
        return "../../evil"


def test_a_session_id_that_is_an_enums(root: Path) -> None:
    """It is its value: one session, one file, whatever was written first."""
    handler = SessionFileHandler(root)
    for sid in (Tenant.ACME, "acme", Elsewhere("acme")):
        with session(sid):
            handler.handle(logging.makeLogRecord({"msg": "current"}))
        handler.handle(logging.makeLogRecord({"msg": "given", "session_id": sid}))
    handler.close()

    assert [log_path("acme", root)] == list(root.iterdir())
    rows = [json.loads(line) for line in log_path(Tenant.ACME, root).read_text().splitlines()]
    assert ["acme"] * 6 == [row["session_id"] for row in rows]


def test_secrets_in_what_others_rendered(root: Path) -> None:
    """Also under names that are the line's own: locals in structlog's tracebacks, a service."""
    factory = SessionFileLoggerFactory(root, redact=["password"])
    logger: Any = structlog.wrap_logger(
        factory(),
        processors=[
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer()),
            structlog.processors.JSONRenderer(),
        ],
    )

    def login(password: str) -> None:
        raise ValueError(len(password))

    try:
        login("HUNTER2".lower())
    except ValueError:
        logger.exception("failed", service={"password": "hunter2"}, message={"password": "hunter2"})
    factory.close()
    text = log_path("unknown", root).read_text()

    assert "hunter2" not in text
    assert 3 == text.count("[redacted]")


def test_a_stderr_that_is_closed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nowhere to report to; the losses are counted, and the application goes on."""
    handler = SessionFileHandler(root)
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("x",)}))
    handler.addFilter(lambda record: bool(record.missing))  # type: ignore[attr-defined]
    handler.handle(logging.makeLogRecord({"msg": "m"}))

    assert 1 == len((root / "unknown.logs.jsonl").read_text().splitlines())
    assert 2 == handler.lost


def test_an_event_key_that_only_looks_like_structlogs() -> None:
    """``_record`` may be anybody's."""
    event = {"event": "x", "_record": [1]}

    assert '"_record":[1]' in str(SessionJSONRenderer()(None, "info", dict(event)))
    assert event.items() <= dict(add_session_context(None, "info", dict(event))).items()
