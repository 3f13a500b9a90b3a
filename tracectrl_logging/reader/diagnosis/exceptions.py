"""The exception that others of its chain were raised from, as lines hold it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tracectrl_logging.reader.genai.values import text

if TYPE_CHECKING:
    from typing import Final

_CHAINED: Final = re.compile(
    r"\n+(?:The above exception was the direct cause of the following exception|"
    r"During handling of the above exception, another exception occurred):\n+"
)
_RAISED: Final = re.compile(r"(?P<type>[\w.]+)(?:: (?P<message>.*))?", re.DOTALL)


def recorded(row: dict[str, Any]) -> tuple[str, str] | None:
    """Return the exception in the events of a span, the first of its chain."""
    events = row.get("events")
    for event in events if isinstance(events, list) else ():
        said = event.get("attributes") if isinstance(event, dict) else None
        if isinstance(said, dict) and event.get("name") == "exception":
            names = ("type", "message", "stacktrace")
            return raised({name: said.get(f"exception.{name}") for name in names})
    return None


def raised(exception: Any) -> tuple[str, str] | None:
    """Return the type and message of *exception*, as a line has it: of the first of its chain."""
    if isinstance(exception, str):
        exception = {"stacktrace": exception}
    if not isinstance(exception, dict):
        return None
    trace = text(exception.get("stacktrace"))
    parts = _CHAINED.split(trace)
    if len(parts) > 1 or not exception.get("type"):
        lines = parts[0].rstrip().split("\n")
        at = next((n for n in reversed(range(len(lines))) if lines[n][:1].strip()), -1)
        match = _RAISED.fullmatch("\n".join(lines[at:]).strip())
        if match is not None:
            return match["type"].rpartition(".")[2], match["message"] or ""
    kind = text(exception.get("type"))
    return (kind.rpartition(".")[2], text(exception.get("message"))) if kind else None
