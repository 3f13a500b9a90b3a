"""The stamp on every structlog event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracectrl.attributes import described
from tracectrl_logging.line.fields import stamp_of
from tracectrl_logging.stamp import ABSENT, add_attributes, stamp

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger


def add_session_context(
    logger: WrappedLogger,  # noqa: ARG001 - a processor takes all three
    method_name: str,  # noqa: ARG001
    event_dict: EventDict,
) -> EventDict:
    """Set ``session_id``, ``trace_id``, ``span_id`` and ``trace_flags`` on *event_dict*.

    A structlog processor. What is bound or passed already stays; IDs that do not exist are left
    out. In ``ProcessorFormatter``'s ``foreign_pre_chain`` the IDs on the log record win.
    """
    if not (
        "session_id" in event_dict
        or "trace_id" in event_dict
        or "span_id" in event_dict
        or "trace_flags" in event_dict
        or "_record" in event_dict
    ):
        here = stamp()
        if here.complete is None:
            event_dict.update(here)
        else:
            (
                event_dict["session_id"],
                event_dict["trace_id"],
                event_dict["span_id"],
                event_dict["trace_flags"],
            ) = here.complete
        if described:
            add_attributes(event_dict, event_dict)  # type: ignore[arg-type]
        return event_dict
    record = event_dict.get("_record")
    # Of a log record; else it is a key of somebody's own.
    fields = getattr(record, "__dict__", None)
    ids = stamp() if fields is None else stamp_of(fields)[0]
    absent = event_dict.get(ABSENT)
    for key, value in ids.items():
        if key not in event_dict or (absent is not None and event_dict[key] == absent):
            event_dict[key] = value
    if described:
        taken = event_dict if fields is None else {*event_dict, *fields}
        add_attributes(event_dict, taken)  # type: ignore[arg-type]
    return event_dict
