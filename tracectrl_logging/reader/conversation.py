"""What was said in a session: messages, the calls of tools, and what each answer took.

Each call of a model repeats what was said before; a message is returned where it is new. The lines
are read twice: first for who called whom, then for what was said, so that memory is bounded by the
number of calls, not by what is in them.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

from tracectrl.schema import OTLP_KEY
from tracectrl_logging.reader.genai import names
from tracectrl_logging.reader.genai.messages import Message, Part, inputs, of_event, outputs
from tracectrl_logging.reader.genai.usage import Links, key_of, kind_of, model_of, usage_of
from tracectrl_logging.reader.genai.values import decoded, encoded, first, text
from tracectrl_logging.reader.timeline.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from tracectrl_logging.reader.genai.usage import Key, Usage
    from tracectrl_logging.reader.model import Line, SessionSummary

TurnKind: TypeAlias = Literal["message", "reply", "tool"]


class Turn(NamedTuple):
    """A message that is new, the reply of a model, or the call of a tool."""

    kind: TurnKind
    time: str
    """When: as a line's time; a reply and a tool at the start of the call."""
    session_id: str
    trace_id: str
    span_id: str
    agents: tuple[str, ...]
    """Whose turn it is: the agent, behind those that it works for; empty where none is recorded."""
    run: int
    """Which run of this agent it is, counted from 1; 0 for no agent."""
    role: str
    parts: tuple[Part, ...]
    provider: str = ""
    model: str = ""
    usage: Usage | None = None
    """The tokens of the call; ``None`` where none were recorded."""
    duration_ns: int | None = None
    finish: str = ""
    """Why the model ended, as it says."""
    error: str | None = None
    """What the call says where it failed; ``""`` where it says nothing."""

    def row(self) -> dict[str, Any]:
        """Return the turn as a row of JSON: what does not apply is left out."""
        row: dict[str, Any] = {"type": self.kind, "time": self.time, "session_id": self.session_id}
        row |= {key: value for key in ("trace_id", "span_id") if (value := getattr(self, key))}
        row |= {"agents": list(self.agents), "agent_run": self.run, "role": self.role}
        row["parts"] = [_part_row(part) for part in self.parts]
        row |= {
            key: value for key in ("provider", "model", "finish") if (value := getattr(self, key))
        }
        if self.usage is not None:
            row |= self.usage._asdict()
        if self.duration_ns is not None:
            row["duration_ns"] = self.duration_ns
        if self.error is not None:
            row["error"] = self.error
        return row


def _part_row(part: Part) -> dict[str, Any]:
    content = {"tool_call": "arguments", "tool_result": "result"}.get(part.kind, "content")
    named = {key: value for key in ("name", "id") if (value := getattr(part, key))}
    return {"type": part.kind, **named, content: part.content}


