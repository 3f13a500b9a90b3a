"""The commands by name, each imported when it is asked for."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from tracectrl_logging.cli.errors import UnusableError
from tracectrl_logging.cli.exit_status import INTERRUPTED
from tracectrl_logging.cli.options import COMPLETE_VARIABLE, root_option
from tracectrl_logging.cli.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMMANDS = {
    "sessions": "tracectrl_logging.cli.commands.sessions:sessions",
    "show": "tracectrl_logging.cli.commands.show:show",
    "why": "tracectrl_logging.cli.commands.why:why",
    "diff": "tracectrl_logging.cli.commands.diff:diff",
    "grep": "tracectrl_logging.cli.commands.grep:grep",
    "tail": "tracectrl_logging.cli.commands.tail:tail",
    "query": "tracectrl_logging.cli.commands.query:query",
    "view": "tracectrl_logging.cli.commands.view:view",
    "mcp": "tracectrl_logging.cli.commands.mcp:mcp",
    "skill": "tracectrl_logging.cli.commands.skill:skill",
    "export": "tracectrl_logging.cli.commands.export:export",
    "doctor": "tracectrl_logging.cli.commands.doctor:doctor",
    "prune": "tracectrl_logging.cli.commands.prune:prune",
    "compress": "tracectrl_logging.cli.commands.compress:compress",
    "setup": "tracectrl_logging.cli.commands.setup:setup",
    "ship": "tracectrl_logging.cli.commands.ship:ship",
    "run": "tracectrl_logging.cli.commands.run:run",
    "demo": "tracectrl_logging.cli.commands.demo:demo",
    "completion": "tracectrl_logging.cli.commands.completion:completion",
}


class Group(click.Group):
    """A group whose commands are imported lazily, and whose failures are one line each."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of ``--help``."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command called *cmd_name*, imported now."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), name)
        if not isinstance(command, click.Command):
            msg = f"{module}.{name} is not a command"
            raise TypeError(msg)
        return command

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command, or answer the shell that completes it."""
        if os.environ.get(COMPLETE_VARIABLE):
            from tracectrl_logging.cli.shells import register  # noqa: PLC0415 - for a shell

            register()
        return super().main(*args, **extra)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the command line; messages about mistakes have their control characters escaped."""
        with _quiet_ends(), _shown_mistakes():  # --help and --version print here
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors and interrupts become exit statuses."""
        with _quiet_ends(), _shown_mistakes():
            return super().invoke(ctx)


@contextlib.contextmanager
def _shown_mistakes() -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:  # it may quote an argument
        from tracectrl_logging.console import escaped  # noqa: PLC0415 - for a mistake only

        error.message = escaped(error.message)  # type: ignore[misc] # or all kinds are made anew
        raise


@contextlib.contextmanager
def _quiet_ends() -> Iterator[None]:
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # ``| head``: whoever reads has seen enough
        _drop_output()
        raise click.exceptions.Exit(0) from None
    except KeyboardInterrupt:
        raise click.exceptions.Exit(INTERRUPTED) from None
    except OSError as error:
        _drop_output()  # what could be written has been; the rest would be tried again at the end
        name = "" if error.filename is None else f": {shown(os.fsdecode(error.filename))}"
        text = f"{error.strerror or error}{name}"
        raise UnusableError(text) from error


def _drop_output() -> None:
    """Point stdout nowhere, so that the interpreter's last flush has nothing to complain about."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tracectrl-logging", message="%(prog)s %(version)s")
@root_option
@click.pass_context
def group(ctx: click.Context, root: str | None) -> None:
    """Read the log lines and spans of sessions, and keep their files in bounds.

    The trace directory is --root DIR, else $TRACECTRL_TRACE_DIR, else ./traces. Those commands that only
    read take a store of many machines, too: --root clickhouse://USER@HOST/DATABASE, or $TRACECTRL_STORE.

    \b
    Examples:
      tracectrl-logs sessions
      tracectrl-logs show a1b2c3d4
      tracectrl-logs grep -F 'payment refused' -l

    Exit status: 0 something was found, 1 nothing matched, 2 wrong use or unreadable input. Damaged
    lines are named on stderr and all others are shown; the status is 2 only if none is left.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    ctx.obj = root
