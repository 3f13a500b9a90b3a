"""What a processor has made of an event, read back: what it masked or left out is in no line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from structlog.processors import EventRenamer, JSONRenderer, KeyValueRenderer, LogfmtRenderer
from structlog.stdlib import ProcessorFormatter

from tracectrl._json import safe_repr
from tracectrl_logging.line import exceptions
from tracectrl_logging.line.rendered import json_object
from tracectrl_logging.line.rows import TEXT, TEXT_KEYS
from tracectrl_logging.structlog.renderer import SessionJSONRenderer

if TYPE_CHECKING:
    from collections.abc import Iterable

_RENDERERS = (KeyValueRenderer, LogfmtRenderer)
_RENDERING = (
    ProcessorFormatter.wrap_for_formatter,
    structlog.stdlib.render_to_log_kwargs,
    structlog.stdlib.render_to_log_args_and_kwargs,
)
_PLAIN_JSON = vars(JSONRenderer())
_SAID_BY_LINE = frozenset({"level", "logger", "timestamp", "exc_info", "stack_info"})
_FLAGS = ("exc_info", "stack_info")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def says_all(processor: object) -> bool:
    """Tell whether *processor* is a renderer that shows an event as it is, masking nothing."""
    kind = type(processor)
    if kind is JSONRenderer:  # a serializer of somebody's own may mask, or an encoder class
        dumps, options = vars(processor)["_dumps"], dict(vars(processor)["_dumps_kw"])
        is_plain = options.pop("default", None) is _PLAIN_JSON["_dumps_kw"]["default"]
        return (
            is_plain
            and any(dumps is it for it in (json.dumps, orjson.dumps))
            and not any(callable(it) for it in options.values())
        )
    if kind is structlog.dev.ConsoleRenderer:
        return _has_own_columns_only(vars(processor))
    if kind is SessionJSONRenderer:
        return not processor.redacts  # type: ignore[attr-defined]
    return kind in _RENDERERS or any(processor is it for it in _RENDERING)


def _has_own_columns_only(options: Mapping[str, Any]) -> bool:
    """Tell whether a ConsoleRenderer with these *options* has no formatter of somebody's own."""
    formatters = [it.formatter for it in options.get("_columns", ())]
    formatters.append(options.get("_default_column_formatter"))
    formatters += [getattr(it, "value_repr", None) for it in formatters]
    formatters.append(options.get("_exception_formatter"))
    return all(
        getattr(it, "__module__", "structlog").partition(".")[0] in ("structlog", "builtins")
        for it in formatters
    )


def event_of(
    rendered: object, event: Mapping[Any, Any], *, renderer: object, text: object, is_last: bool
) -> dict[Any, Any]:
    """Return what a line says of *event*, which the end of a chain has made *rendered* of.

    Args:
        rendered: what came out of the chain.
        event: what its *renderer* was given.
        renderer: the processor that was the last to be given a dict.
        text: what it made of it.
        is_last: whether no processor follows it.
    """
    if not says_all(renderer) or rendered is not text:
        return event_shown(rendered, event)
    return dict(event) if is_last else {**event, **_exception_masked(event, event)}


def event_shown(rendered: object, event: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return as much of *event* as *rendered*, which a processor made of it, shows.

    A dict is the event; so is a JSON object, and what the arguments for a wrapped logger say. Of an
    event that became any other text those keys are left that stand in it with their values. Where
    one is missing, the text is the message. Of an exception that the text does not show, its type and
    its places are left: what it says may be what was masked.
    """
    if isinstance(rendered, Mapping):
        return dict(rendered)
    if isinstance(rendered, tuple):
        return _of_arguments(event, *rendered)
    text = text_of(rendered)
    said = json_object(text)
    if said is not None:
        if not any(key in said for key in (TEXT, *TEXT_KEYS)):
            said[TEXT] = text
        return {**said, **_exception_masked(event, said)}
    plain = _COLOUR.sub("", text)
    shown = {
        key: value
        for key, value in event.items()
        if key not in ("event", *_FLAGS) and _shows(plain, key, value)
    }
    missing = {*event} - {*shown, "event"} - _SAID_BY_LINE
    is_whole = not missing and _shows(plain, "", event.get("event", ""))
    message = event.get("event", "") if is_whole else plain
    return {"event": message, **shown, **_exception_masked(event, shown)}


def _exception_masked(event: Mapping[Any, Any], said: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what there is to be *said* instead of the flags of *event*: they would be looked up anew."""
    left: dict[str, Any] = dict.fromkeys(key for key in _FLAGS if key in event or key in said)
    if event.get("stack_info") is True and "stack" not in said:
        left["stack_info"] = True
    exception = exceptions.of_exc_info(event.get("exc_info"), is_told=False)
    if exception is not None and "exception" not in said:
        left["exception"] = exception
    return left


def renamed(event: Mapping[Any, Any], processors: Iterable[Any]) -> dict[Any, Any]:
    """Return *event* with its text where it is looked for first, if one of *processors* renamed it."""
    for processor in processors:
        if type(processor) is EventRenamer and processor.to in event:
            event = {**event, TEXT: event[processor.to]}
            del event[processor.to]
    return dict(event)


def text_of(rendered: object) -> str:
    """Return *rendered* as text."""
    if isinstance(rendered, (bytes, bytearray)):
        return rendered.decode("utf-8", "replace")
    return rendered if isinstance(rendered, str) else safe_repr(rendered)


def _of_arguments(event: Mapping[Any, Any], args: Any = (), options: Any = None) -> dict[Any, Any]:
    said = dict(options or {})
    extra = said.pop("extra", None)
    if isinstance(extra, Mapping):
        said.update(extra)
    if args:
        first = args[0]
        said = {**event_shown(first, event), **said}
    return said


def _shows(text: str, key: object, value: object) -> bool:
    forms = {str(value), repr(value)}
    before = rf"(?<!\w){re.escape(str(key))}\W{{0,4}}" if key != "" else r"(?<![\w*])"
    return any(
        re.search(rf"{before}{re.escape(form)}(?![^\s'\",;:)\]}}|])", text) for form in forms
    )
