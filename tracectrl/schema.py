"""The shape of a line: its keys, its severities, and what other writers call them.

Whoever writes a line and whoever reads one asks here, so that one line means one thing everywhere.
Severities are OpenTelemetry's, 1 to 24, in which a level that somebody has named keeps its rank:
https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
The module is long, since it is tables above all, and a second place for one would be a second shape.
"""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from tracectrl._time import time_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, TypeAlias

Kind: TypeAlias = Literal["log", "span"]
"""What a line is of."""

UNKNOWN: Final = "unknown"
"""The session ID of lines that were written outside any session."""

STAMP_KEYS: Final[tuple[str, ...]] = ("session_id", "trace_id", "span_id", "trace_flags")
"""The keys that correlate a line: its session's, and its span's three."""

LOG_KEYS: Final[tuple[str, ...]] = (
    "timestamp",
    "level",
    "severity_number",
    "logger",
    "message",
    *STAMP_KEYS,
    "service",
    "exception",
    "stack",
)
"""The keys of a log line, in order; its extras follow."""

SPAN_KEYS: Final[tuple[str, ...]] = (
    "name",
    "kind",
    *STAMP_KEYS,
    "parent_span_id",
    "start_time",
    "end_time",
    "duration_ns",
    "status",
    "status_message",
    "state",
    "observed_time",
    "process.pid",
    "process.lock",
    "service",
    "scope",
    "attributes",
    "events",
    "links",
    "resource",
)
"""The keys of a span line, in order."""

SESSION_ATTRIBUTE: Final = "session.id"
"""The attribute of a span, or of an OpenTelemetry log record, that names its session.

https://opentelemetry.io/docs/specs/semconv/general/session/
"""

PARENT_KEY: Final = "tracectrl.session.parent_id"
"""The attribute of a session that names the one which began it: a sub-agent's."""

ANCESTORS_KEY: Final = "tracectrl.session.ancestor_ids"
"""The attribute of a session that names those above its parent, the outermost first."""

PREVIOUS_KEY: Final = "session.previous_id"
"""The attribute of a session that names the one which it goes on from."""

OTLP_KEY: Final = "_otlp"
"""The key of what a line that was stored as OTLP/JSON says beyond the others; no writer of ours has it."""

_OTLP_SIGNS: Final = (
    *("resourceSpans", "scopeSpans", "instrumentationLibrarySpans", "startTimeUnixNano"),
    *("resourceLogs", "scopeLogs", "instrumentationLibraryLogs", "logRecords"),
    *("timeUnixNano", "observedTimeUnixNano", "resourceMetrics", "scopeMetrics"),
    *("resource_spans", "scope_spans", "instrumentation_library_spans", "start_time_unix_nano"),
    *("resource_logs", "scope_logs", "instrumentation_library_logs", "log_records"),
    *("time_unix_nano", "observed_time_unix_nano", "resource_metrics", "scope_metrics"),
)
OTLP_SIGNS: Final[dict[Kind, frozenset[str]]] = {
    "log": frozenset(_OTLP_SIGNS),
    "span": frozenset((*_OTLP_SIGNS, "traceId")),  # which many loggers write, too
}
"""The keys by which a line that has no time of a flat one's is known to be OTLP/JSON."""

STATE_KEY: Final = "state"
"""The key of a span line that is not that of its end: :data:`OPEN` or :data:`VOID`."""

OPEN: Final = "open"
"""The state of a span that has not ended: its line counts until there is that of its end."""

VOID: Final = "void"
"""The state of a line which takes back that of an open span, and does not count itself."""

OBSERVED_KEY: Final = "observed_time"
"""The key of the time at which a span was open."""

PID_KEY: Final = "process.pid"
"""The key of the process ID of whoever wrote a line."""

PRESENCE_KEY: Final = "process.lock"
"""The key by which can be told whether that process lives (:mod:`tracectrl.files.presence`)."""

SESSION_START: Final = "session.start"
SESSION_END: Final = "session.end"
"""The messages of the lines about the blocks of a session, which OpenTelemetry calls events."""

BLOCK_KEY: Final = "session.block"
"""The key of what both lines about a block have in common."""

TIME_KEY: Final[dict[Kind, str]] = {"log": "timestamp", "span": "start_time"}
"""The key of the time that a line is sorted by."""

# --- severities -----------------------------------------------------------------------------------

ERROR: Final = 17
"""The severity from which on a line counts as an error."""

_SEVERITY_OF_LEVEL: Final = {"DEBUG": 5, "INFO": 9, "WARNING": 13, "ERROR": 17, "CRITICAL": 21}

_LEVEL_OF_SEVERITY: Final = {number: level for level, number in _SEVERITY_OF_LEVEL.items()}

LEVELS: Final = tuple(_SEVERITY_OF_LEVEL)
"""The names of the five levels, the least severe first."""

LEVEL_OF_NUMBER: Final = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
"""The five by the standard library's numbers, whatever these have been renamed to."""

NUMBER_OF_LEVEL: Final = {level: number for number, level in LEVEL_OF_NUMBER.items()}
"""The standard library's numbers of the five."""