class Conversation:
    """The conversation in the lines of a session.

    Args:
        lines: returns the lines in time order, each time anew.
    """

    def __init__(self, lines: Callable[[], Iterable[Line]]) -> None:
        self._lines = lines
        self._links = Links()
        self._agents: dict[Key, str] = {}
        self._nameless: dict[Key, str] = {}
        self._models: set[Key] = set()
        self._logged: set[Key] = set()
        self._tool_ids: set[str] = set()
        self._tools: Counter[bytes] = Counter()
        tally = Tally()
        sid = ""
        for line in lines():
            tally.see(line)
            sid = sid or line.session_id
            self._look_at(line)
        self.summary: SessionSummary = tally.summary(sid)
        """The session in numbers."""
        above: set[Key] = set()
        for key in self._models:
            self._links.above(key, above)
        self._outer = self._models & above

    def turns(self) -> Iterator[Turn]:
        """Yield what was said, each call where it starts."""
        threads: dict[tuple[str, ...], _Thread] = {}
        runs: dict[tuple[str, ...], dict[Key | None, int]] = {}
        waiting: dict[Key, Turn] = {}
        for line in self._lines():
            key = key_of(line.row)
            attributes = _attributes(line)
            kind = None if attributes is None else kind_of(attributes)
            if line.kind == "span" and (attributes is None or kind not in {"model", "tool"}):
                continue
            name = _event_name(line.row) if line.kind == "log" else None
            if line.kind == "log" and attributes is None and name not in names.MESSAGE_EVENTS:
                continue
            agents, run = self._agent(key, attributes or {}, line.kind)
            number = runs.setdefault(agents, {}).setdefault(run, len(runs[agents]) + 1)
            bare = _turn(line, agents, number if agents else 0)
            thread = threads.setdefault(agents, _Thread())
            if line.kind == "log":
                yield from self._logged_turns(line, name, bare, thread, waiting)
            elif kind == "tool":
                yield _tool(bare, attributes or {}, line.row)
            elif key not in self._outer:
                reply = _reply(bare, attributes or {}, line.row)
                if key is not None and key in self._logged:
                    waiting[key] = reply
                else:
                    given, made = _said(line.row, attributes or {})
                    yield from self._told(bare, given, thread)
                    yield self._answer(reply, made, thread)
        yield from waiting.values()

    def _logged_turns(
        self, line: Line, name: Any, bare: Turn, thread: _Thread, waiting: dict[Key, Turn]
    ) -> Iterator[Turn]:
        """Yield what a log record says: all of a call, or one message of it."""
        row, key = line.row, key_of(line.row)
        reply = None if key is None else waiting.get(key)
        if reply is not None:
            bare = bare._replace(time=reply.time)
        if name in names.MESSAGE_EVENTS:
            body = row.get("message")
            found, is_output = of_event(name, row, None if body == name else body)
            given, made = ([], found) if is_output else (found, [])
            is_end = is_output
        else:
            given, made, is_end = inputs(row), outputs(row), True
            if reply is None and key in self._models:  # all is on the span
                return
        yield from self._told(bare, given, thread)
        if is_end:
            if key is not None:
                waiting.pop(key, None)
            yield self._answer(reply or _reply(bare, row, {}), made, thread)

    def _told(self, bare: Turn, messages: list[Message], thread: _Thread) -> Iterator[Turn]:
        for message in thread.new(messages):
            parts = tuple(part for part in message.parts if not self._is_shown_by_tool(part))
            if parts:
                yield bare._replace(role=message.role, parts=parts)

    def _answer(self, reply: Turn, messages: list[Message], thread: _Thread) -> Turn:
        parts = tuple(part for message in messages for part in message.parts)
        thread.add(messages)
        for part in parts:
            if part.kind == "tool_call" and part.id:
                mark = _mark(part.name, part.content)
                if self._tools[mark]:
                    self._tools[mark] -= 1
                    self._tool_ids.add(part.id)
        return reply._replace(parts=parts)

    def _is_shown_by_tool(self, part: Part) -> bool:
        """Tell whether *part* is a result that the span of its tool shows, too."""
        return part.kind == "tool_result" and part.id in self._tool_ids

    def _look_at(self, line: Line) -> None:
        key, attributes = key_of(line.row), _attributes(line)
        if line.kind == "log":
            is_said = attributes is not None and (inputs(attributes) or outputs(attributes))
            if key is not None and (is_said or _event_name(line.row) in names.MESSAGE_EVENTS):
                self._logged.add(key)
            return
        self._links.add(line.row)
        if attributes is None:
            return
        kind = kind_of(attributes)
        if kind == "tool":
            call = _call_of(attributes, line.row)
            if call.id:
                self._tool_ids.add(call.id)
            else:
                self._tools[_mark(call.name, call.content)] += 1
        elif key is not None and kind == "model":
            self._models.add(key)
        elif key is not None and kind == "agent":
            name = text(first(attributes, names.AGENT))
            self._agents[key] = name or text(line.row.get("name"))
            if not name:
                self._nameless[key] = name

    def _agent(
        self, key: Key | None, attributes: dict[str, Any], kind: str
    ) -> tuple[tuple[str, ...], Key | None]:
        """Return the names of the agents above a line, the outermost first, and the innermost's span."""
        above = [] if key is None else self._links.above(key, set())
        if key is not None and kind == "log":
            above = [key, *above]
        found = [it for it in above if it in self._agents]
        named = [it for it in found if it not in self._nameless] or found
        path = tuple(self._agents[it] for it in reversed(named))
        own = text(attributes.get(names.AGENT[0]))
        if not path and own:
            return (own,), None
        return path, named[0] if named else None


