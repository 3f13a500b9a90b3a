"""Opens the one writer that stands behind the handler, the structlog loggers and their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tracectrl.files.write.background import DEFAULT_QUEUE_SIZE, Background, Overflow, check_options
from tracectrl.files.write.sink import Sink
from tracectrl.files.write.values import open_appender

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from tracectrl.files.write.appender import Appender


def open_writer(
    root: str | os.PathLike[str] | None,
    suffix: str,
    *,
    report: Callable[[Any], None],
    make: Callable[[Any], tuple[str, bytes]] | None = None,
    beside: Callable[[bytes], object] | None = None,
    max_bytes: int,
    backup_count: int,
    max_open_files: int | None,
    max_sessions_per_minute: int,
    max_value_bytes: int,
    background: bool,
    queue_size: int | None,
    overflow: Overflow,
) -> Sink | Background:
    """Return the writer for these options, which the public classes document.

    Each line is given to *beside*, too, whether or not it could be written; that must not raise.
    """
    size = DEFAULT_QUEUE_SIZE if queue_size is None else queue_size
    check_options(size, overflow)
    if not isinstance(background, bool):
        msg = f"background must be True or False, got {type(background).__name__} {background!r}"
        raise TypeError(msg)
    appender = open_appender(
        root,
        suffix,
        max_value_bytes=max_value_bytes,
        max_open_files=max_open_files,
        max_sessions_per_minute=max_sessions_per_minute,
        max_bytes=max_bytes,
        backup_count=backup_count,
    )
    sink = Sink(appender if beside is None else cast("Appender", _Tee(appender, beside)), report)
    if not background:
        return sink
    options: dict[str, Any] = {} if make is None else {"make": make}
    return Background(sink, queue_size=size, overflow=overflow, **options)


class _Tee:
    """What a sink asks of an appender, with another taker of the lines beside it."""

    def __init__(self, appender: Appender, beside: Callable[[bytes], object]) -> None:
        self._appender = appender
        self._beside = beside
        self.close = appender.close

    def append(self, sid: str, line: bytes) -> None:
        try:
            self._appender.append(sid, line)
        finally:
            self._beside(line)