# How others spell the five: structlog, loguru, zap, Go's slog, log4j, syslog (RFC 5424), ECS,
# Google Cloud, Java's and JavaScript's loggers.
SPELLINGS: Final = {
    **{name: name for name in LEVELS},
    "DBG": "DEBUG",
    "FINE": "DEBUG",
    "INFORMATION": "INFO",
    "INFORMATIONAL": "INFO",
    "INF": "INFO",
    "WARN": "WARNING",
    "WRN": "WARNING",
    "ERR": "ERROR",
    "EXCEPTION": "ERROR",
    "SEVERE": "ERROR",
    "CRIT": "CRITICAL",
    "FATAL": "CRITICAL",
    "FTL": "CRITICAL",
    "FAILURE": "CRITICAL",
    "PANIC": "CRITICAL",
    "DPANIC": "CRITICAL",
}
# Names that are none of the five, and have a rank of their own.
_RANKS: Final = {
    "TRACE": 1,
    "TRC": 1,
    "FINEST": 1,
    "FINER": 3,
    "VERBOSE": 3,
    "SILLY": 1,
    "CONFIG": 6,
    "NOTICE": 10,
    "SUCCESS": 12,
    "ALERT": 22,
    "EMERG": 24,
    "EMERGENCY": 24,
    **{
        f"{name}{number}": severity + number - 1
        for name, severity in {
            "TRACE": 1,
            "DEBUG": 5,
            "INFO": 9,
            "WARN": 13,
            "ERROR": 17,
            "FATAL": 21,
        }.items()
        for number in (2, 3, 4)
    },
}
_MOST_SEVERE: Final = 24
# https://www.rfc-editor.org/rfc/rfc5424#section-6.2.1
_SYSLOG: Final = (24, 22, 21, 17, 13, 10, 9, 5)
_PER_LEVEL: Final = 4
_STEP: Final = 10


SEVERITIES: Final = {
    **_RANKS,
    **{name: _SEVERITY_OF_LEVEL[level] for name, level in SPELLINGS.items()},
}
"""The severity of each name in every spelling, in upper case."""

ERROR_NAMES: Final = frozenset(name for name, rank in SEVERITIES.items() if rank >= ERROR)
"""The names at ERROR or above."""


def severity_of_number(number: int) -> int:
    """Return the severity of a level of the standard library's, by its *number*; 0 for ``NOTSET``.

    Numbers between two of the five count up from the lower one, by three steps at most, as in
    OpenTelemetry's own handler for logging.
    """
    if number <= 0:
        return 0
    level, above = divmod(min(number, 5 * _STEP + _PER_LEVEL), _STEP)
    if not level:  # TRACE is 5 where it is used
        return 1 + min(max(above - 5, 0), _PER_LEVEL - 1)
    return level * _PER_LEVEL + 1 + min(above, _PER_LEVEL - 1)


def level_and_rank(number: object, name: Any) -> tuple[Any, int]:
    """Return the name of a record's level in a line, and its severity where that name is none of the five.

    Args:
        number: the standard library's number of the level.
        name: the name that it goes by: the program's own, for a number that is not of the five.
    """
    if type(number) is int:
        level = LEVEL_OF_NUMBER.get(number)
        if level is not None:
            return level, 0
        rank = severity_of_number(number)
        if rank:
            return name, rank
    if not isinstance(name, str) or name in _SEVERITY_OF_LEVEL:
        return name, 0
    return name, severity_of_name(name)


def level_keys(level: Any, rank: int) -> dict[str, Any]:
    """Return the keys of a line that say its level; *rank* is its severity, 0 for what goes without."""
    return {"level": level, "severity_number": rank} if rank else {"level": level}


def severity_of_name(name: str) -> int:
    """Return the severity of a level by its *name* in any spelling, 0 for a name of nobody's."""
    known = _SEVERITY_OF_LEVEL.get(name)
    if known is not None:
        return known
    upper = name.strip().upper()
    spelt = SPELLINGS.get(upper)
    return _RANKS.get(upper, 0) if spelt is None else _SEVERITY_OF_LEVEL[spelt]


def severity(row: Mapping[str, Any]) -> int:
    """Return the severity of the log line *row*, 1 to 24; 0 where nothing says it.

    The level says it where it is one of the five, else ``severity_number``, else the level in any
    spelling.
    """
    level: Any = row.get("level")
    try:
        known = _SEVERITY_OF_LEVEL.get(level)
    except TypeError:  # a list, or an object
        known = None
    if known is not None:
        return known
    number = row.get("severity_number")
    if type(number) is int and 0 < number <= _MOST_SEVERE:
        return number
    if isinstance(level, str):
        return severity_of_name(level)
    if isinstance(level, (int, float)) and not isinstance(level, bool):
        return _severity_of_any_number(level)
    return 0


def is_error(row: Mapping[str, Any]) -> bool:
    """Tell whether the log line *row* is at ERROR or above."""
    return severity(row) >= ERROR


