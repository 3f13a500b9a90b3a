"""Has the copy button of a block of ``console`` take the commands alone: no prompt, no output.

A hook of MkDocs: https://www.mkdocs.org/user-guide/configuration/#hooks. The theme's button copies what
``data-copy`` around the block says, where that is there.
"""

from __future__ import annotations

import html
import re
from typing import Any

PROMPT = "$ "

_BLOCK = re.compile(r'<div class="(?P<kind>[^"]*highlight)">(?P<inner>.*?</pre>)', re.DOTALL)
_TAG = re.compile(r"<[^>]+>")


def on_page_content(content: str, **_: Any) -> str:
    """Say of each block with a prompt what is copied."""
    return _BLOCK.sub(_with_copy, content)


def _with_copy(match: re.Match[str]) -> str:
    rows = html.unescape(_TAG.sub("", match["inner"])).splitlines()
    commands = "\n".join(row.removeprefix(PROMPT) for row in rows if row.startswith(PROMPT))
    if 'class="gp"' not in match["inner"]:
        return match[0]
    return f'<div class="{match["kind"]}" data-copy="{html.escape(commands)}">{match["inner"]}'
