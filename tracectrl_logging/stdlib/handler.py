"""The logging handler: each record to its session's file."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any

from tracectrl._json import encode_line
from tracectrl.files.names import LOG_SUFFIX
from tracectrl.files.write.background import Background
from tracectrl.files.write.sink import ONE
from tracectrl.schema import UNKNOWN
from tracectrl_logging.line import exceptions
from tracectrl_logging.line.encoder import Encoder, made_anew
from tracectrl_logging.line.event_record import RecordedError, restored
from tracectrl_logging.line.fields import stamp_of
from tracectrl_logging.line.rendered import as_line, json_object
from tracectrl_logging.stamp import ABSENT
from tracectrl_logging.stderr import is_echo, report
from tracectrl_logging.stderr import threads as echoing
from tracectrl_logging.writer import open_writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracectrl.files.write.background import Overflow
    from tracectrl.redaction import Redact
    from tracectrl_logging.line.encoder import Parts

_BASIC_FORMATS = (
    logging.BASIC_FORMAT,
    "{levelname}:{name}:{message}",
    "${levelname}:${name}:${message}",
)


class SessionFileHandler(logging.Handler):
    """Appends each record, as one line of JSON, to the file of its session.

    The session is the one on the record, where a filter, the record factory or ``extra=`` put it,
    else the current one; so the handler is right behind a queue, too. Without a formatter the
    handler writes the contract's line. With one it writes what the formatter renders, where that
    is a JSON object, and else makes the text the message of a line. A session ID in such an object goes
    first; not where it is the bare message, which may be anybody's text.

    When :meth:`emit` returns, the line is in the file. A failing disk never raises into the
    application: it is reported through :meth:`handleError`, once a minute at most, counted in
    :attr:`lost`, and a line says how many are missing of its session once the disk is back.

    Args:
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``. Made,
            with mode 0700, where it is missing.
        level: records below it are not handled.
        max_bytes: a file that would grow beyond this many bytes is rotated first; 0 for never.
        backup_count: rotated files to keep; with 0 nothing is rotated, as in
            :class:`logging.handlers.RotatingFileHandler`.
        max_open_files: descriptors held open at most; ``None`` fits ``RLIMIT_NOFILE``.
        max_sessions_per_minute: new sessions that get a file of their own in a minute. The lines of
            further ones, who may be a flood, go to one overflow file and carry their own IDs; the
            reader and the command find them there. 0 for no bound.
        max_value_bytes: a field that is longer, as UTF-8 or as JSON, is cut and says how long it was; at
            least 64, 0 cuts none. IDs are never cut.
        background: hand the lines to one writer thread. :meth:`flush` and :meth:`close` wait for
            it, and so does ``logging.shutdown`` at the interpreter's exit.
        queue_size: in background mode, the lines that may wait.
        overflow: in background mode, what a full queue does: ``"block"``, ``"drop_oldest"`` or
            ``"drop_new"``.
        redact: key names (in any case), and callables ``(key, value) -> bool``, whose values are left
            out of the extras at any depth; out of what a formatter renders as JSON, too. See
            :class:`tracectrl.redaction.Redactor`.
        service_name: the ``service`` of the lines; ``None`` takes ``OTEL_SERVICE_NAME``.
        callsite: lines say where in the source they come from: ``code.file.path``,
            ``code.line.number``, ``code.function.name``, unless they have extras of these names.
        process: lines say ``process.pid``, ``thread.name`` and ``host.name``, the same way.

    Raises:
        ValueError: an option is out of range.
        OSError: the root cannot be made or written to.
    """

    _beside: Callable[[bytes], object] | None = None  # what gets each line, too

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        level: int | str = 0,
        max_bytes: int = 0,
        backup_count: int = 0,
        max_open_files: int | None = None,
        max_sessions_per_minute: int = 0,
        max_value_bytes: int = 0,
        background: bool = False,
        queue_size: int | None = None,
        overflow: Overflow = "block",
        redact: Redact | None = None,
        service_name: str | None = None,
        callsite: bool = False,
        process: bool = False,
    ) -> None:
        self._encoder = Encoder(
            service_name=service_name, redact=redact, callsite=callsite, process=process
        )
        self._writer = open_writer(
            root,
            LOG_SUFFIX,
            report=self._report,
            make=self._encoder.line,
            beside=self._beside,
            max_bytes=max_bytes,
            backup_count=backup_count,
            max_open_files=max_open_files,
            max_sessions_per_minute=max_sessions_per_minute,
            max_value_bytes=max_value_bytes,
            background=background,
            queue_size=queue_size,
            overflow=overflow,
        )
        self._missed = self._writer.missed
        self._raw: dict[int, int] = {}  # by process: a forked child has none of its parent's
        self._later = self._writer if isinstance(self._writer, Background) else None
        kind = type(self)  # a subclass may mask there
        self._has_own_format = kind.format is not SessionFileHandler.format
        self._has_own_filter = kind.filter is not logging.Handler.filter
        super().__init__(level)  # last: logging keeps every handler, and flushes it at exit

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """Make no lock: each file has one of its own, and threads need not wait for each other."""
        self.lock = None

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - logging's name
        """Set the formatter; the one of ``basicConfig(handlers=[...])`` is not taken.

        ``basicConfig`` gives every handler that has none its text format, which would bury the
        record's fields in the message.
        """
        basic = type(fmt) is logging.Formatter and fmt._fmt in _BASIC_FORMATS  # noqa: SLF001
        super().setFormatter(None if basic else fmt)

    def handle(self, record: logging.LogRecord) -> Any:
        """Filter and emit *record*; no lock is taken and nothing is raised."""
        if not self.filters and not self._has_own_filter:
            self.emit(record)
            return True
        try:
            passed: Any = self.filter(record)
        except Exception:  # noqa: BLE001 - a filter is the user's code
            missed = self._missed
            missed += ONE  # what is not filtered is not written: the filter may be there to mask
            self._tell_of(record)
            return False
        if passed:  # since Python 3.12 a filter may answer with another record
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return passed

    def format(self, record: logging.LogRecord) -> str:
        """Return what the formatter renders of *record*; without one, its line less the newline.

        A subclass that overrides it decides what is written, as a formatter does.

        Raises:
            Exception: the formatter raises, or the message does not take its arguments.
        """
        if self.formatter is not None:
            return self.formatter.format(restored(record))
        return self._encoder.record(record)[1][:-1].decode()

    def emit(self, record: logging.LogRecord) -> None:  # noqa: C901, PLR0912 - one way for each failure
        """Append *record* to its session's file; a failure counts and goes to :meth:`handleError`."""
        try:
            if echoing and is_echo(record):
                return
            if self.formatter is not None or self._has_own_format:
                sid, line = self._formatted(self.format(record), record)
            else:
                encoder = self._encoder
                later = self._later
                parts = encoder.parts(record, lasting=later is not None)
                if parts is None:
                    sid, line = encoder.of_any(record)
                elif later is None:
                    sid, line = encoder.line(parts)
                else:
                    # Without the record: what one thread makes and another frees is slow to
                    # make anew.
                    later.append(None, parts, parts)
                    return
        except RecordedError:
            return
        except Exception as trouble:  # noqa: BLE001 - logging never raises into the application
            try:
                is_raw = self._write_raw(record, trouble)
            except Exception:  # noqa: BLE001 - there may be no stack left for it
                is_raw = False
            if not is_raw:
                missed = self._missed
                missed += ONE  # by no call, for the same reason
            try:  # noqa: SIM105 - suppress() is a call, too
                self._tell_of(record)
            except Exception:  # noqa: BLE001, S110 - no stack for that either
                pass
            return
        try:
            self._writer.append(sid, line, record)
        except Exception:  # noqa: BLE001
            missed = self._missed
            missed += ONE
            try:  # noqa: SIM105 - suppress() is a call, too
                self._tell_of(record)
            except Exception:  # noqa: BLE001, S110
                pass

    def _write_raw(self, record: logging.LogRecord, trouble: Exception) -> bool:
        """Write what *record* was made from, which *trouble* kept from being formatted.

        Returns:
            Whether that was tried; what came of it is counted then.
        """
        if isinstance(trouble, RecursionError):
            return False  # there may be no stack left for it
        row = self._encoder.rows.of_failed(record)
        line = encode_line(row)
        if self._writer.append(row["session_id"], line, record):
            pid = os.getpid()
            self._raw[pid] = self._raw.get(pid, 0) + 1
        return True

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Report the exception being handled on stderr, as logging does; not what stderr logs then."""
        report(record)

    def _tell_of(self, record: logging.LogRecord) -> None:
        """Count what was missed, and hand *record* and the exception to :meth:`handleError`."""
        with contextlib.suppress(Exception):
            self._writer.lose(0, stamp_of(record.__dict__)[0].get("session_id", UNKNOWN))
        with contextlib.suppress(Exception):  # its stderr may be closed
            self.handleError(record)

    def _formatted(self, rendered: str, record: logging.LogRecord) -> tuple[str, bytes]:
        """Return whose line *rendered* is, and the line."""
        fields = record.__dict__
        rows = self._encoder.rows
        line, sid = as_line(rendered, None if rows.redact is None else rows.cleaned)
        if line is None and (record.exc_info or record.exc_text or record.stack_info):
            line, sid = self._unfolded(rendered)
        own = stamp_of(fields)[0].get("session_id", UNKNOWN)
        if sid is None or sid == fields.get(ABSENT):
            sid = own
        elif sid != own and rendered == restored(record).getMessage():
            return self._encoder.record(record)  # no formatter's JSON: anybody's text may be one
        return sid, encode_line(rows.of_text(rendered, record)) if line is None else line

    def _unfolded(self, rendered: str) -> tuple[bytes | None, str | None]:
        """Return the line that *rendered* is, if it is JSON with a traceback behind, and its session."""
        head, _, folded = rendered.partition("\n")
        row = json_object(head)
        if not row or not folded:
            return None, None
        if "exception" not in row and not folded.startswith("Stack "):
            row["exception"] = exceptions.of_text(folded)
        rows = self._encoder.rows
        return as_line(encode_line(row), None if rows.redact is None else rows.cleaned)

    @property
    def lost(self) -> int:
        """How many records were dropped, could not be written, or were written raw so far.

        A record is written raw, its message and arguments as they are, where its formatting fails.
        """
        return self._writer.lost + self._raw.get(os.getpid(), 0)

    def flush(self) -> None:
        """Wait until the writer thread has written what it was given (background mode)."""
        self._writer.flush()

    def close(self) -> None:
        """Flush and close the files; a record that comes later opens its file again."""
        self._writer.close()
        super().close()

    def _report(self, record: logging.LogRecord | Parts) -> None:
        self.handleError(record if isinstance(record, logging.LogRecord) else made_anew(record))
