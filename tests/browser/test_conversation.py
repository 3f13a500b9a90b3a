"""What models, tools and agents said, on the page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SAID = [{"role": "user", "content": "<img src=x onerror=alert(1)>"}]
CALL = {"id": "1", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}


def test_conversation(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Any]
) -> None:
    """A button and a key show it: messages as text, tool calls, and what the answer took."""
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "small",
        "gen_ai.input.messages": json.dumps(SAID),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "tool_calls": [CALL]}]),
        "gen_ai.usage.input_tokens": 1200,
    }
    write("talk", {"name": "chat", "span_id": "1" * 16, "attributes": attributes})
    write("mute", {"message": "nothing"})
    server = serve()
    page = open_page(server, "/session/talk")
    page.get_by_role("button", name="Conversation").click()
    page.wait_for_selector(".said-turn")
    assert ["<img src=x onerror=alert(1)>", '→ weather {"city":"Rome"}'] == [
        element.inner_text() for element in page.query_selector_all(".said-part")
    ]
    facts = page.locator(".said-facts").inner_text()
    assert facts.startswith("small · 1,200 in · 0 out")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.conversation", state="hidden")
    other = open_page(server, "/session/mute")
    other.wait_for_selector(".view-session")
    other.keyboard.press("m")
    other.wait_for_selector(".said-note >> text=No model, tool or agent")
