"""Exceptions and stacks as a line holds them, from whatever logging or structlog hands over."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from tracectrl._json import well_formed

_TRACEBACK = "Traceback (most recent call last):"


def of_exc_info(exc_info: object) -> dict[str, Any] | None:
    """Return the ``exception`` of an ``exc_info``: a tuple, an exception, or true for the current.

    ``None`` where there is no exception. The type is named as OpenTelemetry's ``exception.type``:
    fully qualified, without ``builtins``.
    https://opentelemetry.io/docs/specs/semconv/attributes-registry/exception/
    """
    if isinstance(exc_info, BaseException):
        error: object = exc_info
    elif isinstance(exc_info, tuple) and len(exc_info) == 3:  # noqa: PLR2004
        error = exc_info[1]
    else:
        error = sys.exc_info()[1] if isinstance(exc_info, (bool, int)) and exc_info else None
    if not isinstance(error, BaseException):
        return None
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

    That is the text of structlog's ``format_exc_info``, or the list of ``dict_tracebacks``.
    """
    if isinstance(rendered, str):
        return of_text(rendered) if rendered else None
    if not (isinstance(rendered, list) and rendered):
        return None
    if not all(isinstance(it, dict) and isinstance(it.get("frames", []), list) for it in rendered):
        return None
    rows = []
    for entry in reversed(rendered):
        rows.append(_TRACEBACK)
        rows += [
            f'  File "{frame.get("filename")}", line {frame.get("lineno")}, in {frame.get("name")}'
            for frame in entry.get("frames", [])
            if isinstance(frame, dict)
        ]
        rows.append(f"{entry.get('exc_type')}: {entry.get('exc_value')}")
    first = rendered[0]
    return {
        "type": str(first.get("exc_type", "")),
        "message": str(first.get("exc_value", "")),
        "stacktrace": "\n".join(rows),
    }


def stacktrace(error: BaseException) -> str:
    """Return the traceback of *error* as the interpreter prints it, causes and groups included."""
    try:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    except Exception as trouble:  # noqa: BLE001 - an exception may be as broken as any object
        return f"<traceback of {type(error).__name__}: {type(trouble).__name__} while formatting>"


def _type_name(kind: type[BaseException]) -> str:
    module = kind.__module__
    return kind.__qualname__ if module in (None, "builtins") else f"{module}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return well_formed(str(error))
    except Exception as trouble:  # noqa: BLE001
        return f"<{type(error).__name__}: str() raised {type(trouble).__name__}>"
