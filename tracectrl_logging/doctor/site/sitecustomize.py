# ruff: noqa: INP001 - a directory on sys.path, on purpose no package
"""Starts the observation of ``tracectrl-logs doctor``, then steps aside."""

import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [path for path in sys.path if os.path.abspath(path) != _here]
try:
    from tracectrl_logging.doctor.inside import start
except ImportError:
    pass  # another interpreter, started by the program: it has no such package
else:
    start()

# The sitecustomize that this one stood before; where there is none, site expects this ImportError.
del sys.modules["sitecustomize"]
import sitecustomize  # type: ignore[import-not-found]  # noqa: E402, F401
