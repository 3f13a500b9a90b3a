"""What each program of this directory does: log six lines, in a session where we are there.

``BESIDE`` in the environment says what of ours is there: ``configure``, ``handler``, or nothing. What the
program logs, and under which trace, goes to ``logged.jsonl``; what the other tool makes of it, to
``events.jsonl``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import logging.config
import os
import sys
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

BESIDE = os.environ.get("BESIDE", "")
ORDERS = (1, 2)
SESSION = "s1"
PRINTED = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}
HEADERS = {"X-TraceCtrl-Session": SESSION}


def set_up(
    theirs: dict[str, Any] | None = None,
    formatter: dict[str, Any] | None = None,
    filters: dict[str, Any] | None = None,
) -> None:
    """Set logging up: the handler *theirs*, and ours where it is wired by ``dictConfig``, too."""
    form = formatter or {"format": "%(levelname)s %(name)s %(message)s"}
    handlers = {
        "theirs": {"formatter": "theirs", "filters": [*(filters or ())], **(theirs or PRINTED)}
    }
    if BESIDE == "handler":
        handlers["session"] = {"class": "tracectrl_logging.SessionFileHandler"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"theirs": form},
            "filters": filters or {},
            "handlers": handlers,
            "root": {"level": "INFO", "handlers": [*handlers]},
        }
    )
    add_ours_last()


def add_ours_first() -> None:
    """Wire the handler by ``dictConfig``, where the other tool has a function that sets it up."""
    if BESIDE == "handler":
        session_file = {"class": "tracectrl_logging.SessionFileHandler"}
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "handlers": {"session": session_file},
                "root": {"level": "INFO", "handlers": ["session"]},
            }
        )


def add_ours_last() -> None:
    """Call ``configure()``."""
    if BESIDE == "configure":
        from tracectrl_logging import configure  # noqa: PLC0415 - only where we are there

        configure(console=None)


def session() -> AbstractContextManager[Any]:
    """Return the session that the program works in, where something of ours is there."""
    if not BESIDE:
        return contextlib.nullcontext()
    from tracectrl.session import session  # noqa: PLC0415 - as above

    return session(SESSION)


def packed(**message: Any) -> dict[str, Any]:
    """Return *message* for another process, with the session where something of ours is there."""
    if not BESIDE:
        return message
    from tracectrl.workers import pack  # noqa: PLC0415 - as above

    return pack(message)


def unpacked(message: dict[str, Any]) -> AbstractContextManager[Any]:
    """Return what continues the session of *message*."""
    if not BESIDE:
        return contextlib.nullcontext()
    from tracectrl.workers import unpack  # noqa: PLC0415 - as above

    return unpack(message)


def middleware(application: Any, *, wsgi: bool = False) -> Any:
    """Return *application* behind our middleware, where something of ours is there."""
    if not BESIDE:
        return application
    from tracectrl.middleware import (  # noqa: PLC0415 - as above
        SessionMiddleware,
        SessionWSGIMiddleware,
    )

    return SessionWSGIMiddleware(application) if wsgi else SessionMiddleware(application)


def work(order: int, logger: Any = None, **options: Callable[..., Any]) -> None:
    """Log three lines about *order*, by the standard library's logger unless another is given."""
    log = logger or logging.getLogger("shop")
    extra = options.get("extra", lambda **fields: {"extra": fields})
    packed, low, declined = (
        f"order {order}: {what}" for what in ("packed", "stock is low", "card declined")
    )
    _witness(packed)
    log.info(packed, **extra(sku="A-17"))
    _witness(low)
    log.warning(low)
    try:
        {}["card"]
    except KeyError:
        _witness(declined)
        log.exception(declined)


def all_orders(logger: Any = None, **options: Callable[..., Any]) -> None:
    """Work on each order, in the session."""
    with session():
        for order in ORDERS:
            work(order, logger, **options)


def done() -> None:
    """End as the programs do: by a line on stdout and an exit status of their own."""
    sys.stdout.write("done\n")
    sys.stdout.flush()
    sys.exit(3)


def emit(event: Any) -> None:
    """Keep what the other tool emitted."""
    _append("events.jsonl", event)


def _witness(message: str) -> None:
    context = trace.get_current_span().get_span_context()
    row = {"message": message}
    if context.is_valid:
        row["trace_id"] = f"{context.trace_id:032x}"
    _append("logged.jsonl", row)


def _append(name: str, row: Any) -> None:
    line = json.dumps(row, default=repr, sort_keys=True) + "\n"
    directory = os.environ["BESIDE_DIRECTORY"]
    with open(os.path.join(directory, name), "a", encoding="utf-8") as file:
        file.write(line)
