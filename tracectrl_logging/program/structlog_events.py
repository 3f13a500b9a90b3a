"""structlog, read as it passes.

structlog stays as the program configured it, or did not. Where its own loop asks a bound logger for
the processors, and nowhere else, the answer is a list made for that one run: the program's
processors, and ours between them. These see the event as the program's processors leave it, up to the
last one (what they drop or mask is dropped and masked here, too). Where one before the last renders
it, and the text stays that, the event is what was rendered; an APM agent puts a processor of its own
behind the renderer. The one behind all knows that the event was rendered. What they have seen lives as
long as the run.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any

import orjson
from structlog import BoundLoggerBase
from structlog.processors import NAME_TO_LEVEL

from tracectrl_logging.structlog.logger_factory import SessionFileLogger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from tracectrl_logging.patches import Patches
    from tracectrl_logging.program.capture import Capture
    from tracectrl_logging.program.stdlib_records import Held

    Take = Callable[[Any, str, dict[str, Any], object], None]

_FIELD = "_processors"


def tap(capture: Capture, held: Held, patches: Patches) -> None:
    """Read what goes through the processors of every bound logger."""

    def take(logger: Any, method: str, event: dict[str, Any], rendered: object) -> None:
        if isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
            # It comes by as a record: as a dict, which is read as it is, or as the text made of it.
            if isinstance(rendered, (str, bytes)) and len(rendered) > 1:
                held.event = (rendered, method, event)
        elif (
            capture.events_wanted
            and not isinstance(logger, SessionFileLogger)
            and NAME_TO_LEVEL.get(method, capture.admitted) >= capture.lowest
        ):
            name = getattr(logger, "name", None)
            capture.write_event(name if isinstance(name, str) else "root", method, event)

    patches.replace(BoundLoggerBase, _FIELD, _Processors(take))


class _Processors:
    """The attribute ``_processors`` of bound loggers, which are none the wiser.

    A logger keeps what it was given under the same name. Everybody but structlog's loop gets that
    very object: it may be copied, put on another logger, compared, or changed in place, as
    ``structlog.testing.capture_logs`` does.
    """

    def __init__(self, take: Take) -> None:
        self._take = take

    def __get__(self, logger: Any, owner: type[Any]) -> Any:
        if logger is None:
            msg = f"type object {owner.__name__!r} has no attribute {_FIELD!r}"
            raise AttributeError(msg)
        try:
            given = logger.__dict__[_FIELD]
        except KeyError:
            msg = f"{type(logger).__name__!r} object has no attribute {_FIELD!r}"
            raise AttributeError(msg) from None
        return _watched(given, self._take) if _is_structlogs_loop(sys._getframe(1)) else given  # noqa: SLF001

    def __set__(self, logger: Any, value: Any) -> None:
        logger.__dict__[_FIELD] = value

    def __delete__(self, logger: Any) -> None:
        try:
            del logger.__dict__[_FIELD]
        except KeyError:
            raise AttributeError(_FIELD) from None


def _is_structlogs_loop(frame: FrameType) -> bool:
    return (
        frame.f_code.co_name == "_process_event"
        and frame.f_globals.get("__name__") == BoundLoggerBase.__module__
    )


def _watched(processors: Iterable[Any], take: Take) -> Iterable[Any]:
    """Return the processors of one run, with those that read it."""
    try:
        chain = list(processors)
    except Exception:  # noqa: BLE001 - to fail with it is structlog's
        return processors
    seen: dict[str, Any] = {}
    text: object = None  # what it was rendered to, by a processor before the last

    def look(_logger: Any, _method: str, event: Any) -> Any:
        nonlocal text
        with contextlib.suppress(Exception):
            if isinstance(event, dict):
                seen.clear()
                seen.update(event)
            elif text is None and seen:
                text = event
            elif event is not text:
                text = event
                said = _parsed(event)
                seen.clear()
                seen.update(said)
        return event

    def confirm(logger: Any, method: str, rendered: Any) -> Any:
        with contextlib.suppress(Exception):
            rendered = _of_its_own(rendered)
            take(logger, method, seen, rendered)
        return rendered

    return [*(each for processor in chain for each in (look, processor)), confirm]


def _of_its_own(rendered: Any) -> Any:
    """Return *rendered* as an object that nobody else has, where it is text.

    Logging hands it back as the ``msg`` of a record, and by that object the record is known to be
    this event's. A text that was rendered before, or stands in the code, may be another's; that of
    a single character always is.
    """
    if type(rendered) is str:
        return (rendered + " ")[:-1]
    if type(rendered) is bytes:
        return (rendered + b" ")[:-1]
    return rendered


def _parsed(rendered: object) -> dict[str, Any]:
    """Return the event that *rendered* says, where a processor before the last rendered it."""
    try:
        event = orjson.loads(rendered)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        event = None
    if isinstance(event, dict):
        return event
    return {"event": rendered if isinstance(rendered, str) else repr(rendered)}
