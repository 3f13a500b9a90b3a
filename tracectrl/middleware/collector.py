"""The garbage collector is in nobody's session.

It runs in the middle of whichever request happens to allocate, and finishes generators that others
have left: Starlette leaves the generator of a streaming response that way when the client goes.
What such a generator logs at its end would be a line in a stranger's session.
"""

from __future__ import annotations

import gc
import threading
from typing import Any

from tracectrl.session import detached

_collecting = threading.local()


def keep_out() -> None:
    """Run all that garbage collections of this process finish outside any session and span."""
    if _around not in gc.callbacks:
        gc.callbacks.append(_around)


def _around(phase: str, _: dict[str, Any]) -> None:
    if phase == "start":
        _collecting.scope = detached()
        _collecting.scope.__enter__()
    elif (scope := _collecting.__dict__.pop("scope", None)) is not None:
        scope.__exit__(None, None, None)
