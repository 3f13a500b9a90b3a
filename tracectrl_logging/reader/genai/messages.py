"""Messages in all the forms that they are recorded in, as parts of one form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tracectrl_logging.reader.genai import names
from tracectrl_logging.reader.genai.values import decoded, first, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Final, TypeAlias

PartKind: TypeAlias = Literal["text", "reasoning", "tool_call", "tool_result", "other"]

_TEXTS: Final = frozenset({"text", "input_text", "output_text", "refusal"})
_REASONING: Final = frozenset({"reasoning", "thinking"})
_CALLS: Final = frozenset({"tool_call", "tool_use", "function_call", "server_tool_call"})
_RESULTS: Final = frozenset(
    {"tool_call_response", "tool_result", "function_call_output", "server_tool_call_response"}
)
_CONTENTS: Final = ("content", "text", "thinking", "reasoning", "refusal", "transcript")
_WRAPPERS: Final = ("message.", "tool_call.", "message_content.", "prompt.", "completion.")
_DEEPEST: Final = 8
_DIGITS: Final = 6


class Part(NamedTuple):
    """One part of a message."""

    kind: PartKind
    content: Any = ""
    """A text; of a tool call its arguments, of other parts what was recorded."""
    name: str = ""
    """The tool's name, where the part is of one."""
    id: str = ""
    """The ID of the tool call, where there is one."""


class Message(NamedTuple):
    """What one side has said at once."""

    role: str
    parts: tuple[Part, ...]


def inputs(attributes: Mapping[str, Any]) -> list[Message]:
    """Return the messages that a model was given, by the *attributes* of a span or record."""
    system = _message({"role": "system", "parts": decoded(first(attributes, names.SYSTEM))})
    found = _listed(first(attributes, names.INPUT), "user")
    found = found or _numbered(attributes, names.INPUT_PREFIXES, "user")
    if not found:
        found = _listed(first(attributes, names.INPUT_TEXT), "user")
    return [system, *found] if system.parts else found


def outputs(attributes: Mapping[str, Any]) -> list[Message]:
    """Return the messages that a model has given, likewise."""
    found = _listed(first(attributes, names.OUTPUT), "assistant")
    found = found or _numbered(attributes, names.OUTPUT_PREFIXES, "assistant")
    return found or _listed(first(attributes, names.OUTPUT_TEXT), "assistant")


def of_event(name: Any, attributes: Mapping[str, Any], body: Any) -> tuple[list[Message], bool]:
    """Return the messages of an event, by its *name*, and whether the model has given them.

    An event is one of a span, or a log record, whose *body* may hold the message.
    """
    name = text(name)
    if name in names.CONTENT_EVENTS:
        key, is_output = names.CONTENT_EVENTS[name]
        return _listed(attributes.get(key), "assistant" if is_output else "user"), is_output
    if name not in names.MESSAGE_EVENTS:
        return [], False
    said = decoded(body)
    content = said if isinstance(said, dict) else {} if said is None else {"content": said}
    said = {**{key: decoded(value) for key, value in attributes.items()}, **content}
    is_output = name == names.CHOICE_EVENT
    inner = said.get("message")
    if is_output and inner is not None:
        said = inner if isinstance(inner, dict) else {"content": inner}
    role = names.MESSAGE_EVENTS[name]
    if role == "tool":
        said = {"tool_call_id": said.get("id"), **said}
    found = _message({"role": role, **said})
    return [found] if found.parts else [], is_output


def _listed(value: Any, role: str) -> list[Message]:
    """Return the messages in *value*: a list, an object around one, or what is one text."""
    value = decoded(value)
    if isinstance(value, dict):
        inner = next((value[key] for key in ("messages", "choices") if key in value), None)
        value = inner if isinstance(inner, list) else [value]
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        return [Message(role, (Part("text", value),))]
    found = []
    for item in value:
        said = item if isinstance(item, dict) else {"content": item}
        inner = said.get("message")
        said = inner if isinstance(inner, dict) else said
        message = _message({"role": role, **said})
        if message.parts:
            found.append(message)
    return found


