"""Log lines about the blocks of a session: ``session.start`` and ``session.end``, OpenTelemetry's names.

https://opentelemetry.io/docs/specs/semconv/general/session/. They go through the standard library's
logging, to whichever handlers there are. Each names its block and its process, so that a block without
an end is known to go on, or to have been left.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from tracectrl.files.presence import announce_everywhere
from tracectrl.schema import BLOCK_KEY, PID_KEY, PRESENCE_KEY, SESSION_END, SESSION_START

if TYPE_CHECKING:
    from typing import Final

EVENT_LOGGER: Final = "tracectrl.session"
"""The logger that these lines name; they are at INFO."""

_BLOCK_BYTES: Final = 8
_logger = logging.getLogger(EVENT_LOGGER)


class BlockEvents:
    """The events of one object that begins and ends blocks, several at once perhaps."""

    def __init__(self) -> None:
        self._open: list[tuple[object, str, str]] = []

    def begun(self, sid: str, entry: object) -> None:
        """Say that a block of the session *sid* has begun, which *entry* stands for."""
        block = os.urandom(_BLOCK_BYTES).hex()
        self._open.append((entry, sid, block))
        _log(SESSION_START, sid, block, None)

    def ended(self, entry: object, error: BaseException | None) -> None:
        """Say that the block of *entry* has ended, by *error*; ``None`` stands for the last that began."""
        for index in range(len(self._open) - 1, -1, -1):
            if entry is None or self._open[index][0] is entry:
                _, sid, block = self._open.pop(index)
                _log(SESSION_END, sid, block, error)
                return


def _log(event: str, sid: str, block: str, error: BaseException | None) -> None:
    try:
        if not _logger.isEnabledFor(logging.INFO):
            return
        extra: dict[str, Any] = {"session_id": sid, "event.name": event, BLOCK_KEY: block}
        extra[PID_KEY] = os.getpid()
        presence_id = announce_everywhere()
        if presence_id is not None:
            extra[PRESENCE_KEY] = presence_id
        _logger.info(event, extra=extra, exc_info=error)
    except Exception:  # noqa: BLE001, S110 - a filter of the application's may raise anything
        pass
