"""The last processor of a structlog chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from tracectrl_logging.line.encoder import Encoder
from tracectrl_logging.structlog.logger_factory import SessionFileLogger
from tracectrl_logging.structlog.loggers import fields_of_call

if TYPE_CHECKING:
    from structlog.typing import EventDict, ProcessorReturnValue, WrappedLogger

    from tracectrl.redaction import Redact


class SessionJSONRenderer:
    """Renders the event dict as a line of JSON in the contract's shape, without the newline.

    Stamps an event that :func:`~tracectrl_logging.add_session_context` has not. The result is a
    ``str``; ``bytes`` for structlog's ``BytesLogger``; for a logger of
    :class:`~tracectrl_logging.SessionFileLoggerFactory` the line goes with its session ID, so
    that the line and the file it lands in agree, whichever ID the event holds.

    In ``ProcessorFormatter(processors=[SessionJSONRenderer()])`` neither ``remove_processors_meta``
    nor ``ExtraAdder`` is needed: the record's name, time, exception and extras are used.

    Args:
        service_name: the ``service`` of the lines; ``None`` takes ``OTEL_SERVICE_NAME``.
        redact: as for :class:`~tracectrl_logging.SessionFileHandler`.
        callsite: the same; the place is the first outside of structlog, as its ``CallsiteParameterAdder``
            finds it.
        process: the same.
    """

    def __init__(
        self,
        *,
        service_name: str | None = None,
        redact: Redact | None = None,
        callsite: bool = False,
        process: bool = False,
    ) -> None:
        self._encoder = Encoder(
            service_name=service_name, redact=redact, callsite=callsite, process=process
        )
        self._places = self._encoder.rows.places
        self.redacts = redact is not None
        """Whether the line may say less than the event."""

    def __call__(
        self, logger: WrappedLogger, method_name: str, event_dict: EventDict
    ) -> ProcessorReturnValue:
        """Render *event_dict*, which is used up."""
        if self._places and "_record" not in event_dict:  # which knows
            fields = fields_of_call(with_frame=self._places.callsite)
            event_dict = {**self._places.of(fields), **event_dict}
        sid, line = self._encoder.event(logger, method_name, event_dict)  # type: ignore[arg-type]
        if isinstance(logger, SessionFileLogger):
            return (line, sid), {}
        if isinstance(logger, structlog.BytesLogger):
            return line[:-1]
        return line[:-1].decode()
