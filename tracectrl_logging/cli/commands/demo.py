"""``tracectrl-logs demo``: two real agents, twenty sessions, one timeline."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import click

from tracectrl.errors import MissingExtraError, require
from tracectrl.files.names import LOG_SUFFIX, log_path, root_path
from tracectrl.files.write.appender import Appender
from tracectrl_logging.cli.errors import UnusableError
from tracectrl_logging.cli.exit_status import exit_on_sigterm
from tracectrl_logging.cli.options import directory_option

SESSIONS = 20


@click.command(short_help="Show it all on two agents and twenty sessions.")
@click.option(
    "--view", is_flag=True, help="Open the page meanwhile, and serve it until it is interrupted."
)
@click.option(
    "--no-browser", is_flag=True, help="With --view: print the address, and open no browser."
)
@directory_option
def demo(*, root: str | None, view: bool, no_browser: bool) -> None:
    """Run two agents that serve twenty sessions at once, then show one of them.

    The agents are FastAPI applications in two processes, on free ports of this machine; the first
    asks the second over HTTP. They end with the demo; the session files stay. Needs the extra
    "demo", and with --view the extra "viewer".
    """
    directory = str(root_path(root))
    try:
        require("tracectrl-logs demo", "demo", "fastapi", "httpx", "uvicorn")
        if view:
            require("tracectrl-logs demo --view", "viewer", "starlette", "jinja2")
    except MissingExtraError as error:
        raise UnusableError(str(error)) from error
    Appender(directory, LOG_SUFFIX)  # raises where the root cannot be written to
    from tracectrl_logging.demo.runner import AgentError, run_sessions  # noqa: PLC0415

    page = _page(directory, no_browser=no_browser) if view else None
    if page is not None:  # which ends with this, however it ends
        exit_on_sigterm()
    click.echo(f"Two agents are serving {SESSIONS} sessions ...", err=True)
    try:
        ids = run_sessions(directory, SESSIONS)
        if page is not None:
            click.echo(f"{SESSIONS} sessions are on the page; Ctrl-C ends it", err=True)
            raise SystemExit(page.wait())
    except AgentError as error:
        raise click.ClickException(str(error)) from error
    finally:
        if page is not None:
            page.terminate()
            page.wait()
    sid = ids[0]  # one that both agents have trouble with
    click.echo(
        f"{SESSIONS} sessions, each in two processes, have their lines in {directory}{os.sep}.\n"
        f"This is one of them, {sid}:\n"
    )
    sys.stdout.flush()
    show = [sys.executable, "-m", "tracectrl_logging.cli", "show", sid, "--root", directory]
    status = subprocess.run(show, check=False).returncode  # noqa: S603 - our own module
    click.echo("\nTry next:\n")
    for line in _next_steps(sid, directory):
        click.echo(f"  {line}")
    if status:
        raise SystemExit(status)


def _page(directory: str, *, no_browser: bool) -> subprocess.Popen[bytes]:
    """Start the command that serves the page; it prints the address."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    command = [sys.executable, "-m", "tracectrl_logging.cli", "view", "--root", directory]
    if no_browser:
        command.append("--no-browser")
    return subprocess.Popen(command)  # noqa: S603 - our own module


def _next_steps(sid: str, directory: str) -> list[str]:
    quoted = shlex.quote(directory)
    option = "" if directory == "traces" else f" --root {quoted}"
    errors = shlex.quote('select(.level == "ERROR") | .message')
    return [
        f"grep -l {sid} {quoted}/*",
        f"jq -r {errors} {shlex.quote(str(log_path(sid, directory)))}",
        f"tracectrl-logs sessions{option}",
        f"tracectrl-logs show {sid}{option}",
        f"tracectrl-logs grep 'tool call failed'{option}",
    ]
