"""Texts that say the same thing about different values."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

_LONGEST: Final = 2000
_VALUE: Final = re.compile(
    r"""[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}  # a UUID
    |\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?  # a time
    |\b\d\d?:\d\d:\d\d(?:[.,]\d+)?
    |\b0x[0-9a-f]+\b
    |\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b
    |\d+(?:[.,:]\d+)*""",
    re.VERBOSE | re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_LEAST_WORDS: Final = 2
_LEAST_CHARACTERS: Final = 8
_SHARED: Final = 0.6


@lru_cache(maxsize=4096)
def pattern(text: str) -> str:
    """Return *text* with ``#`` for numbers, UUIDs, times and other IDs."""
    return _VALUE.sub("#", text[:_LONGEST])


def are_related(one: str, other: str, *, exactly: bool = False) -> bool:
    """Tell whether two texts are of one failure: one quotes the other, or they share most words.

    Values must be the same where *exactly*: then only a quotation counts.
    """
    shape = str.strip if exactly else pattern
    short, long = sorted((shape(one), shape(other)), key=len)
    if len(short) >= _LEAST_CHARACTERS and short in long:
        return True
    few, many = _words(short), _words(long)
    return not exactly and len(few) >= _LEAST_WORDS and len(few & many) >= _SHARED * len(few)


@lru_cache(maxsize=4096)
def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(text))
