"""The python-json-logger formatter that writes the contract's line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pythonjsonlogger.core import RESERVED_ATTRS, BaseJsonFormatter

from tracectrl._json import encode_line, for_terminal
from tracectrl.schema import LOG_KEYS
from tracectrl_logging.line import exceptions
from tracectrl_logging.line.fields import RECORD_ATTRIBUTES
from tracectrl_logging.line.rows import Rows

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence

    from tracectrl.redaction import Redact

# What the usual format strings ask for and the line says under another name.
_ALREADY_SAID = frozenset({"asctime", "levelname", "name", "message", "exc_info", "stack_info"})


class SessionJsonFormatter(BaseJsonFormatter):
    """Formats a record as a line of JSON in the contract's shape, for any handler.

    The options are python-json-logger's and do what they do there, with these differences:
    *rename_fields* speaks of the names of the contract; a field that *fmt* names, and that the
    line does not say under the contract's name, follows the contract's keys; then come *defaults*,
    *static_fields* and the extras. *datefmt* is for an ``asctime`` of one's own beside
    ``timestamp``, whose form is fixed. *exc_info_as_array* makes ``exception.stacktrace`` a list of
    lines, *stack_info_as_array* ``stack``.

    Args:
        json_default: called with a value that JSON has no form for; what it returns stands in its
            place. ``repr`` where there is none or it raises.
        service_name: the ``service`` of the lines; ``None`` takes ``OTEL_SERVICE_NAME``.
        redact: as for :class:`~tracectrl_logging.SessionFileHandler`.
        callsite: the same.
        process: the same.
    """

    def __init__(
        self,
        fmt: str | Sequence[str] | None = None,
        datefmt: str | None = None,
        style: str = "%",
        validate: bool = True,  # noqa: FBT001, FBT002 - logging.Formatter's own signature
        *,
        prefix: str = "",
        rename_fields: dict[str, str] | None = None,
        rename_fields_keep_missing: bool = False,
        static_fields: dict[str, Any] | None = None,
        reserved_attrs: Sequence[str] | None = None,
        timestamp: bool | str = False,
        defaults: dict[str, Any] | None = None,
        exc_info_as_array: bool = False,
        stack_info_as_array: bool = False,
        json_default: Callable[[Any], Any] | None = None,
        service_name: str | None = None,
        redact: Redact | None = None,
        callsite: bool = False,
        process: bool = False,
    ) -> None:
        super().__init__(
            fmt,
            datefmt,
            style,
            validate,
            prefix=prefix,
            rename_fields=rename_fields,
            rename_fields_keep_missing=rename_fields_keep_missing,
            static_fields=static_fields,
            reserved_attrs=reserved_attrs,
            timestamp=timestamp,
            defaults=defaults,
            exc_info_as_array=exc_info_as_array,
            stack_info_as_array=stack_info_as_array,
        )
        self._rows = Rows(
            service_name=service_name, redact=redact, callsite=callsite, process=process
        )
        self._json_default = json_default
        self._wanted = [
            name
            for name in self._required_fields
            if name not in _ALREADY_SAID and name not in LOG_KEYS
        ]
        if datefmt is not None and "asctime" in self._required_fields:
            self._wanted.append("asctime")
        self._wanted += [
            name
            for name in RESERVED_ATTRS
            if name not in self.reserved_attrs and name not in _ALREADY_SAID
        ]
        self._hidden = self.reserved_attrs - RECORD_ATTRIBUTES

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of *record*, without a newline; the record stays as it is.

        Raises:
            Exception: the message does not take its arguments, as ``record.getMessage()`` raises.
        """
        log_data: dict[str, Any] = {}
        self.add_fields(log_data, record, record.msg if isinstance(record.msg, dict) else {})
        return self.serialize_log_record(self.process_log_record(log_data))

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Put the line's keys into *log_data*; python-json-logger's hook for subclasses."""
        del message_dict  # the row says what is in it
        row = self._rows.of_record(record)
        if type(self).formatException is not BaseJsonFormatter.formatException and record.exc_info:
            shown: Any = self.formatException(record.exc_info)
            row["exception"] = exceptions.of_text(
                "\n".join(shown) if isinstance(shown, list) else str(shown)
            )
        if self.exc_info_as_array and "exception" in row:
            row["exception"]["stacktrace"] = row["exception"]["stacktrace"].splitlines()
        if self.stack_info_as_array and "stack" in row:
            row["stack"] = row["stack"].splitlines()
        fields = {key: row.pop(key) for key in LOG_KEYS if key in row}
        wanted = {name: record.__dict__.get(name) for name in self._wanted}
        if self._rows.redact is not None:
            wanted = self._rows.redact(wanted)
        options = {**self.defaults, **wanted}
        if "asctime" in options:
            options["asctime"] = self.formatTime(record, self.datefmt)
        options.update(self.static_fields)
        if isinstance(self.timestamp, str):
            options[self.timestamp] = fields["timestamp"]
        for name, value in options.items():
            fields[f"extra_{name}" if name in fields else name] = value
        fields.update((key, value) for key, value in row.items() if key not in self._hidden)
        rename = self.rename_fields
        log_data.update((rename.get(key, key), value) for key, value in fields.items())
        if self.rename_fields_keep_missing:
            for name in rename.values():
                log_data.setdefault(name, None)

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """Return *log_data* as strict JSON that a terminal may show."""
        return for_terminal(encode_line(log_data, self._json_default)[:-1]).decode()
