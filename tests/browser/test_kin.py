"""Whose a session is, and the sessions around it, on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PARENT = "tracectrl.session.parent_id"
HOSTILE = "<b>top</b> a=b&where=x~y#?/%"


def test_kin(
    serve: Callable[..., Any], write: Callable[..., None], open_page: Callable[..., Any]
) -> None:
    """The page leads from a session to the one that began it, and from there to those that it began."""
    write(HOSTILE, {"message": "plan"})
    write("sub", {"message": "work", PARENT: HOSTILE, "user.id": "ann <i>"})
    write("span", {"name": "work", "span_id": "1" * 16, "attributes": {PARENT: HOSTILE}})
    write("next", {"message": "on", "session.previous_id": HOSTILE})
    write("other", {"message": "nothing"})
    server = serve()
    page = open_page(server, "/session/sub")
    page.get_by_text(f"user ann <i>began in {HOSTILE}").wait_for()
    page.locator(".story-kin a").click()
    page.get_by_role("heading", name=HOSTILE).wait_for()
    assert page.locator(".story-kin").is_hidden()
    page.get_by_role("link", name="Sub-sessions").click()
    page.wait_for_selector(".session >> text=work")
    assert ["span", "sub"] == sorted(page.locator(".session a.open").all_inner_texts())
    assert [f"in {HOSTILE}"] * 2 == page.locator(".of-parent").all_inner_texts()
    following = open_page(server, "/session/next")
    following.get_by_text(f"goes on from {HOSTILE}").wait_for()
