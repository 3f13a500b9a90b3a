"""The errors that end a command: one line on stderr, and an exit status."""

from __future__ import annotations

import click

from tracectrl_logging.cli.exit_status import NOT_FOUND, UNUSABLE


class NotFoundError(click.ClickException):
    """Nothing matched: one line on stderr, and the exit status 1."""

    exit_code = NOT_FOUND


class UnusableError(click.ClickException):
    """Wrong use or unreadable input: one line on stderr, and the exit status 2."""

    exit_code = UNUSABLE
