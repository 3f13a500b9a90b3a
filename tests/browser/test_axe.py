"""axe finds nothing serious on any view, in either colour scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SQL = (
    "SELECT%20level%2C%20count(*)%20AS%20lines%20FROM%20logs%20GROUP%20BY%20level%20ORDER%20BY%201"
)
VIEWS = {
    "list": ("/", ".entries .session"),
    "narrow list": ("/", ".entries .session"),
    "search": ("/search?q=o&level=INFO&where=level%3E%3DINFO", ".hit"),
    "SQL": (f"/sql?sql={SQL}", ".result td"),
    "session": ("/session/order-1", ".view-session"),
    "conversation": ("/session/order-1", ".view-session"),
    "keys": ("/", ".entries .session"),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_serious(
    scheme: str,
    serve: Callable[..., Any],
    write: Callable[..., None],
    open_page: Callable[..., Any],
    node_modules: Path,
) -> None:
    """Names, roles, contrast and order are right on every view."""
    write("order-1", {"message": "took the order"}, {"message": "no card", "level": "ERROR"})
    said = {"gen_ai.request.model": "small", "gen_ai.prompt.0.content": "hello"}
    write(
        "order-1",
        {"name": "checkout", "span_id": "2" * 16, "status": "ERROR", "attributes": said},
    )
    write("order-2", {"message": "took another order", "level": "WARNING", "service": "shop"})
    server = serve()
    axe = (node_modules / "axe-core" / "axe.min.js").read_text("utf-8")
    found = {}
    for name, (path, selector) in VIEWS.items():
        width = 360 if name.startswith("narrow") else 1280
        page = open_page(server, path, width=width, color_scheme=scheme)
        page.wait_for_selector(selector)
        if name == "keys":
            page.keyboard.press("?")
            page.wait_for_selector("dialog[open]")
        if name == "conversation":
            page.keyboard.press("m")
            page.wait_for_selector(".said-turn")
        page.evaluate(axe)
        # The texts of a row that is drawn later have no colours yet: rows are looked at when they are.
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found[name] = [
            (it["id"], it["impact"], [node["target"] for node in it["nodes"]][:3])
            for it in result["violations"]
            if it["impact"] in {"serious", "critical"}
        ]
        page.close()
    assert {name: [] for name in VIEWS} == found
