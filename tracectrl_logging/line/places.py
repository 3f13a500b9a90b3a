"""Where a line comes from, by OpenTelemetry's names: the call in the source, and the process.

https://opentelemetry.io/docs/specs/semconv/registry/attributes/code/
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_CALL: Final = (
    ("code.file.path", "pathname"),
    ("code.line.number", "lineno"),
    ("code.function.name", "funcName"),
)
_PROCESS: Final = (("process.pid", "process"), ("thread.name", "threadName"))


class Places:
    """What lines say of where they come from; nothing, unless it is asked for.

    Args:
        callsite: file, line and function of the logging call.
        process: the process, the thread and the host.
    """

    def __init__(self, *, callsite: bool, process: bool) -> None:
        self.callsite = callsite
        self._host = {"host.name": socket.gethostname()} if process else {}
        self._names = (*(_CALL if callsite else ()), *(_PROCESS if process else ()))

    def __bool__(self) -> bool:
        return bool(self._names)

    def of(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keys of a line for a log record that has *fields*, less what it does not know."""
        known = {key: it for key, name in self._names if (it := fields.get(name)) is not None}
        return {**known, **self._host}
