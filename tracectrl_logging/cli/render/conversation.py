"""A conversation as text: who said what, which tools were called, and what each answer took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracectrl_logging.cli.render.line_text import duration
from tracectrl_logging.cli.render.sessions import among, used
from tracectrl_logging.cli.render.tree import moment, offset
from tracectrl_logging.cli.text import shown
from tracectrl_logging.reader.genai.values import encoded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from tracectrl_logging.cli.render.screen import Screen
    from tracectrl_logging.reader.conversation import Conversation, Turn
    from tracectrl_logging.reader.genai.messages import Part

_ROLE_WIDTH: Final = 9
_STYLES: Final = {"system": "dim", "user": "green", "assistant": "cyan", "tool": "magenta"}


def put(conversation: Conversation, screen: Screen) -> bool:
    """Print *conversation*; return whether anything was said."""
    summary = conversation.summary
    start = moment(summary.first_time)
    agent: tuple[tuple[str, ...], int] = (), 0
    found = False
    for turn in conversation.turns():
        if not found:
            screen.line([(shown(summary.session_id), "bold cyan")])
            screen.line([(used(summary), "dim")])
            screen.line([])
            found = True
        guides = "│ " * (len(turn.agents) - 1)
        at = offset(start, moment(turn.time))
        if (turn.agents, turn.run) != agent:
            agent = turn.agents, turn.run
            run = f" #{turn.run}" if turn.run > 1 else ""
            name = f"{shown(turn.agents[-1])}{run}" if turn.agents else "-"
            screen.line([(name, "bold")], [(f"{at}  {'agent':<{_ROLE_WIDTH}}  {guides}", "dim")])
        role = shown(turn.role)
        first = [(f"{at}  ", "dim"), (f"{role:<{_ROLE_WIDTH}}", _STYLES.get(role, ""))]
        gap = " " * (len(at) + 2 + max(len(role), _ROLE_WIDTH) + 2)
        body = [*_said(turn), *_took(turn)]
        screen.line(body, [*first, (f"  {guides}", "dim")], [(f"{gap}{guides}", "dim")])
    return found


def _said(turn: Turn) -> Iterator[tuple[str, str]]:
    between = ""
    for part in turn.parts:
        yield between + _text(part), "dim" if part.kind in {"reasoning", "other"} else ""
        between = "\n"


def _text(part: Part) -> str:
    content = encoded(part.content).rstrip("\n")
    if part.kind == "tool_call":
        return f"→ {shown(part.name)} {content}"
    if part.kind == "tool_result":
        return f"← {content}"
    return f"({content})" if part.kind == "reasoning" else content


def _took(turn: Turn) -> Iterator[tuple[str, str]]:
    """Yield what a call took, on a line of its own."""
    between = "\n" if turn.parts else ""
    if turn.error is not None:
        yield f"{between}failed{': ' if turn.error else ''}{turn.error}", "red"
        between = "\n"
    elif turn.kind == "reply" and turn.duration_ns is None and not turn.parts:
        yield "no answer", "yellow"
        between = "\n"
    parts = [shown(turn.model)] if turn.model else []
    if turn.usage is not None:
        usage = turn.usage
        cached = {"cached": usage.cache_read_tokens, "to cache": usage.cache_creation_tokens}
        parts.append(f"{usage.input_tokens} in{among(cached)}")
        parts.append(f"{usage.output_tokens} out{among({'reasoning': usage.reasoning_tokens})}")
    if turn.kind != "message" and turn.duration_ns is not None:
        parts.append(duration(turn.duration_ns))
    if parts:
        yield between + "  ".join(parts), "blue"
