"""structlog, read as it passes.

structlog stays as the program configured it, or did not. A logger's processors are looked at
through a view that adds two of ours to each run of the chain: one before the last processor, which
sees the event as the program's processors left it (what they drop or mask is dropped and masked
here, too), and one behind, which knows that it was rendered.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson
from structlog import BoundLoggerBase
from structlog.processors import NAME_TO_LEVEL

from tracectrl_logging.loggers import SessionFileLogger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tracectrl_logging.capture.patches import Patches
    from tracectrl_logging.capture.process import Capture
    from tracectrl_logging.capture.records import Held


def tap(capture: Capture, held: Held, patches: Patches) -> None:
    """Read what goes through the processors of every bound logger that is made from here on."""
    initialise = BoundLoggerBase.__init__

    def take(logger: Any, method: str, event: dict[str, Any], rendered: object) -> None:
        if isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
            # It comes by as a record: as a dict, which is read as it is, or as the text made of it.
            if isinstance(rendered, (str, bytes)):
                held.event = (rendered, method, event)
        elif (
            capture.events_wanted
            and not isinstance(logger, SessionFileLogger)
            and NAME_TO_LEVEL.get(method, capture.admitted) >= capture.lowest
        ):
            name = getattr(logger, "name", None)
            capture.write_event(name if isinstance(name, str) else "root", method, event)

    def tapped_initialise(
        self: BoundLoggerBase, logger: Any, processors: Any, context: Any
    ) -> None:
        initialise(self, logger, processors, context)
        if isinstance(processors, list):
            self._processors = Tapped(processors, take)

    patches.replace(BoundLoggerBase, "__init__", tapped_initialise)


class Tapped(Sequence[Any]):
    """A view of a list of processors, with two more in each run.

    A view, because ``structlog.testing.capture_logs`` changes the configured list in place.
    """

    def __init__(
        self, inner: list[Any], take: Callable[[Any, str, dict[str, Any], object], None]
    ) -> None:
        self._inner = inner
        self._take = take

    def __iter__(self) -> Iterator[Any]:
        *first, last = self._inner or [_as_it_is]
        seen: dict[str, Any] = {}

        def look(logger: Any, method: str, event: Any) -> Any:
            del logger, method
            seen.update(event if isinstance(event, dict) else _parsed(event))
            return event

        def confirm(logger: Any, method: str, rendered: Any) -> Any:
            self._take(logger, method, seen, rendered)
            return rendered

        yield from first
        yield look
        yield last
        yield confirm

    def __len__(self) -> int:
        return len(self._inner)

    def __getitem__(self, index: Any) -> Any:
        return self._inner[index]

    def __repr__(self) -> str:
        return repr(self._inner)

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self._inner,)


def _as_it_is(logger: Any, method: str, event: Any) -> Any:
    del logger, method
    return event


def _parsed(rendered: object) -> dict[str, Any]:
    """Return the event that *rendered* says, where a processor before the last rendered it."""
    try:
        event = orjson.loads(rendered)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        event = None
    if isinstance(event, dict):
        return event
    return {"event": rendered if isinstance(rendered, str) else repr(rendered)}
