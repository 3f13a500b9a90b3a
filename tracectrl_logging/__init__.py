"""Session-correlated logging: every record in the JSON file of its session.

Imports neither the OpenTelemetry SDK nor any extra; :func:`configure` does when it is called.
"""

from tracectrl_logging.config import Configuration, configure, dict_config
from tracectrl_logging.factory import install_record_factory, uninstall_record_factory
from tracectrl_logging.filter import SessionContextFilter
from tracectrl_logging.formatter import SessionJsonFormatter
from tracectrl_logging.handler import SessionFileHandler
from tracectrl_logging.loggers import SessionFileLoggerFactory
from tracectrl_logging.processor import add_session_context
from tracectrl_logging.renderer import SessionJSONRenderer

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
