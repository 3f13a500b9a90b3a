"""What is under ``api/``, as an OpenAPI document (https://spec.openapis.org/oas/v3.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracectrl_logging.reader.filters.sessions import SORTS

if TYPE_CHECKING:
    from typing import Final

_TIME: Final = "-3h, 2026-11-21, 10:05: what the command's options take; in UTC without a zone"
_PARAMETERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "since": (f"The start of the time range: {_TIME}.", {"type": "string"}),
    "until": (f"The end of the time range: {_TIME}.", {"type": "string"}),
    "errors": (
        "Sessions with a log line at ERROR or above, or a span in error.",
        {"type": "boolean"},
    ),
    "service": (
        "Sessions with a line of one of these.",
        {"type": "array", "items": {"type": "string"}},
    ),
    "where": (
        "Conditions that are all met: tool=search, level>=WARNING.",
        {"type": "array", "items": {"type": "string"}},
    ),
    "sort": ("The order.", {"type": "string", "enum": list(SORTS), "default": SORTS[0]}),
    "limit": ("How many at most.", {"type": "integer", "minimum": 1, "maximum": 10_000}),
    "level": ("Log lines at this level or above; then no spans.", {"type": "string"}),
    "logger": (
        "Log lines of this logger and of those below it; then no spans.",
        {"type": "string"},
    ),
    "trace": ("Lines of this trace; its beginning is enough.", {"type": "string"}),
    "after": ("A cursor: what came after it. None for the start.", {"type": "string"}),
    "q": ("A regular expression.", {"type": "string", "minLength": 1, "maxLength": 1000}),
    "literal": ("q is plain text.", {"type": "boolean"}),
    "ignore_case": ("Letters match in either case.", {"type": "boolean"}),
    "invert": ("The lines that do not match are meant.", {"type": "boolean"}),
    "session": ("The sessions; none for all.", {"type": "array", "items": {"type": "string"}}),
    "format": ("The format of the file.", {"type": "string", "enum": ["jsonl", "otlp", "html"]}),
    "redact": (
        "Keys whose values are left out, at any depth; for the format html.",
        {"type": "array", "items": {"type": "string"}},
    ),
}
_ON_SESSIONS: Final = ("since", "until", "errors", "service", "where", "sort", "limit")
_ON_LINES: Final = ("since", "until", "level", "logger", "trace", "where")
_ID: Final = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The session ID, percent-encoded; slashes may stay.",
    "schema": {"type": "string"},
}
_PROBLEMS: Final = {
    "type": "array",
    "items": {"type": "string"},
    "description": "What could not be read.",
}


def document(version: str) -> dict[str, Any]:
    """Return the document for this *version* of the package."""
    paths = {
        "/api/sessions": _get(
            "The sessions, the latest first", _ON_SESSIONS, _rows("sessions", "Session")
        ),
        "/api/sessions/{id}/lines": _get(
            "The lines of a session, a page at a time, in the order of writing",
            (*_ON_LINES, "after", "limit"),
            _rows("lines", "Line", cursor={"type": "string"}, more={"type": "boolean"}),
            has_id=True,
            errors={"404": "There is no such session.", "410": "The cursor is not valid any more."},
        ),
        "/api/sessions/{id}/stream": _stream(
            "The lines of a session as they come. An event `lines` has an array of rows, and the"
            " cursor behind them as its id; `reset` says that all lines come again; `caught-up` that all that"
            " was there has been sent; `problem` what could not be read; `busy` that the server has"
            " too many streams.",
            (*_ON_LINES, "after"),
            has_id=True,
        ),
        "/api/sessions/{id}/conversation": _get(
            "What models, tools and agents said in a session, each message once",
            ("limit",),
            _rows("turns", "Turn", more={"type": "boolean"}),
            has_id=True,
            errors={"404": "There is no such session."},
        ),
        "/api/stream": _stream(
            "The list of sessions as it changes. An event `list` has all rows, an event `session` one"
            " that is new or has changed.",
            _ON_SESSIONS,
        ),
        "/api/search": _get(
            "The log lines that match a pattern",
            ("q", "literal", "ignore_case", "invert", "session", *_ON_LINES, "limit"),
            _rows("lines", "Line", more={"type": "boolean"}),
            errors={"404": "There is no such session."},
        ),
        "/api/sessions/{id}/export": {
            "get": {
                "summary": "A session as a file",
                "parameters": [_ID, _parameter("format"), _parameter("redact")],
                "responses": {
                    "200": {"description": "The file."},
                    **_errors({"404": "There is no such session."}),
                },
            }
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "tracectrl-logging", "version": version},
        "servers": [{"url": ".."}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Session": {"type": "object", "description": "A row of `sessions --json`."},
                "Line": {"type": "object", "description": "A row of `show --json`."},
                "Turn": {
                    "type": "object",
                    "description": "A row of `show --conversation --json`.",
                },
                "Error": {
                    "type": "object",
                    "required": ["message"],
                    "properties": {"message": {"type": "string"}},
                },
            },
        },
    }


def _get(
    summary: str,
    names: tuple[str, ...],
    content: dict[str, Any],
    *,
    has_id: bool = False,
    errors: dict[str, str] | None = None,
) -> dict[str, Any]:
    answer = {"description": "The rows.", "content": {"application/json": {"schema": content}}}
    return {
        "get": {
            "summary": summary,
            "parameters": [*([_ID] if has_id else []), *map(_parameter, names)],
            "responses": {"200": answer, **_errors(errors or {})},
        }
    }


def _stream(text: str, names: tuple[str, ...], *, has_id: bool = False) -> dict[str, Any]:
    again = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The cursor of the last event: the stream goes on behind it.",
        "schema": {"type": "string"},
    }
    answer = {"description": text, "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    return {
        "get": {
            "summary": text.partition(".")[0],
            "parameters": [*([_ID] if has_id else []), *map(_parameter, names), again],
            "responses": {"200": answer, **_errors({})},
        }
    }


def _rows(name: str, schema: str, **more: dict[str, Any]) -> dict[str, Any]:
    rows = {"type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}}
    properties = {name: rows, **more, "problems": _PROBLEMS}
    return {"type": "object", "required": list(properties), "properties": properties}


def _errors(more: dict[str, str]) -> dict[str, Any]:
    told = {
        "400": "A parameter cannot be understood.",
        "401": "The token is missing, or another.",
        "403": "The request is not the page's own.",
        **more,
    }
    schema = {"$ref": "#/components/schemas/Error"}
    content = {"application/json": {"schema": schema}}
    return {status: {"description": text, "content": content} for status, text in told.items()}


def _parameter(name: str) -> dict[str, Any]:
    text, schema = _PARAMETERS[name]
    return {"name": name, "in": "query", "description": text, "schema": schema}
