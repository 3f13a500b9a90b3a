"""The public names, and what importing them loads."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING

import pytest

import tracectrl_logging

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLIC = [
    "Configuration",
    "SessionContextFilter",
    "SessionFileHandler",
    "SessionFileLoggerFactory",
    "SessionJSONRenderer",
    "SessionJsonFormatter",
    "add_session_context",
    "configure",
    "dict_config",
    "install_record_factory",
    "uninstall_record_factory",
]


def test_public_names() -> None:
    """The names that users may rely on; one more or less is a decision."""
    assert PUBLIC == sorted(tracectrl_logging.__all__)
    for name in PUBLIC:
        assert (getattr(tracectrl_logging, name).__doc__ or "").strip()


def test_names_are_listed() -> None:
    """``dir()`` lists the names, loaded or not; another name is an AttributeError."""
    assert set(PUBLIC) <= set(dir(tracectrl_logging))
    with pytest.raises(AttributeError, match="no_such_name"):
        tracectrl_logging.no_such_name  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("SessionContextFilter", "*, default"),
        (
            "SessionFileHandler",
            (
                "root, *, level, max_bytes, backup_count, max_open_files, max_sessions_per_minute,"
                " max_value_bytes, background, queue_size, overflow, redact, service_name,"
                " callsite, process"
            ),
        ),
        (
            "SessionFileLoggerFactory",
            (
                "root, *, max_bytes, backup_count, max_open_files, max_sessions_per_minute,"
                " max_value_bytes, background, queue_size, overflow, redact"
            ),
        ),
        ("SessionJSONRenderer", "*, service_name, redact, callsite, process"),
        ("add_session_context", "logger, method_name, event_dict"),
        (
            "configure",
            (
                "root, *, service_name, level, console, spans, max_bytes, backup_count,"
                " max_open_files, max_sessions_per_minute, max_value_bytes, background, queue_size,"
                " overflow, redact,"
                " retention, callsite, process, log_uncaught_exceptions, loguru, otlp,"
                " open_spans_after_s, aliases, write_as"
            ),
        ),
        (
            "dict_config",
            (
                "root, *, service_name, level, console, max_bytes, backup_count, max_open_files,"
                " max_sessions_per_minute, max_value_bytes, background, queue_size, overflow, redact,"
                " callsite, process"
            ),
        ),
        ("install_record_factory", ""),
        ("uninstall_record_factory", ""),
    ],
)
def test_signatures(name: str, parameters: str) -> None:
    """The options, by name; what follows the star is given by name alone."""
    signature = inspect.signature(getattr(tracectrl_logging, name))
    names: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in names:
            names.append("*")
        names.append(parameter.name)
    assert parameters == ", ".join(names)


def test_defaults_are_quiet() -> None:
    """The defaults: synchronous, no rotation, no bound on sessions, no redaction; a full queue blocks."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(
            tracectrl_logging.SessionFileHandler
        ).parameters.items()
    }
    assert {
        "root": None,
        "level": 0,
        "max_bytes": 0,
        "backup_count": 0,
        "max_open_files": None,
        "max_sessions_per_minute": 0,
        "max_value_bytes": 0,
        "background": False,
        "queue_size": None,
        "overflow": "block",
        "redact": None,
        "service_name": None,
        "callsite": False,
        "process": False,
    } == defaults


def test_bases() -> None:
    """What the names are, for logging."""
    assert issubclass(tracectrl_logging.SessionFileHandler, logging.Handler)
    assert issubclass(tracectrl_logging.SessionContextFilter, logging.Filter)
    assert issubclass(tracectrl_logging.SessionJsonFormatter, logging.Formatter)


def test_import_is_light(run_python: Callable[..., str]) -> None:
    """Importing loads neither the OpenTelemetry SDK nor any extra, and changes nothing."""
    assert "[]\n[] 30 False\n" == run_python(
        """
import sys
import tracectrl_logging
heavy = ("opentelemetry.sdk", "opentelemetry.exporter", "click", "rich", "fastapi", "httpx",
         "uvicorn", "starlette", "yaml", "celery", "anyio")
print([name for name in sys.modules if name.startswith(heavy)])
import logging, structlog
print(logging.root.handlers, logging.root.level, structlog.is_configured())
"""
    )
