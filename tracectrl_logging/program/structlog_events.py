"""structlog, read as it passes.

structlog stays as the program configured it, or did not. Where its own loop asks a bound logger for
the processors, and nowhere else, the answer is a list made for that one run: the program's
processors, and ours between them. These see the event as the program's processors leave it (what they
drop or mask is dropped and masked here, too). Where structlog's own renderer made the text that comes
out at the end, the event is what was rendered; an APM agent puts a processor of its own behind the
renderer. Where anything else did, the event is what the text shows of it. What they have seen lives
as long as the run.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any

from structlog import BoundLoggerBase
from structlog.processors import NAME_TO_LEVEL

from tracectrl_logging.structlog.logger_factory import SessionFileLogger
from tracectrl_logging.structlog.rendering import event_of, renamed

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
            held.rendered = rendered
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
    text: object = None  # what it was rendered to
    renderer: object = None  # by which processor

    def look_before(processor: Any) -> Any:
        def look(_logger: Any, _method: str, event: Any) -> Any:
            nonlocal text, renderer
            with contextlib.suppress(Exception):
                if isinstance(event, dict):
                    seen.clear()
                    seen.update(event)
                    text, renderer = None, processor
                elif text is None:
                    text = event
            return event

        return look

    def confirm(logger: Any, method: str, rendered: Any) -> Any:
        with contextlib.suppress(Exception):
            event = event_of(
                rendered,
                seen,
                renderer=renderer,
                text=rendered if text is None else text,
                is_last=text is None,
            )
            rendered = _of_its_own(rendered)
            take(logger, method, renamed(event, chain), rendered)
        return rendered

    return [*(each for it in chain for each in (look_before(it), it)), confirm]


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
