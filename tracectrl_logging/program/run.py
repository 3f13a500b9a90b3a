"""The capture of ``run``, handed from one process to the next in environment variables."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING

from tracectrl.files.names import TRACE_DIR_ENV, root_path
from tracectrl.remote import from_environment
from tracectrl.session import SESSION_ID_ENV, mint
from tracectrl_logging.program.capture import Capture
from tracectrl_logging.program.injection import CAPTURE_ENV, injected

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    env = injected(
        base,
        **{
            SESSION_ID_ENV: session_id,
            TRACE_DIR_ENV: os.path.abspath(root_path(root)),
            CAPTURE_ENV: level or "",
        },
    )
    if service_name:
        env["OTEL_SERVICE_NAME"] = service_name
    return env


def start() -> None:
    """Capture this process, as its environment says.

    Raises:
        OSError: the trace directory cannot be made or written to.
    """
    capture = Capture(mint(), level=os.environ[CAPTURE_ENV] or None)
    capture.install()
    scope = from_environment()
    if scope is not None:
        scope.__enter__()  # for as long as the process lives
    # First in, last out: what the program logs from its own exit handlers is captured, too.
    atexit.register(capture.uninstall)
