"""Capture, handed from one process to the next in environment variables."""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING

from tracectrl.files.names import TRACE_DIR_ENV, root_path
from tracectrl.remote import from_environment
from tracectrl.session import SESSION_ID_ENV, mint
from tracectrl_logging.capture.process import Capture

if TYPE_CHECKING:
    from collections.abc import Mapping

CAPTURE_ENV = "TRACECTRL_CAPTURE"
"""Set where the process is to be captured: to the name of a level, or to nothing for the default."""

SITE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")
"""The directory with the ``sitecustomize`` that calls :func:`start`, and with nothing else."""


def environment(
    base: Mapping[str, str],
    session_id: str,
    *,
    root: str | os.PathLike[str] | None = None,
    service_name: str | None = None,
    level: str | None = None,
) -> dict[str, str]:
    """Return *base* with what makes a Python process, and its children, captured.

    The trace directory goes in absolute, since a program may change its working directory.
    """
    paths = [path for path in base.get("PYTHONPATH", "").split(os.pathsep) if path != SITE_DIR]
    if paths == [""]:  # it was not set: an empty entry would be the working directory
        paths = []
    env = {
        **base,
        "PYTHONPATH": os.pathsep.join([SITE_DIR, *paths]),
        SESSION_ID_ENV: session_id,
        TRACE_DIR_ENV: os.path.abspath(root_path(root)),
        CAPTURE_ENV: level or "",
    }
    if service_name:
        env["OTEL_SERVICE_NAME"] = service_name
    return env


def start() -> None:
    """Capture this process, where its environment says so; never raises.

    A process that cannot be captured runs on: one line on stderr says why it is not.
    """
    level = os.environ.get(CAPTURE_ENV)
    if level is None:
        return
    try:
        capture = Capture(mint(), level=level or None)
        capture.install()
        scope = from_environment()
        if scope is not None:
            scope.__enter__()  # for as long as the process lives
    except Exception as error:  # noqa: BLE001 - the program is not ours to stop
        print(f"tracectrl-logs run: nothing is captured: {error}", file=sys.stderr)  # noqa: T201
    else:
        # First in, last out: what the program logs from its own exit handlers is captured, too.
        atexit.register(capture.uninstall)
