"""loguru, read as it passes.

No sink is added: a program that removes all sinks would remove it, and one that counts them would see
it. Where loguru's one way to log, ``Logger._log``, is called, a patcher is put behind the program's own,
for that one call: it sees the record as these leave it, on the thread that logs, if any sink may want it.
loguru is not loaded for that; it is read from its own import on.
"""

from __future__ import annotations

import contextlib
import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any

from tracectrl_logging.loguru import is_intercepted, record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from tracectrl_logging.patches import Patches
    from tracectrl_logging.program.capture import Capture
    from tracectrl_logging.program.stdlib_records import Held

_MODULE = "loguru._logger"
_OPTIONS = 9
_DEPTH, _PATCHERS = 1, 7


def tap(capture: Capture, held: Held, patches: Patches) -> None:
    """Read what loguru's loggers make records of, as soon as the program imports loguru."""

    def take(record: dict[str, Any]) -> None:
        with contextlib.suppress(Exception):
            if capture.loguru_wanted and record["level"].no >= capture.lowest:
                if capture.records_wanted and is_intercepted(record):
                    return
                held.passed = record["message"]
                capture.write_record(record_of(record))

    def tap_module(module: ModuleType) -> None:
        log = module.Logger._log  # noqa: SLF001 - all methods of a logger call it

        def tapped(  # noqa: PLR0917 - loguru's
            self: Any,
            level: Any,
            from_decorator: Any,
            options: Any,
            message: Any,
            args: Any,
            kwargs: Any,
        ) -> None:
            if len(options) == _OPTIONS:  # as of loguru 0.7
                options = [*options]
                options[_DEPTH] += 1  # this frame
                options[_PATCHERS] = [*options[_PATCHERS], take]
            log(self, level, from_decorator, options, message, args, kwargs)

        patches.replace(module.Logger, "_log", tapped)

    loaded = sys.modules.get(_MODULE)
    if loaded is not None:
        tap_module(loaded)
    else:
        finder = _Finder(tap_module)
        sys.meta_path.insert(0, finder)
        patches.on_undo(finder.stop)


class _Finder(MetaPathFinder):
    """Calls *act* with loguru's module, once that is loaded, in whatever way; then it goes."""

    def __init__(self, act: Callable[[ModuleType], object]) -> None:
        self._act = act

    def stop(self) -> None:
        """Look no more."""
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what the other finders do; the module's loader has *act* called, once."""
        if fullname != _MODULE:
            return None
        self.stop()
        spec: ModuleSpec | None = None
        for finder in sys.meta_path:
            if (spec := finder.find_spec(fullname, path, target)) is not None:
                break
        loader: Any = spec and spec.loader

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            loader.exec_module(module)
            with contextlib.suppress(Exception):
                self._act(module)

        with contextlib.suppress(AttributeError):  # a loader without attributes of its own
            loader.exec_module = exec_module
        return spec
