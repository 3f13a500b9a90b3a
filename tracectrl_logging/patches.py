"""Functions put in the place of others, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_ABSENT = object()


class Patches:
    """Replaces attributes, and puts back what was there."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any, Any]] = []
        self._others: list[Callable[[], object]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Make *value* the attribute *name* of *owner*, whether it has one or not."""
        self._done.append((owner, name, vars(owner).get(name, _ABSENT), value))
        setattr(owner, name, value)

    def on_undo(self, act: Callable[[], object]) -> None:
        """Have *act* called by :meth:`undo`."""
        self._others.append(act)

    def undo(self) -> None:
        """Put everything back, save what somebody else has replaced since: that is theirs."""
        while self._others:
            self._others.pop()()
        while self._done:
            owner, name, before, value = self._done.pop()
            if vars(owner).get(name) is not value:
                continue
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