def text_of_severity(number: int) -> str:
    """Return OpenTelemetry's short name for a severity of 1 to 24, such as ``WARN2``."""
    name = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")[(number - 1) // _PER_LEVEL]
    rank = (number - 1) % _PER_LEVEL
    return f"{name}{rank + 1}" if rank else name


def level_of_severity(number: int, text: str = "") -> str:
    """Return the name of a level that OpenTelemetry calls by a *number*, which decides, and a *text*.

    It is one of the five, or a name of none of them in any spelling: a line's level goes before its
    number where it is one of the five.

    Args:
        number: 1 to 24; 0 for none.
        text: the source's own name, or nothing.
    """
    own = SPELLINGS.get(text.strip().upper())
    if not number:
        return own or text
    is_other = own is None and text
    return _LEVEL_OF_SEVERITY.get(number) or (text if is_other else text_of_severity(number))


def _severity_of_any_number(number: float) -> int:
    """Return the severity of a level that is a number: syslog's 0 to 7, else the standard library's."""
    if 0 <= number < len(_SYSLOG) and number == int(number):
        return _SYSLOG[int(number)]
    return severity_of_number(int(number)) if 0 <= number < 2**31 else 0


# --- lines of others ------------------------------------------------------------------------------

# What others call our keys, the likeliest first: structlog, python-json-logger, logstash, ECS,
# Google Cloud, bunyan and pino, zap, GELF, OpenTelemetry. A path is one into an object.
ALIASES: Final[dict[str, str]] = {
    "event": "message",
    "msg": "message",
    "short_message": "message",
    "body": "message",
    "levelname": "level",
    "severity": "level",
    "log.level": "level",
    "severity_text": "level",
    "severityText": "level",
    "level_name": "level",
    "lvl": "level",
    "time": "timestamp",
    "@timestamp": "timestamp",
    "asctime": "timestamp",
    "ts": "timestamp",
    "datetime": "timestamp",
    "name": "logger",
    "log.logger": "logger",
    "logger_name": "logger",
}
"""Our key for each name that another writer gives to what it holds."""

LEVEL_OF_METHOD: Final = {
    **{name.lower(): level for name, level in SPELLINGS.items()},
    "notset": "NOTSET",
    "msg": "INFO",
    "log": "INFO",
}
"""The level of the lines that a logger's method makes, by the method's name."""

_own = itemgetter("timestamp", "level", "message", "logger")
_BUNYAN_KEYS: Final = frozenset({"msg", "time"})
_BUNYAN: Final = {10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARNING", 50: "ERROR", 60: "CRITICAL"}


def as_own(row: dict[str, Any]) -> dict[str, Any]:
    """Return the log line *row* under our keys: itself where it has them, else a copy.

    A name of somebody else's is taken for ours only where ours is missing, and only where it holds
    what ours would. Each of the five levels gets its own name; what else is on the line stays.
    """
    try:
        _, level, _, _ = _own(row)
        if level in _SEVERITY_OF_LEVEL:
            return row
    except (KeyError, TypeError):
        row = _renamed(row)
    level = row.get("level")
    named = _level_name(level, row)
    return row if named is level else {**row, "level": named}


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    """Return *row* with our keys for those of others, whose places are taken."""
    found: dict[str, Any] = {}
    gone = set()
    for alias, key in _candidates(tuple(row)):
        if key not in found:
            value = _at(row, alias)
            if _may_be(key, value):
                found[key] = value
                gone.add(alias)
    if not found:
        return row
    level: Any = found.get("level", row.get("level"))
    if gone >= _BUNYAN_KEYS and type(level) is int:
        found["level"] = _BUNYAN.get(level, level)
    return {**{key: value for key, value in row.items() if key not in gone}, **found}


@lru_cache(maxsize=1024)
def _candidates(keys: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the names of others among *keys* that may stand for one of ours, and for which."""
    there = {*keys, *(f"{key}." for key in keys)}
    return tuple(
        (alias, key)
        for alias, key in ALIASES.items()
        if key not in there
        and (alias in there or f"{alias.partition('.')[0]}." in there)
        # structlog calls no logger so, but many call so what they log about.
        and (alias != "name" or "event" not in there or "message" in there)
    )


def _at(row: dict[str, Any], path: str) -> Any:
    if path in row:
        return row[path]
    first, dot, rest = path.partition(".")
    inner = row.get(first) if dot else None
    return inner.get(rest) if isinstance(inner, dict) else None


def _may_be(key: str, value: object) -> bool:
    """Tell whether *value* is what our *key* holds: a time, a level, or else a text."""
    if key == "timestamp":
        return time_of(value) is not None
    if key == "level":
        return severity({"level": value}) > 0
    return isinstance(value, str)


def _level_name(level: Any, row: dict[str, Any]) -> Any:
    """Return the name that a *level* has here; itself where it is none of the five."""
    if isinstance(level, str):
        return SPELLINGS.get(level.strip().upper(), level)
    if type(level) is int and "severity_number" not in row:
        return LEVEL_OF_NUMBER.get(level, level)
    return level
