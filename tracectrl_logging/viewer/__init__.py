"""The page on which sessions are watched, and its streams: ASGI applications over a store.

    app.mount("/_tracectrl", viewer.app("traces", auth=is_operator))
    app.mount("/events", viewer.session_events("traces", auth=may_see))

Both need the extra ``viewer``. They patch nothing, start no thread and no task of their own, and end
their streams at once when the server closes the socket that it listens on.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tracectrl.errors import require

if TYPE_CHECKING:
    from tracectrl_logging.viewer.application import app
    from tracectrl_logging.viewer.events import session_events
    from tracectrl_logging.viewer.export import write_html

__all__ = ["app", "session_events", "write_html"]

_MODULE_OF = {"app": "application", "session_events": "events", "write_html": "export"}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    require(__name__, "viewer", "anyio", "starlette", "jinja2")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
