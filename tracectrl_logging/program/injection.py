"""One way into a program: a directory in front of ``PYTHONPATH``, and what is started by it.

Other tools come in the same way (``newrelic-admin``, ``ddtrace-run``, ``opentelemetry-instrument``), and
only one ``sitecustomize`` is imported, the first. Ours runs the next one on the path, as if it were
that one. Theirs may run ours, or not. So ours is kept the first: such a tool is a Python program
mostly, which puts its directory in front and becomes the program by ``os.exec``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from functools import wraps
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

from tracectrl.session import WHOLE_PROGRAM_ENV

if TYPE_CHECKING:
    from collections.abc import Mapping

CAPTURE_ENV = WHOLE_PROGRAM_ENV
"""Set where the process is to be captured: to the name of a level, or to nothing for the default."""

DOCTOR_ENV = "TRACECTRL_DOCTOR"
"""Set where the process is to be observed: to the directory that its findings go to."""

SITE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")
"""The directory with the ``sitecustomize`` that calls :func:`start`, and with nothing else."""

# By name: what is started imports this module. The order is that of starting, so that what the
# doctor registers first runs last.
_STARTED = (
    ("doctor", DOCTOR_ENV, "tracectrl_logging.doctor.inside"),
    ("run", CAPTURE_ENV, "tracectrl_logging.program.run"),
)

_SITE = "sitecustomize"


def injected(base: Mapping[str, str], **variables: str) -> dict[str, str]:
    """Return the environment *base* with *variables*, and with what makes Python call :func:`start`."""
    paths = [path for path in base.get("PYTHONPATH", "").split(os.pathsep) if path != SITE_DIR]
    if paths == [""]:  # it was not set: an empty entry would be the working directory
        paths = []
    return {**base, **variables, "PYTHONPATH": os.pathsep.join([SITE_DIR, *paths])}


def start() -> None:
    """Start in this process what its environment asks for; never raises.

    The process runs on where it cannot be: one line on stderr says why. A subinterpreter says nothing.
    """
    wanted = [(command, name) for command, variable, name in _STARTED if variable in os.environ]
    if wanted:
        _stay_in_front()
    for command, name in wanted:
        try:
            importlib.import_module(name).start()
        except Exception as error:  # noqa: BLE001 - the program is not ours to stop
            if _is_subinterpreter():
                continue  # extension modules refuse to be imported there; its program is captured
            with contextlib.suppress(Exception):  # there may be no stderr
                print(f"tracectrl-logs {command}: nothing is captured: {error}", file=sys.stderr)  # noqa: T201


def _is_subinterpreter() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):  # since Python 3.13, and before
        with contextlib.suppress(ImportError):
            interpreters = importlib.import_module(name)
            return bool(interpreters.get_current() != interpreters.get_main())
    return False


def in_front(pythonpath: str) -> str:
    """Return *pythonpath* with our directory first, where it is behind another ``sitecustomize``."""
    paths = pythonpath.split(os.pathsep)
    if SITE_DIR not in paths:
        return pythonpath
    before = [os.path.abspath(path) for path in paths[: paths.index(SITE_DIR)]]
    if not before or PathFinder.find_spec(_SITE, before) is None:
        return pythonpath
    return os.pathsep.join([SITE_DIR, *(path for path in paths if path != SITE_DIR)])


def _stay_in_front() -> None:
    """Keep our directory the first for the program that this process becomes by ``os.exec``."""
    execv, execve = os.execv, os.execve

    @wraps(execv)
    def tapped_execv(path: Any, argv: Any, /) -> Any:
        given = os.environ.get("PYTHONPATH", "")
        wanted = in_front(given)
        if wanted is given:
            return execv(path, argv)
        return execve(path, argv, {**os.environ, "PYTHONPATH": wanted})

    @wraps(execve)
    def tapped_execve(path: Any, argv: Any, env: Any) -> Any:
        given = env.get("PYTHONPATH") if isinstance(env, dict) or env is os.environ else None
        if isinstance(given, str) and (wanted := in_front(given)) is not given:
            env = {**env, "PYTHONPATH": wanted}
        return execve(path, argv, env)

    os.execv, os.execve = tapped_execv, tapped_execve
