"""The stamp at a record's creation, for every handler in the process."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from tracectrl.attributes import described
from tracectrl.schema import STAMP_KEYS
from tracectrl_logging.stamp import add_attributes, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAX_FRAMES = 5
_NO_IDS: dict[str, str | None] = dict.fromkeys(STAMP_KEYS)


class _StampingFactory:
    """Wraps a record factory; can be told to stop where it cannot be taken out any more."""

    def __init__(self, inner: Callable[..., logging.LogRecord]) -> None:
        self.inner = inner
        self.active = True

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.inner(*args, **kwargs)
        if self.active:
            fields = record.__dict__
            extra = _extra_of_caller()
            for key, value in {**_NO_IDS, **stamp()}.items():
                if key not in fields and key not in extra:
                    fields[key] = value
            if described:
                add_attributes(fields, {*fields, *extra})
        return record


_installed: _StampingFactory | None = None


def install_record_factory() -> None:
    """Stamp every record at its creation; the present record factory makes the records.

    Installing twice changes nothing. Records that arrive ready-made (``logging.makeLogRecord``,
    from a socket or queue) are stamped like new ones where they bring no stamp.
    """
    global _installed  # noqa: PLW0603 - logging has one record factory per process
    if _installed is not None and _installed.active:
        return
    _installed = _StampingFactory(logging.getLogRecordFactory())
    logging.setLogRecordFactory(_installed)


def uninstall_record_factory() -> None:
    """Stop the stamping and put back the factory that was there.

    A factory that was installed on top of ours stays; ours stops stamping beneath it.
    """
    global _installed  # noqa: PLW0603
    if _installed is None:
        return
    _installed.active = False
    if logging.getLogRecordFactory() is _installed:
        logging.setLogRecordFactory(_installed.inner)
    _installed = None


def _extra_of_caller() -> Mapping[str, Any]:
    """Return the ``extra=`` of the logging call under way.

    ``Logger.makeRecord`` raises KeyError for an extra that the factory has set already, and hands
    the factory no extra: it is read from the frame.
    """
    frame = sys._getframe(2)  # noqa: SLF001 - the documented way to a caller's frame
    for _ in range(_MAX_FRAMES):
        if frame.f_code.co_name == "makeRecord":
            return frame.f_locals.get("extra") or {}
        if frame.f_back is None:
            break
        frame = frame.f_back
    return {}
