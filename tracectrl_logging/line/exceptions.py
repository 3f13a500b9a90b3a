"""Exceptions and stacks as a line holds them, from whatever logging or structlog hands over."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any

from tracectrl._json import well_formed

if TYPE_CHECKING:
    from types import CodeType, FrameType

_TRACEBACK = "Traceback (most recent call last):"


def of_exc_info(exc_info: object, *, is_told: bool = True) -> dict[str, Any] | None:
    """Return the ``exception`` of an ``exc_info``: a tuple, an exception, or true for the current.

    ``None`` where there is no exception. The type is named as OpenTelemetry's ``exception.type``:
    fully qualified, without ``builtins``.
    https://opentelemetry.io/docs/specs/semconv/attributes-registry/exception/

    Args:
        exc_info: as logging takes it.
        is_told: whether what the exceptions say is in it, beside their types and places.
    """
    if isinstance(exc_info, BaseException):
        error: object = exc_info
    elif isinstance(exc_info, tuple) and len(exc_info) == 3:  # noqa: PLR2004
        error = exc_info[1]
    else:
        error = sys.exc_info()[1] if isinstance(exc_info, (bool, int)) and exc_info else None
    if not isinstance(error, BaseException):
        return None
    if not is_told:
        return {"type": _type_name(type(error)), "message": "", "stacktrace": _places_of(error)}
    return {
        "type": _type_name(type(error)),
        "message": _message(error),
        "stacktrace": stacktrace(error),
    }


def of_text(text: str) -> dict[str, Any]:
    """Return the ``exception`` of a traceback that somebody rendered already."""
    text = text.rstrip("\n")
    rows = text.split("\n")
    if rows[0].startswith("  + Exception Group"):  # what belongs to the group itself, unindented
        rows = [row[4:] for row in rows if row[:4] in ("  + ", "  | ")]
    starts = [at for at, row in enumerate(rows) if row.endswith(_TRACEBACK)]
    rows = rows[starts[-1] + 1 :] if starts else rows
    while rows and rows[0][:1] in (" ", "\t", ""):  # the frames
        rows.pop(0)
    name, _, message = "\n".join(rows).partition(": ")
    return {"type": name, "message": message, "stacktrace": text}


def of_structlog(rendered: object) -> dict[str, Any] | None:
    """Return the ``exception`` of an event's ``exception`` key.

    That is the text of structlog's ``format_exc_info``, the list of ``dict_tracebacks``, or what
    these functions return.
    """
    if isinstance(rendered, dict):
        is_ours = [*rendered] == ["type", "message", "stacktrace"]
        return rendered if is_ours and all(type(it) is str for it in rendered.values()) else None
    if isinstance(rendered, str):
        return of_text(rendered) if rendered else None
    if not (isinstance(rendered, list) and rendered):
        return None
    if not all(isinstance(it, dict) and isinstance(it.get("frames", []), list) for it in rendered):
        return None
    first = rendered[0]
    return {
        "type": str(first.get("exc_type", "")),
        "message": str(first.get("exc_value", "")),
        "stacktrace": "\n".join(_rows_of_dicts(rendered)),
    }


def _rows_of_dicts(chain: list[Any]) -> list[str]:
    """Return the traceback of ``dict_tracebacks``, with the notes and the members of groups."""
    rows = []
    for entry in reversed(chain):
        if not isinstance(entry, dict):
            continue
        frames, notes, members = (
            value if isinstance(value, list) else []
            for value in map(entry.get, ("frames", "exc_notes", "exceptions"))
        )
        rows.append(_TRACEBACK)
        rows += [
            f'  File "{frame.get("filename")}", line {frame.get("lineno")}, in {frame.get("name")}'
            for frame in frames
            if isinstance(frame, dict)
        ]
        rows.append(f"{entry.get('exc_type')}: {entry.get('exc_value')}")
        rows += map(str, notes)
        for number, member in enumerate(members, 1):
            rows.append(f"  +---------------- {number} ----------------")
            rows += [f"  | {row}" for row in _rows_of_dicts(member if type(member) is list else [])]
    return rows


def stacktrace(error: BaseException) -> str:
    """Return the traceback of *error* as the interpreter prints it, causes and groups included.

    Where that fails it is shorter: for an exception that is as broken as any object may be, and at
    the interpreter's end, for :mod:`traceback` imports what it needs.
    """
    try:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    except Exception:  # noqa: BLE001
        return f"{_places_of(error)}: {_message(error)}"


def stack() -> str:
    """Return the stack of the logging call under way, without the frames of the loggers."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way
    while frame is not None and frame.f_back is not None and _is_loggers(frame):
        frame = frame.f_back
    try:
        rows = "".join(traceback.format_stack(frame)).rstrip("\n")
    except Exception:  # noqa: BLE001 - as above
        frames = [(it.f_code, line) for it, line in traceback.walk_stack(frame)]
        rows = "\n".join(_places(frames[::-1]))
    return f"Stack (most recent call last):\n{rows}"


def _is_loggers(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    return package in ("tracectrl_logging", "structlog")


def _places(frames: list[tuple[CodeType, int]]) -> list[str]:
    return [f'  File "{code.co_filename}", line {line}, in {code.co_name}' for code, line in frames]


def _places_of(error: BaseException) -> str:
    """Return where *error* was raised, and its type."""
    frames = [(it.f_code, line) for it, line in traceback.walk_tb(error.__traceback__)]
    return "\n".join([_TRACEBACK, *_places(frames), _type_name(type(error))])


def _type_name(kind: type[BaseException]) -> str:
    module = kind.__module__
    return kind.__qualname__ if module in (None, "builtins") else f"{module}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return well_formed(str(error))
    except Exception as trouble:  # noqa: BLE001
        return f"<{type(error).__name__}: str() raised {type(trouble).__name__}>"
