"""``tracectrl-logs doctor``: what keeps a set-up from working."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import click

from tracectrl.files.names import TRACE_DIR_ENV, is_address, root_dir, root_path
from tracectrl_logging.cli.errors import UnusableError
from tracectrl_logging.cli.options import json_option, root_option
from tracectrl_logging.cli.text import shown, write_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from tracectrl_logging.doctor import Finding

_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan", "ok": "green"}
_WIDTH = len("warning  ")


@click.command(
    context_settings={"allow_interspersed_args": False},
    short_help="Say what keeps a set-up from working.",
)
@click.argument("program", metavar="[-- PROGRAM [ARGS]...]", nargs=-1, type=click.UNPROCESSED)
@json_option("severity, check, subject, message, mend, count, positions")
@click.option(
    "--compare",
    metavar="DIR",
    help="With the URL of a store: compare its sessions with those of this trace directory.",
)
@root_option
def doctor(
    root: str | None, program: tuple[str, ...], *, as_json: bool, compare: str | None
) -> None:
    """Say what keeps a set-up from working, and what to do.

    Without a PROGRAM, the installation and the trace directory are examined: permissions, damaged
    lines, files that are cut off or have strange names, clocks that differ, session IDs scrubbed by
    a redaction tool, another distribution with the same packages.

    With --root clickhouse://..., the store is examined: whether it answers, what "setup" would add, clocks, how
    far behind each machine's "ship" is; with --compare DIR, whether it has the lines of that directory.

    A PROGRAM is run, and its Python processes are examined when they end or get SIGTERM: records
    that reach no session file, loggers that do not propagate or are disabled, filters on our
    handlers, handlers that keep records, queues, structlog, the tracer provider, propagators. The
    program's own output passes through; the findings follow on stdout.

    A finding is a problem (error or warning), an info, or ok; --json prints one row for each.

    \b
    Examples:
      tracectrl-logs doctor
      tracectrl-logs doctor --root /var/log/traces --json
      tracectrl-logs doctor --root clickhouses://reader@ch.example/otel
      tracectrl-logs doctor -- python app.py
      tracectrl-logs doctor -- uvicorn app:app

    Exit status: 0 healthy, 1 problems were found, 2 wrong use, or PROGRAM could not be started. The
    program's own exit status is printed on stderr.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    from tracectrl_logging.doctor import examine_files  # noqa: PLC0415 - not for ``--help``

    if is_address(root):
        if program:
            text = "a PROGRAM writes to a trace directory; --root must be one, got a URL"
            raise UnusableError(text)
        findings = _examined(str(root), compare)
    elif compare is not None:
        text = "--compare goes with --root URL, a store of many machines, alone"
        raise UnusableError(text)
    else:
        findings = _run(program, root) if program else examine_files(root)
    put = _printer(as_json=as_json)
    problems = 0
    for finding in findings:
        problems += finding.is_problem
        put(finding)
    if not as_json and not problems:
        click.echo("nothing wrong found")
    sys.exit(1 if problems else 0)


def _examined(url: str, compare: str | None) -> Iterable[Finding]:
    """Yield what is found in a store, which is compared with a directory."""
    from tracectrl_logging.shipping.examination import examine_store  # noqa: PLC0415 - one of several ways

    try:
        yield from examine_store(url, None if compare is None else root_dir(compare))
    except (ValueError, ImportError) as error:
        raise UnusableError(shown(str(error))) from error


def _run(program: tuple[str, ...], root: str | None) -> Iterable[Finding]:
    """Run *program* and return what was found in it."""
    from tracectrl_logging.doctor import Finding, environment, gather  # noqa: PLC0415 - as above

    with tempfile.TemporaryDirectory(prefix="tracectrl-doctor-") as directory:
        env = environment(os.environ, directory)
        if root is not None:
            env[TRACE_DIR_ENV] = os.path.abspath(root_path(root))
        sys.stdout.flush()
        try:
            status = _status_of(program, env)
        except OSError as error:
            text = f"cannot start '{shown(program[0])}': {error.strerror}"
            raise UnusableError(text) from error
        findings, processes = gather(directory)
    click.echo(f"{shown(program[0])} ended with exit status {status}", err=True)
    if not processes:
        findings = [
            Finding(
                severity="error",
                check="not-observed",
                subject=program[0],
                message="no Python process with this package left its findings",
                mend="start it with the Python that tracectrl-logging is installed for; it was"
                " killed, or it ignores PYTHONPATH (python -I, -E, -S)",
            )
        ]
    return findings


def _status_of(program: tuple[str, ...], env: dict[str, str]) -> int:
    """Run *program* to its end and return its exit status; SIGTERM is forwarded to it.

    Raises:
        OSError: the program cannot be started.
    """
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []  # before there is a process

    def hand_on(number: int, frame: FrameType | None) -> None:
        del frame
        if process is None:
            early.append(number)
        else:
            process.send_signal(number)

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, hand_on)}
    try:
        process = subprocess.Popen(program, env=env)  # noqa: S603 - to run it is the point
        # An interrupt from the terminal goes to both already; the process does not ignore it.
        before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in early:
            process.send_signal(number)
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _printer(*, as_json: bool) -> Callable[[Finding], None]:
    if as_json:
        from tracectrl._json import encode_line  # noqa: PLC0415 - one of two ways

        return lambda finding: write_line(encode_line(finding.row())[:-1])
    from tracectrl_logging.cli.render.screen import Screen  # noqa: PLC0415 - as above

    screen = Screen()

    def put(finding: Finding) -> None:
        said = [(finding.check, "bold"), (f": {shown(finding.subject)}: ", "")]
        said.append((shown(finding.message), ""))
        if finding.count > 1 and finding.is_problem:
            said.append((f" ({finding.count})", "dim"))
        if finding.mend:
            said.append((f"\nmend: {shown(finding.mend)}", "cyan"))
        said.extend((f"\n  {shown(position)}", "dim") for position in finding.positions)
        first = [(f"{finding.severity:<{_WIDTH}}", _STYLES[finding.severity])]
        screen.line(said, first)

    return put
