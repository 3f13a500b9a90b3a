# ruff: noqa: INP001 - a directory on sys.path, on purpose no package
"""Starts what ``tracectrl-logs`` put into this process, then becomes the next ``sitecustomize``.

This file may be run in the module of another one, of a tool that runs it from its own: so it has one
name, and takes that away again.
"""


def _tracectrl_begin() -> None:
    import os  # noqa: PLC0415 - not a name of the module
    import sys  # noqa: PLC0415 - as above
    from importlib.machinery import PathFinder  # noqa: PLC0415 - as above
    from importlib.util import module_from_spec  # noqa: PLC0415 - as above

    names = globals()
    here = os.path.dirname(os.path.abspath(names.pop("_tracectrl_begin").__code__.co_filename))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != here]
    try:
        from tracectrl_logging.program.injection import start  # noqa: PLC0415 - as above
    except ImportError:
        pass  # another interpreter, started by the program: it has no such package
    else:
        start()
    spec = PathFinder.find_spec("sitecustomize")
    if spec is None or spec.loader is None:
        if getattr(names.get("__spec__"), "_initializing", False):
            # By an import statement: site's, which expects this where there is none.
            msg = "No module named 'sitecustomize'"
            raise ModuleNotFoundError(msg, name="sitecustomize")
        return
    module = sys.modules.get("sitecustomize")
    if module is None or vars(module) is not names:
        module = module_from_spec(spec)
    names.update(
        __file__=spec.origin, __cached__=spec.cached, __spec__=spec, __loader__=spec.loader
    )
    spec.loader.exec_module(module)


_tracectrl_begin()
