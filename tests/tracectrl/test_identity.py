"""Foreign objects by identity."""

from __future__ import annotations

import gc
from typing import NoReturn

import pytest

from tracectrl.identity import IdentityMap


class Hostile:
    """Has no hash, and raises when it is compared or asked for its truth."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> NoReturn:
        raise RuntimeError

    def __bool__(self) -> NoReturn:
        raise RuntimeError


class Slotted(Hostile):
    """Takes no weak reference."""

    __slots__ = ()


class Equal:
    """Equal to everything."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


@pytest.mark.parametrize("kind", [Hostile, Slotted, Equal])
def test_each_object_has_its_value(kind: type[object]) -> None:
    """However an object compares, its value is its own."""
    values: IdentityMap[str] = IdentityMap()
    one, other = kind(), kind()
    values.put(one, "one")
    assert ("one", None) == (values.get(one), values.get(other))
    values.put(other, "other")
    values.put(one, "again")
    assert ("again", "other") == (values.get(one), values.get(other))


def test_object_that_is_gone_has_none() -> None:
    """A new object at the place of one that was freed is not taken for it."""
    values: IdentityMap[str] = IdentityMap()
    for _ in range(100):
        it = Hostile()
        assert values.get(it) is None
        values.put(it, "value")
        del it
        gc.collect(0)
