"""Inside somebody else's program: what ``tracectrl-logs run`` and ``doctor -- PROGRAM`` put into it.

The program is started by the interpreter itself, as ``python SCRIPT.py`` starts it, with one
directory in front of ``PYTHONPATH``: :mod:`site` imports the ``sitecustomize`` in it before the
program runs, and that starts what the environment asks for (:mod:`~tracectrl_logging.program.injection`).

For ``run`` that is a :class:`~tracectrl_logging.program.capture.Capture`. Nothing of the program's own
set-up is touched: no handler is added to a logger, no level is set, structlog and the tracer provider
stay unconfigured. What passes through them is read on its way. For ``doctor`` it is
:mod:`tracectrl_logging.doctor.inside`.

The environment is the one interface, so that child processes of the same interpreter (a process
pool, ``subprocess.run([sys.executable, ...])``) are captured into the same session.
"""
