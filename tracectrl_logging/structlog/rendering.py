"""What a processor has made of an event, read back: what it masked or left out is in no line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from structlog.processors import JSONRenderer, KeyValueRenderer, LogfmtRenderer
from structlog.stdlib import ProcessorFormatter

from tracectrl._json import safe_repr
from tracectrl_logging.line.rendered import json_object
from tracectrl_logging.structlog.renderer import SessionJSONRenderer

_RENDERERS = (KeyValueRenderer, LogfmtRenderer, structlog.dev.ConsoleRenderer)
_RENDERING = (
    ProcessorFormatter.wrap_for_formatter,
    structlog.stdlib.render_to_log_kwargs,
    structlog.stdlib.render_to_log_args_and_kwargs,
)
_PLAIN_JSON = vars(JSONRenderer())
_SAID_BY_LINE = frozenset({"level", "logger", "timestamp", "exc_info", "stack_info"})
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def says_all(processor: object) -> bool:
    """Tell whether *processor* is a renderer that shows an event as it is, masking nothing."""
    kind = type(processor)
    if kind is JSONRenderer:  # a serializer of somebody's own may mask
        options = vars(processor)
        return options["_dumps"] in (json.dumps, orjson.dumps) and (
            options["_dumps_kw"].get("default") is _PLAIN_JSON["_dumps_kw"]["default"]
        )
    if kind is SessionJSONRenderer:
        return not processor.redacts  # type: ignore[attr-defined]
    return kind in _RENDERERS or any(processor is it for it in _RENDERING)


def event_shown(rendered: object, event: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return as much of *event* as *rendered*, which a processor made of it, shows.

    A dict is the event; so is a JSON object, and what the arguments for a wrapped logger say. Of an
    event that became any other text those keys are left that stand in it with their values. Where
    one is missing, the text is the message.
    """
    if isinstance(rendered, Mapping):
        return dict(rendered)
    if isinstance(rendered, tuple):
        return _of_arguments(*rendered)
    text = text_of(rendered)
    said = json_object(text)
    if said is not None:
        return said
    plain = _COLOUR.sub("", text)
    shown = {key: event[key] for key in event if key != "event" and _shows(plain, key, event[key])}
    missing = {*event} - {*shown, "event"} - _SAID_BY_LINE
    is_whole = not missing and _shows(plain, "", event.get("event", ""))
    return {"event": event.get("event", "") if is_whole else text, **shown}


def text_of(rendered: object) -> str:
    """Return *rendered* as text."""
    if isinstance(rendered, (bytes, bytearray)):
        return rendered.decode("utf-8", "replace")
    return rendered if isinstance(rendered, str) else safe_repr(rendered)


def _of_arguments(args: Any = (), options: Any = None) -> dict[Any, Any]:
    said = dict(options or {})
    extra = said.pop("extra", None)
    if isinstance(extra, Mapping):
        said.update(extra)
    if args:
        first = args[0]
        said = {**first, **said} if isinstance(first, Mapping) else {**said, "event": first}
    return said


def _shows(text: str, key: object, value: object) -> bool:
    forms = {str(value), repr(value)}
    before = rf"(?<!\w){re.escape(str(key))}\W{{0,4}}" if key != "" else r"(?<![\w*])"
    return any(
        re.search(rf"{before}{re.escape(form)}(?![^\s'\",;:)\]}}|])", text) for form in forms
    )
