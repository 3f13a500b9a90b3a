"""Values of attributes, whatever anybody has put there: nothing here raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from tracectrl._json import encode_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

_MOST: Final = 10**15
_DIGITS: Final = 15


def first(attributes: Mapping[str, Any], names: Iterable[str]) -> Any:
    """Return the value of the first of *names* that *attributes* have one for, else ``None``."""
    for name in names:
        value = attributes.get(name)
        if value is not None:
            return value
    return None


def text(value: Any) -> str:
    """Return *value* where it is a text, else ``""``."""
    return value if isinstance(value, str) else ""


def count(value: Any) -> int | None:
    """Return the count that *value* is: a number that is whole and not negative, or the text of one.

    Returns:
        ``None`` for any other, and past 10**15, which nobody has counted.
    """
    if isinstance(value, str) and len(value) <= _DIGITS and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if 0 <= value <= _MOST and value == int(value) else None


def decoded(value: Any) -> Any:
    """Return what the JSON text *value* holds where it is that of an object or list, else *value*."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return orjson.loads(value)
        except ValueError:
            return value
    return value


def encoded(value: Any) -> str:
    """Return *value* as text: a text as it is, else as JSON."""
    return value if isinstance(value, str) else encode_line({"": value})[4:-2].decode()
