"""The exit statuses of the command; nothing of it is imported for them."""

from __future__ import annotations

import signal
import sys

NOT_FOUND = 1
"""Nothing matched."""

UNUSABLE = 2
"""Wrong use or unreadable input."""

INTERRUPTED = 130
"""After Ctrl-C, as shells have it."""


def exit_on_sigterm() -> None:
    """Have SIGTERM raise SystemExit, so that what has to be tidied up is; the status is that of shells."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
