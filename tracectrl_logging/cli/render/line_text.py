"""A line as styled text for people: its level as a column, and its body."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl._time import ns_of, time_of
from tracectrl.schema import LOG_KEYS, OTLP_KEY, PID_KEY
from tracectrl_logging.cli.text import shown
from tracectrl_logging.console import plain_value
from tracectrl_logging.reader.timeline.open_spans import is_open

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from tracectrl.schema import Kind
    from tracectrl_logging.cli.render.keys import Keys
    from tracectrl_logging.cli.render.screen import Screen
    from tracectrl_logging.cli.render.time_format import TimeFormat
    from tracectrl_logging.reader.model import Line

    Styled: TypeAlias = list[tuple[str, str]]

_LEVEL_STYLES = {
    "DEBUG": "dim",
    "INFO": "green",
    "WARNING": "yellow",
    "ERROR": "red",
    "CRITICAL": "bold red",
}
_IDS = ("trace_id", "span_id", "parent_span_id")
_NO_EXTRAS = frozenset((*LOG_KEYS, OTLP_KEY))
_US, _MS, _S, _MINUTE = 1_000, 1_000_000, 1_000_000_000, 60_000_000_000
_NEWLINE = "\n"
_WIDEST_LEVEL = 16
LEVEL_WIDTH = 8
"""The columns that a level takes, unless its name is longer."""


class View(NamedTuple):
    """The screen that lines are printed on, and the parts of them that are shown."""

    screen: Screen
    times: TimeFormat
    """How times are spelt."""
    keys: Keys
    """Which keys are shown."""
    full: bool
    """With tracebacks, stacks, IDs and the details of spans."""

    def parts(
        self, line: Line, *, with_service: bool, until: str | None = None
    ) -> tuple[tuple[str, str], list[tuple[str, str]]]:
        """Return the level of *line* as a column, and its body; an open span is so *until* then."""
        column, body = of(line.kind)
        row = self.keys.row(line.row)
        extras = self.keys.extras(row)
        if line.kind == "span":
            body = partial(span, until=until)
        said = body(row, full=self.full, with_service=with_service, extras=extras)
        if self.full and extras is None:
            said += _ids(row)
            said += _events(row, self.times)
            said += _links(row)
        return column(row), said


def level(row: dict[str, Any]) -> tuple[str, str]:
    """Return the level of the log line *row* as a column, and its style."""
    name = text_of(row.get("level", "-"))
    if len(name) > _WIDEST_LEVEL:
        name = f"{name[: _WIDEST_LEVEL - 3]}..."
    return f"{name:<{LEVEL_WIDTH}}", _LEVEL_STYLES.get(name, "magenta")


def of(kind: Kind) -> tuple[Callable[[dict[str, Any]], tuple[str, str]], Callable[..., Styled]]:
    """Return the functions that make the level column and the body of a line of this *kind*."""
    return _OF[kind]


def log(
    row: dict[str, Any], *, full: bool, with_service: bool, extras: dict[str, Any] | None = None
) -> list[tuple[str, str]]:
    """Return the body of the log line *row*; *full* includes its traceback and stack.

    *extras*, where given, replace the line's own.
    """
    said = []
    logger = row.get("logger", "-")
    if logger != "":
        said += [(text_of(logger), "cyan"), (": ", "dim")]
    if with_service and "service" in row:
        said.insert(0, (f"[{text_of(row['service'])}] ", "dim"))
    said.append((_value(row.get("message", "")), _message_style(row)))
    if extras is None:
        extras = {key: value for key, value in row.items() if key not in _NO_EXTRAS}
    said.extend(_pairs(extras))
    said.extend(_exception(row.get("exception"), full=full))
    stack = row.get("stack")
    if isinstance(stack, str) and full:
        said.append((f"\n{stack.rstrip()}", "dim"))
    return said


def span(
    row: dict[str, Any],
    *,
    full: bool,
    with_service: bool,
    extras: dict[str, Any] | None = None,
    until: str | None = None,
) -> list[tuple[str, str]]:
    """Return the body of the span line *row*; *full* includes its attributes.

    *extras*, where given, replace the attributes. An open span is so *until* that time at least.
    """
    said = [(text_of(row.get("name", "-")), "bold")]
    if with_service and "service" in row:
        said.insert(0, (f"[{text_of(row['service'])}] ", "dim"))
    if is_open(row):
        said += _openness(row, until)
    took = row.get("duration_ns")
    if isinstance(took, int):
        said.append((f"  {duration(took)}", "blue"))
    kind = text_of(row.get("kind", "INTERNAL"))
    if kind != "INTERNAL":
        said.append((f"  {kind.lower()}", "dim"))
    status, message = text_of(row.get("status", "UNSET")), row.get("status_message")
    if status != "UNSET":
        said.append((f"  {status}", "green" if status == "OK" else "red"))
        if message:
            text = _value(message)
            said.append((f": {text if full else _first_line(text)}", "red"))
    if extras is not None:
        said.extend(_pairs(extras))
    elif full:
        said.extend(_details(row))
    return said


def _openness(row: dict[str, Any], until: str | None) -> Iterator[tuple[str, str]]:
    """Yield how long the span of *row* has been open at least, and where."""
    start_ns, until_ns = ns_of(row.get("start_time")), ns_of(until)
    yield "  open", "yellow"
    if start_ns is not None and until_ns is not None:
        yield f" for {duration(until_ns - start_ns)}", "yellow"
    if (pid := row.get(PID_KEY)) is not None:
        yield f" in process {text_of(pid)}", "dim"


def duration(ns: int) -> str:
    """Return *ns* nanoseconds in the unit that reads best, three digits at least."""
    size = abs(ns)
    if size < _US:
        return f"{ns} ns"
    if size < _MS:
        return f"{_digits(ns / _US)} µs"
    if size < _S:
        return f"{_digits(ns / _MS)} ms"
    if size < _MINUTE:
        return f"{_digits(ns / _S)} s"
    minutes, seconds = divmod(round(ns / _S), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m {seconds:02}s" if hours else f"{minutes}m {seconds:02}s"


def count(number: int, name: str) -> str:
    """Return *number* with *name*, in the plural where that is right."""
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def text_of(value: Any) -> str:
    """Return *value*, which should be a name, on one line."""
    return shown(plain_value(value))


def _digits(number: float) -> str:
    """Return *number*, below 1000, with three digits."""
    for digits in (2, 1):
        text = f"{number:.{digits}f}"
        if len(text.lstrip("-")) <= len("1.23"):
            return text
    return f"{number:.0f}"


def _message_style(row: dict[str, Any]) -> str:
    return {"DEBUG": "dim", "CRITICAL": "bold"}.get(text_of(row.get("level", "")), "")


def _value(value: Any) -> str:
    return plain_value(value).rstrip("\n")


def _first_line(text: str) -> str:
    first, _, more = text.partition("\n")
    return f"{first} ..." if more else first


def _pairs(values: dict[str, Any], before: str = "  ") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        text = _value(value)
        if "\n" in text:  # a block of its own, so that its lines stay below each other
            indent = f"{before if before[0] == _NEWLINE else _NEWLINE}  "
            text = indent + text.replace("\n", indent)
        yield f"{before}{shown(key)}={text}", "dim"


def _exception(exception: Any, *, full: bool) -> Iterator[tuple[str, str]]:
    if not isinstance(exception, dict):
        if exception is not None:
            yield f"\n{_value(exception)}", "red"
        return
    stacktrace = exception.get("stacktrace")
    trace = stacktrace.strip("\n") if isinstance(stacktrace, str) else ""
    if full and trace:
        yield f"\n{trace}", "red"
        return
    kind, message = exception.get("type"), exception.get("message")
    if kind:
        text = f"{_value(kind)}: {_value(message)}" if message else _value(kind)
    else:
        text = trace.rpartition("\n")[2]
    yield f"\n{_first_line(text)}", "red"


def _details(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    attributes = row.get("attributes")
    if isinstance(attributes, dict):
        own = {key: value for key, value in attributes.items() if key != "session.id"}
        yield from _pairs(own, "\n")


def _ids(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    found = [f"{key}={text_of(row[key])}" for key in _IDS if key in row]
    if found:
        yield "\n" + "  ".join(found), "dim"


def _events(row: dict[str, Any], times: TimeFormat) -> Iterator[tuple[str, str]]:
    for event in _objects(row.get("events")):
        yield f"\nevent {text_of(event.get('name', '-'))}", "yellow"
        moment = time_of(event.get("timestamp"))
        if moment is not None:
            yield f"  {times.time(moment)}", "dim"
        yield from _attributes(event)


def _links(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for link in _objects(row.get("links")):
        yield (
            f"\nlink {text_of(link.get('trace_id', '-'))} {text_of(link.get('span_id', '-'))}",
            "yellow",
        )
        yield from _attributes(link)


def _attributes(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    values = row.get("attributes")
    if isinstance(values, dict):
        yield from _pairs(values, "\n  ")


def _objects(values: Any) -> list[dict[str, Any]]:
    return [it for it in values if isinstance(it, dict)] if isinstance(values, list) else []


_OF: dict[Kind, tuple[Callable[[dict[str, Any]], tuple[str, str]], Callable[..., Styled]]] = {
    "log": (level, log),
    "span": (lambda _: (f"{'SPAN':<{LEVEL_WIDTH}}", "blue"), span),
}
