"""Handlers that make events of records, which come back as records: told by who is handling what."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

NEAR = 20
"""How many callers are looked at, structlog's included, for a handler that logs."""


def says(record: logging.LogRecord, text: str, args: tuple[Any, ...]) -> bool:
    """Tell whether the text of *record* is *text* with *args*."""
    try:
        return record.getMessage() == (text % args if args else text)
    except Exception:  # noqa: BLE001 - its arguments do not fit
        return isinstance(record.msg, str) and str(record.msg) == text


def reaches_root(name: str) -> bool:
    """Tell whether what the logger *name* says is handed to the root logger's handlers."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None and logger.parent is not None:
        if not logger.propagate:
            return False
        logger = logger.parent
    return True


def is_around(logger: logging.Logger, text: Any, frame: Any) -> bool:
    """Tell whether *logger* is handling a record that says *text*: it would do so for ever."""
    around = next(records_being_handled(frame, NEAR), None)
    return around is not None and around.name == logger.name and says(around, text, ())


def records_being_handled(frame: Any, most: int | None) -> Iterator[logging.LogRecord]:
    """Yield the records that handlers beneath *frame* are handling, the innermost first.

    Args:
        frame: where to begin; its callers are looked at.
        most: how many callers to look at; ``None`` for all.
    """
    while frame is not None and most != 0:
        code = frame.f_code
        if code is _HANDLE or code is _CALL_HANDLERS:
            record = frame.f_locals.get("record")
            if isinstance(record, logging.LogRecord):
                yield record
        if most is not None:
            most -= 1
        frame = frame.f_back


_HANDLE = logging.Handler.handle.__code__
_CALL_HANDLERS = logging.Logger.callHandlers.__code__
