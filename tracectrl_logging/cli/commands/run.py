"""``tracectrl-logs run``: any Python program, unchanged, in a session."""

from __future__ import annotations

import os
import sys

import click

from tracectrl.files.names import LOG_SUFFIX, log_path
from tracectrl.files.write.appender import Appender
from tracectrl.session import checked, mint
from tracectrl_logging.cli.errors import UnusableError
from tracectrl_logging.cli.options import directory_option
from tracectrl_logging.cli.text import shown
from tracectrl_logging.program.run import environment


@click.command(
    # What follows SCRIPT.py or MODULE is the program's, whatever it looks like.
    context_settings={"allow_interspersed_args": False},
    short_help="Run a Python program in a session.",
)
@click.option("--session", metavar="ID", help="The session to run in.  [default: a new one]")
@directory_option
@click.option("--service", metavar="NAME", help="The service of all lines and spans.")
@click.option(
    "--level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], case_sensitive=False),
    help="Write this level and above.  [default: INFO, and what the program itself lets through]",
)
@click.option("-m", "as_module", is_flag=True, help="Run a module, as python -m does.")
@click.option("-v", "--verbose", is_flag=True, help="Print on stderr where the lines go.")
@click.argument("program", metavar="SCRIPT.py|MODULE")
@click.argument("arguments", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
def run(
    *,
    session: str | None,
    root: str | None,
    service: str | None,
    level: str | None,
    as_module: bool,
    verbose: bool,
    program: str,
    arguments: tuple[str, ...],
) -> None:
    """Run SCRIPT.py, or with -m a MODULE, unchanged, in a session.

    The program runs as it would alone: output, input, arguments, exit status, tracebacks and the
    logging set-up are its own. Its log records and spans are written to the session's files as well:

    \b
    - records of stdlib logging that reach a logger's handlers, and those from INFO up that only
      the root logger's level holds back, where logging's own methods make them;
    - structlog events, as they are before the last processor renders them;
    - records of loguru, with the IDs of the moment of the call;
    - spans of the tracer provider that the program sets, or of its tracers while there is none;
    - an uncaught exception, as a line of the logger tracectrl.run in the session of the raise.

    Not captured: printed text, other logging libraries, disabled loggers, and spans of a
    provider that is not OpenTelemetry's global one. A program that sets up tracectrl_logging itself
    keeps that set-up.

    Child processes find the session in TRACECTRL_SESSION_ID; children of the same Python are
    captured, too, by a directory in front of PYTHONPATH. Options of the interpreter go into the
    environment: PYTHONWARNINGS, PYTHONDEVMODE.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    try:
        sid = _utf8(mint() if session is None else checked(session))
        Appender(
            root, LOG_SUFFIX
        )  # a root that cannot be written to is said before the program runs
    except (ValueError, OSError) as error:
        raise UnusableError(shown(str(error))) from error
    env = environment(os.environ, sid, root=root, service_name=service, level=level)
    if verbose:
        click.echo(f"session {shown(sid)}: {shown(str(log_path(sid, root)))}", err=True)
    sys.stdout.flush()
    command = [sys.executable, *(["-m"] if as_module else []), program, *arguments]
    os.execve(sys.executable, command, env)  # noqa: S606 - no shell: to run it is the point


def _utf8(sid: str) -> str:
    """Return *sid*, which was bytes; others arrive as another ID in what the program calls or starts.

    Raises:
        ValueError: they are no UTF-8.
    """
    try:
        sid.encode()
    except UnicodeEncodeError as error:
        msg = f"the session ID {sid!r} is not UTF-8 text; give one that is"
        raise ValueError(msg) from error
    return sid
