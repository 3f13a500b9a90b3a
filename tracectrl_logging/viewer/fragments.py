"""What the page shows, as fragments of HTML: Jinja2 escapes every value in them.

Text is cut to what a row can show, and what a screen would not show as it is (control characters,
overrides of the writing direction) stands there as escapes. A fragment has no style and no script.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import escape

from tracectrl._time import ns_of, time_of
from tracectrl.schema import (
    ERROR,
    LOG_KEYS,
    OBSERVED_KEY,
    OTLP_KEY,
    SESSION_ATTRIBUTE,
    TIME_KEY,
    severity,
)
from tracectrl_logging.console import on_one_line, plain_value
from tracectrl_logging.reader.json_rows import summary_row, typed
from tracectrl_logging.reader.timeline.open_spans import is_open

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
_LEVEL: Final = 16
_OPEN: Final = 2  # what a row is of, beside 0 for a log line and 1 for a span that has ended
_STATUSES: Final = ("OK", "ERROR")
_NO_ATTRIBUTES: Final = frozenset({SESSION_ATTRIBUTE})
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


def line_rows(lines: list[Line], *, whole: bool = False) -> dict[str, Any]:
    """Return the rows of a session's page: for each line what it is sorted and picked by, and its HTML.

    A line of more than :data:`MOST_RAW_BYTES` is asked for by itself, unless the *whole* is meant.
    """
    views = list(map(view, lines))
    return {"rows": list(map(_line_row, lines, views, _html(views), repeat(whole)))}


def _html(views: list[View]) -> list[str]:
    """Return the HTML of each of *views*: all texts are escaped at once, and put where the template has them."""
    texts = [text for view in views for text in view[1:] if text]
    escaped = str(escape("\n".join(texts))).split("\n") if texts else ()  # no text holds a newline
    rows = "\n".join([_row_with(*map(bool, view)) for view in views])
    return (rows % tuple(escaped)).split("\n")


@lru_cache(maxsize=256)
def _row_with(is_span: bool, *parts: bool) -> str:  # noqa: FBT001 - for map()
    """Return the HTML of a row that has these parts of a :class:`View`, with ``%s`` for the text of each."""
    slots = ["%s" if is_there else "" for is_there in parts]
    return str(macro("row.html", "row")(is_span, *slots)).replace("\n", "")


def session_row(summary: SessionSummary) -> dict[str, Any]:
    """Return the row of a session in the list."""
    row = summary_row(summary)
    html = macro("session_row.html", "row")(
        row,
        shown(summary.session_id, _VALUE),
        shown(summary.first_message or "", _MESSAGE),
        shown(summary.parent or "", _MOST_ID),
    )
    return {"id": summary.session_id, "html": str(html), "row": row}


def hit_row(hit: Hit) -> dict[str, Any]:
    """Return the row of a line that a search over all sessions has found."""
    line = hit.line
    level = shown(line.row.get("level", "-"), _LEVEL)
    html = macro("hit.html", "row")(view(line), level)
    return {
        "id": hit.sid,
        "time": _us(line.time),
        "html": str(html),
        "span_id": _text(line.row.get("span_id")),
        "severity": rank(line),
    }


class View(NamedTuple):
    """What a template shows of a line: text that is cut and has its control characters escaped."""

    is_span: bool
    service: str
    level: str
    """Of a log line, as it is written."""
    name: str
    """The logger, or the name of the span."""
    span_kind: str
    """In lower case; empty for INTERNAL."""
    status: str
    """Of a span: ERROR or OK; else empty."""
    message: str
    exception: str
    """The type and message of an exception."""
    extras: str
    """The extras of a log line or the attributes of a span, as ``key=value``."""


def view(line: Line) -> View:
    """Return what a template shows of *line*."""
    row = line.row
    service = shown(row.get("service", ""), _VALUE)
    if line.kind == "span":
        attributes = row.get("attributes")
        kind, status = row.get("kind"), row.get("status")
        return View(
            True,  # noqa: FBT003 - the first of a tuple
            service,
            "",
            shown(row.get("name", "-"), _VALUE),
            "" if kind == "INTERNAL" or kind is None else shown(kind, _VALUE).lower(),
            status if status in _STATUSES else "",
            shown(row.get("status_message") or "", _MESSAGE),
            "",
            _extras(attributes, _NO_ATTRIBUTES) if isinstance(attributes, dict) else "",
        )
    exception = row.get("exception")
    return View(
        False,  # noqa: FBT003 - as above
        service,
        shown(row.get("level", ""), _LEVEL),
        shown(row.get("logger", "-"), _VALUE),
        "",
        "",
        shown(row.get("message", ""), _MESSAGE),
        "" if exception is None else _exception(exception),
        _extras(row, _NO_EXTRAS),
    )


def rank(line: Line) -> int:
    """Return the severity of *line*, 1 to 24, 0 where it is not known; of a span in error that of ERROR."""
    if line.kind == "log":
        return severity(line.row)
    return ERROR if line.row.get("status") == "ERROR" else 0


def shown(value: Any, most: int) -> str:
    """Return *value* as text on one line of at most about *most* characters."""
    kind = type(value)
    if kind is int:
        return str(value)[:most]
    text = value if kind is str else plain_value(value)
    is_short = len(text) <= most
    if is_short and text.isascii() and text.isprintable():
        return text
    cut = text if is_short else f"{text[:most]}…"
    return on_one_line(cut).encode("utf-8", "backslashreplace").decode()


def digest_of(line: Line) -> str:
    """Return by what a long line is found again."""
    return hashlib.blake2b(line.raw, digest_size=16).hexdigest()


def _line_row(line: Line, view: View, html: str, whole: bool) -> list[Any]:  # noqa: FBT001 - for map()
    row = line.row
    text = typed(line)
    raw: Any = text.decode() if whole or len(text) <= MOST_RAW_BYTES else None
    if len(text) > MOST_RAW_BYTES:
        raw = {"bytes": len(text), "time": line.time, "digest": digest_of(line), "text": raw}
    still_open = view.is_span and is_open(row)
    return [
        _OPEN if still_open else int(view.is_span),
        _us(line.time),
        _us(time_of(row.get(OBSERVED_KEY if still_open else "end_time"))) if view.is_span else None,
        rank(line),
        _text(row.get("span_id")),
        _text(row.get("parent_span_id")),
        _text(row.get("trace_id")),
        view.service,
        view.name,
        html,
        raw,
        int(row.get(TIME_KEY[line.kind]) is None),
    ]


def _us(time: str | None) -> int | None:
    """Return *time*, as :func:`time_of` spells it, in microseconds since the epoch."""
    if not time:
        return None
    minute = _minute_us(time[:17])
    return None if minute is None else minute + int(time[17:19]) * 1_000_000 + int(time[20:26])


@lru_cache(maxsize=1024)
def _minute_us(minute: str) -> int | None:
    ns = ns_of(f"{minute}00.000000Z")
    return None if ns is None else ns // 1000


def _text(value: Any) -> str:
    """Return *value* where it may be an ID or a status."""
    is_meant = isinstance(value, str) and value.isascii() and len(value) <= _MOST_ID
    return value if is_meant else ""


def _extras(values: dict[str, Any], but: frozenset[str]) -> str:
    found: list[str] = []
    size = 0
    for key, value in values.items():
        if key not in but:
            if size > _EXTRAS:
                found.append("…")
                break
            pair = f"{shown(key, _VALUE)}={shown(value, _VALUE)}"
            size += len(pair)
            found.append(pair)
    return " ".join(found)


def _exception(exception: Any) -> str:
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
