"""Objects of others, told by identity: they may have no hash, and their ``==`` may be anything."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")


class IdentityMap(Generic[Value]):
    """A value for each of some objects, for as long as the object lives.

    An object that takes no weak reference is kept alive.
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[Callable[[], Any], Value]] = {}

    def get(self, key: Any) -> Value | None:
        """Return the value for *key*; ``None`` where there is none."""
        known, value = self._entries.get(id(key), (None, None))
        return value if known is not None and known() is key else None

    def put(self, key: Any, value: Value) -> None:
        """Make *value* the one for *key*."""
        number = id(key)

        def forget(reference: weakref.ref[Any]) -> None:
            if self._entries.get(number, (None,))[0] is reference:
                del self._entries[number]

        known: Callable[[], Any]
        try:
            known = weakref.ref(key, forget)
        except TypeError:
            known = lambda: key  # noqa: E731 - of the same shape as the reference
        self._entries[number] = (known, value)
