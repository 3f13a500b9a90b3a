"""What a person sees on the terminal while the application runs."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from tracectrl._json import encode_line
from tracectrl.schema import LOG_KEYS, UNKNOWN
from tracectrl_logging import stderr
from tracectrl_logging.line.event_record import RecordedError
from tracectrl_logging.line.rows import Rows

if TYPE_CHECKING:
    from tracectrl.redaction import Redact

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_KEYS = frozenset(LOG_KEYS)
_SHOWN_ID = 8


class ConsoleFormatter(logging.Formatter):
    """Formats a record for a terminal: time, level, logger, session, message and extras.

    Control characters and terminal escape sequences are shown, not obeyed. Only the message, the
    traceback and the stack may take several lines: nothing else can look like a line of its own.
    """

    def __init__(self, *, service_name: str | None = None, redact: Redact | None = None) -> None:
        super().__init__()
        self._rows = Rows(service_name=service_name, redact=redact)

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as text; an exception's traceback follows on lines of its own.

        Raises:
            Exception: the message does not take its arguments, as ``record.getMessage()`` raises.
        """
        row = self._rows.of_record(record)
        sid = row["session_id"]
        scope = "-" if sid == UNKNOWN else sid[:_SHOWN_ID]
        extras = "".join(
            f" {key}={plain_value(value)}" for key, value in row.items() if key not in _KEYS
        )
        head = on_one_line(f"{row['timestamp']} {row['level']:<8} {row['logger']} [{scope}] ")
        text = f"{head}{row['message']}{on_one_line(extras)}"
        if "exception" in row:
            text += "\n" + row["exception"]["stacktrace"]
        if "stack" in row:
            text += "\n" + row["stack"]
        return escaped(text)


class ConsoleHandler(logging.Handler):
    """Shows each record on ``sys.stderr``, whichever stream that is when the record comes.

    A standard error that is closed, gone, or logs what is written to it raises nothing; see
    :mod:`tracectrl_logging.stderr`.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Show *record*, unless it is what standard error makes of a record that is being shown."""
        if stderr.is_writing():
            if stderr.is_echo(record):
                stderr.remember_echo()
            return
        try:
            stderr.show(self.format(record) + "\n")
        except RecordedError:
            return
        except Exception:  # noqa: BLE001 - logging never raises into the application
            stderr.report()


def escaped(text: str) -> str:
    r"""Return *text* with control characters as ``\xNN``, so that a terminal shows them.

    Newlines and tabs stay. Overrides of the writing direction count as control characters.
    https://www.cve.org/CVERecord?id=CVE-2025-58160
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def on_one_line(text: str) -> str:
    r"""Return *text* with newlines as ``\n`` and tabs as ``\t``, and the rest as :func:`escaped`."""
    return escaped(text).replace("\n", "\\n").replace("\t", "\\t")


def plain_value(value: Any) -> str:
    """Return *value* as text for a terminal: a string as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    return encode_line({"": value})[4:-2].decode()
