"""``InterceptHandler`` of its documentation on the root logger; loguru writes to stdout."""

from __future__ import annotations

import inspect
import logging
import sys

import shop
from loguru import logger


class InterceptHandler(logging.Handler):
    """Hands records to loguru, as its documentation has it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log *record* with loguru."""
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        frame, depth = inspect.currentframe(), 0
        while frame:
            filename = frame.f_code.co_filename
            is_logging = filename == logging.__file__
            is_frozen = "importlib" in filename and "_bootstrap" in filename
            if depth > 0 and not (is_logging or is_frozen):
                break
            frame, depth = frame.f_back, depth + 1
        logger.opt(depth=depth, exception=record.exc_info).log(level, record.getMessage())


logger.remove()
logger.add(sys.stdout, format="{level} {name}:{function} {message}", backtrace=False)
shop.set_up({"()": InterceptHandler})
shop.all_orders()
shop.done()
