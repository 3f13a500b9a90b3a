"""Session-correlated logging: every record in the JSON file of its session.

Names are loaded when they are first used: a program that only logs does not pay for structlog, and
the command that only reads pays for neither. Nothing here loads the OpenTelemetry SDK or an extra
before :func:`configure` is called.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracectrl_logging.config import Configuration, configure, dict_config
    from tracectrl_logging.stdlib.filter import SessionContextFilter
    from tracectrl_logging.stdlib.formatter import SessionJsonFormatter
    from tracectrl_logging.stdlib.handler import SessionFileHandler
    from tracectrl_logging.stdlib.record_factory import (
        install_record_factory,
        uninstall_record_factory,
    )
    from tracectrl_logging.structlog.logger_factory import SessionFileLoggerFactory
    from tracectrl_logging.structlog.processor import add_session_context
    from tracectrl_logging.structlog.renderer import SessionJSONRenderer

__all__ = [
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

_MODULE_OF = {
    "Configuration": "config",
    "SessionContextFilter": "stdlib.filter",
    "SessionFileHandler": "stdlib.handler",
    "SessionFileLoggerFactory": "structlog.logger_factory",
    "SessionJSONRenderer": "structlog.renderer",
    "SessionJsonFormatter": "stdlib.formatter",
    "add_session_context": "structlog.processor",
    "configure": "config",
    "dict_config": "config",
    "install_record_factory": "stdlib.record_factory",
    "uninstall_record_factory": "stdlib.record_factory",
}


if not TYPE_CHECKING:  # a type checker is to see what is there, not that anything may be

    def __getattr__(name: str) -> Any:
        """Load the module that *name* lives in (PEP 562)."""
        try:
            module = _MODULE_OF[name]
        except KeyError:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg) from None
        value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
