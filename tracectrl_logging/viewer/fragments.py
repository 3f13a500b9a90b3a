"""What the page shows, as fragments of HTML: Jinja2 escapes every value in them.

Text is cut to what a row can show, and what a screen would not show as it is (control characters,
overrides of the writing direction) stands there as escapes. A fragment has no style and no script.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tracectrl._time import ns_of
from tracectrl.schema import ERROR, LOG_KEYS, OTLP_KEY, severity
from tracectrl_logging.console import on_one_line, plain_value
from tracectrl_logging.reader.json_rows import summary_row, typed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from tracectrl_logging.reader.filters.search import Hit
    from tracectrl_logging.reader.model import Line, SessionSummary

MOST_RAW_BYTES: Final = 64 * 1024
"""How long a line may be to be sent with its row; a longer one is asked for by itself."""

_MESSAGE: Final = 400
_EXTRAS: Final = 300
_VALUE: Final = 120
_MOST_ID: Final = 64
_NO_EXTRAS: Final = frozenset((*LOG_KEYS, OTLP_KEY))


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates, with everything escaped and nothing left undefined."""
    loader = PackageLoader("tracectrl_logging.viewer")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)


@lru_cache(maxsize=8)
def macro(template: str, name: str) -> Any:
    """Return the macro *name* of *template*, as a function that returns HTML."""
    return getattr(environment().get_template(template).module, name)


def line_rows(lines: list[Line]) -> dict[str, Any]:
    """Return the rows of a session's page: for each line what it is sorted and picked by, and its HTML."""
    html = macro("row.html", "row")
    return {"rows": [_line_row(line, html) for line in lines]}


def session_row(summary: SessionSummary) -> dict[str, Any]:
    """Return the row of a session in the list."""
    row = summary_row(summary)
    html = macro("session_row.html", "row")(
        row, shown(summary.session_id, _VALUE), shown(summary.first_message or "", _MESSAGE)
    )
    return {"id": summary.session_id, "html": str(html), "row": row}


def hit_row(hit: Hit) -> dict[str, Any]:
    """Return the row of a line that a search over all sessions has found."""
    line = hit.line
    html = macro("hit.html", "row")(view(line), shown(hit.sid, _VALUE))
    ns = ns_of(line.time)
    return {
        "id": hit.sid,
        "time": None if ns is None else ns // 1000,
        "html": str(html),
        "span_id": _text(line.row.get("span_id")),
        "trace_id": _text(line.row.get("trace_id")),
        "severity": rank(line),
    }


def view(line: Line) -> dict[str, Any]:
    """Return what a template shows of *line*: text that is cut and has its control characters escaped."""
    row = line.row
    if line.kind == "span":
        status = _text(row.get("status"))
        values = row.get("attributes")
        extras = values if isinstance(values, dict) else {}
        return {
            "kind": "span",
            "level": "",
            "name": shown(row.get("name", "-"), _VALUE),
            "message": shown(row.get("status_message") or "", _MESSAGE),
            "status": status,
            "span_kind": shown(row.get("kind", "INTERNAL"), _VALUE),
            "service": shown(row.get("service", ""), _VALUE),
            "extras": _extras({key: it for key, it in extras.items() if key != "session.id"}),
            "exception": "",
        }
    return {
        "kind": "log",
        "level": shown(row.get("level", "-"), 16),
        "name": shown(row.get("logger", "-"), _VALUE),
        "message": shown(row.get("message", ""), _MESSAGE),
        "status": "",
        "span_kind": "",
        "service": shown(row.get("service", ""), _VALUE),
        "extras": _extras({key: it for key, it in row.items() if key not in _NO_EXTRAS}),
        "exception": _exception(row.get("exception")),
    }


def rank(line: Line) -> int:
    """Return the severity of *line*, 1 to 24, 0 where it is not known; of a span in error that of ERROR."""
    if line.kind == "log":
        return severity(line.row)
    return ERROR if line.row.get("status") == "ERROR" else 0


def shown(value: Any, most: int) -> str:
    """Return *value* as text on one line of at most about *most* characters."""
    text = value if isinstance(value, str) else plain_value(value)
    cut = text if len(text) <= most else f"{text[:most]}…"
    if cut.isascii() and cut.isprintable():
        return cut
    return on_one_line(cut).encode("utf-8", "backslashreplace").decode()


def digest_of(line: Line) -> str:
    """Return by what a long line is found again."""
    return hashlib.blake2b(line.raw, digest_size=16).hexdigest()


def _line_row(line: Line, html: Any) -> list[Any]:
    row = line.row
    is_span = line.kind == "span"
    ns = ns_of(line.time)
    end = ns_of(row.get("end_time")) if is_span else None
    raw: Any = typed(line)
    raw = (
        raw.decode()
        if len(raw) <= MOST_RAW_BYTES
        else {"bytes": len(raw), "time": line.time, "digest": digest_of(line)}
    )
    return [
        int(is_span),
        None if ns is None else ns // 1000,
        None if end is None else end // 1000,
        rank(line),
        _text(row.get("span_id")),
        _text(row.get("parent_span_id")),
        _text(row.get("trace_id")),
        shown(row.get("service", ""), _VALUE),
        shown(row.get("name" if is_span else "logger", ""), _VALUE),
        str(html(view(line))),
        raw,
        int(row.get("start_time" if is_span else "timestamp") is None),
    ]


def _text(value: Any) -> str:
    """Return *value* where it may be an ID or a status."""
    is_meant = isinstance(value, str) and value.isascii() and len(value) <= _MOST_ID
    return value if is_meant else ""


def _extras(values: dict[str, Any]) -> list[tuple[str, str]]:
    found, size = [], 0
    for key, value in values.items():
        if size > _EXTRAS:
            found.append(("…", ""))
            break
        pair = shown(key, _VALUE), shown(value, _VALUE)
        size += len(pair[0]) + len(pair[1])
        found.append(pair)
    return found


def _exception(exception: Any) -> str:
    if exception is None:
        return ""
    if not isinstance(exception, dict):
        return shown(exception, _MESSAGE)
    kind, message = exception.get("type"), exception.get("message")
    if kind:
        return shown(f"{kind}: {message}" if message else kind, _MESSAGE)
    return shown(
        plain_value(exception.get("stacktrace", "")).strip("\n").rpartition("\n")[2], _MESSAGE
    )


def buckets(lines: Iterable[Line], count: int) -> dict[str, list[int]]:
    """Return how many of *lines*, and how many errors among them, are in each of *count* parts of their time."""
    times = [(ns, rank(line) >= ERROR) for line in lines if (ns := ns_of(line.time)) is not None]
    found, errors = [0] * count, [0] * count
    if times:
        first, last = min(times)[0], max(times)[0]
        for ns, is_error in times:
            place = (ns - first) * count // (last - first + 1)
            found[place] += 1
            errors[place] += is_error
    return {"buckets": found, "errors": errors}
