"""The command ``tracectrl-logs``; this module needs none of the packages that the command does."""

from __future__ import annotations

import gc
import os
import sys

from tracectrl.errors import MissingExtraError, require
from tracectrl_logging.cli.exit_status import INTERRUPTED, UNUSABLE


def main() -> None:
    """Run the command; exits with status 2 and one line where the extra ``cli`` is missing."""
    try:
        _main()
    except KeyboardInterrupt:  # before there is a command, which sees to it itself
        sys.exit(INTERRUPTED)


def _main() -> None:
    _open_closed()
    try:
        require("tracectrl-logs", "cli", "click", "rich")
    except MissingExtraError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(UNUSABLE)
    gc.disable()  # there is nothing to collect among what is being imported
    from tracectrl_logging.cli.group import group  # noqa: PLC0415 - needs click

    gc.freeze()
    gc.enable()
    group(prog_name="tracectrl-logs")


def _open_closed() -> None:
    """Write to nowhere where the caller has closed an output (``>&-``), which Python has as None."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - to the end
