"""What the site's copy buttons take."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "docs_copy.py"


@pytest.fixture
def hook() -> Any:
    """Return the hook of the site."""
    spec = importlib.util.spec_from_file_location("docs_copy", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_commands_alone(hook: Any) -> None:
    """Of a console the commands are copied; any other block stays as it is."""
    console = '<code><span class="gp">$ </span>ls<span class="w"> </span>&quot;a&quot;\n<span class="go">b</span>\n'
    page = f'<div class="highlight"><pre>{console}<span class="gp">$ </span>id</code></pre></div>'
    other = '<div class="highlight"><pre><code>$ x = 1</code></pre></div>'

    shown = hook.on_page_content(other + page)
    assert shown.startswith(other)
    assert 'data-copy="ls &quot;a&quot;\nid"><pre>' in shown
    assert page.removeprefix('<div class="highlight">') in shown