def _numbered(attributes: Mapping[str, Any], prefixes: Iterable[str], role: str) -> list[Message]:
    """Return the messages whose parts are attributes of their own, as in ``gen_ai.prompt.0.role``."""
    for prefix in prefixes:
        tree: dict[str, Any] = {}
        for key, value in attributes.items():
            if key.startswith(prefix):
                _put(tree, key[len(prefix) :], value)
        if tree:
            return _listed(_lists(tree), role)
    return []


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    """Put *value* into *tree* at *path*, without the words that only say what it is in."""
    here = tree
    keys = path.split(".", _DEEPEST)
    for key in keys[:-1]:
        if f"{key}." in _WRAPPERS:
            continue
        below = here.setdefault(key, {})
        if not isinstance(below, dict):
            return
        here = below
    here.setdefault(keys[-1], value)


def _lists(tree: Any) -> Any:
    """Return *tree* with lists for objects whose keys are numbers."""
    if not isinstance(tree, dict):
        return tree
    if tree and all(len(key) <= _DIGITS and key.isascii() and key.isdigit() for key in tree):
        return [_lists(tree[key]) for key in sorted(tree, key=int)]
    return {key: _lists(value) for key, value in tree.items()}


def _message(said: dict[str, Any]) -> Message:
    """Return the message that *said* is, in any form; one that says nothing has no parts."""
    role = text(said.get("role")) or "user"
    parts = list(_parts(said))
    if role == "tool" or (said.get("tool_call_id") and not said.get("tool_calls")):
        call_id, name = text(said.get("tool_call_id")), text(said.get("name"))
        parts = [
            Part("tool_result", decoded(it.content), name or it.name, it.id or call_id)
            if it.kind in {"text", "other"}
            else it
            for it in parts
        ]
    return Message(role, tuple(parts))


def _parts(said: dict[str, Any]) -> Iterator[Part]:
    kind = text(said.get("type"))
    if kind in _CALLS or kind in _RESULTS or kind in _REASONING:  # OpenAI's Responses
        yield _part(said)
        return
    reasoning = said.get("reasoning_content")
    if isinstance(reasoning, str) and reasoning:
        yield Part("reasoning", reasoning)
    for key in ("parts", "contents", "content"):
        value = said.get(key)
        value = decoded(value) if key != "content" else value
        if isinstance(value, list):
            yield from map(_part, value)
        elif value is not None and value != "":
            yield Part("text", value) if isinstance(value, str) else _part(value)
        else:
            continue
        break
    calls = decoded(said.get("tool_calls"))
    if isinstance(calls, list):
        yield from (_call(call) for call in calls if isinstance(call, dict))
    call = said.get("function_call")
    if isinstance(call, dict):
        yield _call(call)


def _part(value: Any) -> Part:
    if not isinstance(value, dict):
        return Part("text" if isinstance(value, str) else "other", value)
    kind = value.get("type")
    if not isinstance(kind, str):
        kind = "text" if any(isinstance(value.get(key), str) for key in _CONTENTS) else ""
    if kind in _CALLS:
        return _call(value)
    if kind in _RESULTS:
        result = first(value, ("response", "result", "output", "content"))
        call_id = first(value, ("id", "tool_use_id", "call_id", "tool_call_id"))
        return Part("tool_result", decoded(result), text(value.get("name")), text(call_id))
    content = first(value, _CONTENTS)
    if isinstance(content, dict):  # {"type": "text", "text": {"value": ...}}
        content = content.get("value")
    if kind in _REASONING:
        return Part("reasoning", text(content))
    is_text = kind in _TEXTS and isinstance(content, str)
    return Part("text", content) if is_text else Part("other", value)


def _call(value: dict[str, Any]) -> Part:
    function = value.get("function")
    said = function if isinstance(function, dict) else value
    arguments = decoded(first(said, ("arguments", "input", "args")))
    name = text(said.get("name"))
    call_id = text(first(value, ("call_id", "id", "tool_call_id")))
    return Part("tool_call", {} if arguments in (None, "") else arguments, name, call_id)
