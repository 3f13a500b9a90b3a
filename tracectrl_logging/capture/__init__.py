"""What ``tracectrl-logs run`` puts in force in a program that knows nothing of this package.

The program is started by the interpreter itself, as ``python SCRIPT.py`` starts it, with one
directory in front of ``PYTHONPATH``: :mod:`site` imports the ``sitecustomize`` in it before the
program runs, and that calls :func:`start`. Nothing of the program's own set-up is touched: no
handler is added to a logger, no level is set, structlog and the tracer provider stay unconfigured.
What passes through them is read on its way.

The environment is the one interface, so that child processes of the same interpreter (a process
pool, ``subprocess.run([sys.executable, ...])``) are captured into the same session.
"""

from tracectrl_logging.capture.environment import environment, start
from tracectrl_logging.capture.process import Capture

__all__ = ["Capture", "environment", "start"]