class _Thread:
    """What an agent was told and has said so far."""

    def __init__(self) -> None:
        self._places: dict[bytes, list[int]] = {}
        self._size = 0

    def new(self, messages: list[Message]) -> list[Message]:
        """Return what of *messages* does not repeat what was said, in its order; take note of it."""
        fresh: list[Message] = []
        marks: list[bytes] = []
        at = 0
        for message in messages:
            parts = []
            for part in message.parts:
                mark = _part_mark(message.role, part)
                places = self._places.get(mark, ())
                index = bisect_left(places, at)
                if index < len(places):
                    at = places[index] + 1
                else:
                    parts.append(part)
                    marks.append(mark)
            if parts:
                fresh.append(Message(message.role, tuple(parts)))
        self._note(marks)
        return fresh

    def add(self, messages: list[Message]) -> None:
        """Take note of *messages*."""
        self._note(_part_mark(it.role, part) for it in messages for part in it.parts)

    def _note(self, marks: Iterable[bytes]) -> None:
        for mark in marks:
            self._places.setdefault(mark, []).append(self._size)
            self._size += 1


def _attributes(line: Line) -> dict[str, Any] | None:
    """Return what a line says of a model, a tool or an agent; ``None`` where it is of none."""
    said = line.row.get("attributes") if line.kind == "span" else line.row
    if not isinstance(said, dict) or names.MARKS.isdisjoint(said):
        return None
    if line.kind == "log" and _event_name(line.row) in names.MESSAGE_EVENTS:
        return None
    is_log_of_call = not {*names.INPUT, *names.OUTPUT, *names.SYSTEM}.isdisjoint(said)
    return said if line.kind == "span" or is_log_of_call else None


def _event_name(row: dict[str, Any]) -> str:
    """Return the name of the event that the log line *row* is, ``""`` for none."""
    own = row.get(names.EVENT_NAME)
    if isinstance(own, str):
        return own
    more = row.get(OTLP_KEY)
    item = more.get("item") if isinstance(more, dict) else None
    return text(item.get("eventName")) if isinstance(item, dict) else ""


def _turn(line: Line, agents: tuple[str, ...], run: int) -> Turn:
    ids = text(line.row.get("trace_id")), text(line.row.get("span_id"))
    return Turn("message", line.time, line.session_id, *ids, agents, run, "", ())


def _reply(bare: Turn, attributes: dict[str, Any], row: dict[str, Any]) -> Turn:
    finish = decoded(first(attributes, names.FINISH))
    reasons = finish if isinstance(finish, list) else [finish]
    return bare._replace(
        kind="reply",
        role="assistant",
        provider=text(first(attributes, names.PROVIDER)),
        model=model_of(attributes),
        usage=usage_of(attributes),
        finish=", ".join(it for it in reasons if isinstance(it, str)),
        **_outcome(row),
    )


def _tool(bare: Turn, attributes: dict[str, Any], row: dict[str, Any]) -> Turn:
    call = _call_of(attributes, row)
    result = decoded(first(attributes, names.RESULT))
    answer = () if result is None else (Part("tool_result", result, call.name, call.id),)
    return bare._replace(kind="tool", role="tool", parts=(call, *answer), **_outcome(row))


def _call_of(attributes: dict[str, Any], row: dict[str, Any]) -> Part:
    name = text(first(attributes, names.TOOL)) or text(row.get("name"))
    arguments = decoded(first(attributes, names.ARGUMENTS))
    call_id = text(first(attributes, names.CALL_ID))
    return Part("tool_call", {} if arguments is None else arguments, name, call_id)


def _outcome(row: dict[str, Any]) -> dict[str, Any]:
    took = row.get("duration_ns")
    return {
        "duration_ns": took if type(took) is int else None,
        "error": text(row.get("status_message")) if row.get("status") == "ERROR" else None,
    }


def _said(row: dict[str, Any], attributes: dict[str, Any]) -> tuple[list[Message], list[Message]]:
    """Return the messages on a span, and in its events, that went in and that came out."""
    given, made = inputs(attributes), outputs(attributes)
    events = row.get("events")
    for event in events if isinstance(events, list) else ():
        if isinstance(event, dict) and isinstance(event.get("attributes"), dict):
            found, is_output = of_event(event.get("name"), event["attributes"], None)
            if event.get("name") == names.DETAILS_EVENT:
                given, made = inputs(event["attributes"]), outputs(event["attributes"])
            (made if is_output else given).extend(found)
    return given, made


def _part_mark(role: str, part: Part) -> bytes:
    side = "assistant" if role == "assistant" else ""
    return _mark(part.kind, side if part.kind in {"text", "other"} else "", part.id, part.content)


def _mark(*values: Any) -> bytes:
    try:
        said = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError):
        said = encoded(list(values)).encode(errors="surrogatepass")
    return hashlib.blake2b(said, digest_size=16).digest()
