"""Conditions on lines, as people write them: ``level>=WARNING``, ``tool=search``, ``duration>1s``.

A condition is KEY, an operator and a value. The operators are ``=``, ``!=``, ``>``, ``>=``, ``<``,
``<=``, ``~`` (a regular expression is found) and ``!~``.

- The key is one of the line's, a path into it (``exception.type``, ``headers.host``), or the name
  of an attribute of a span.
- ``level`` is compared by severity; ``WARN`` and ``FATAL`` are understood.
- A value with a unit of time (``1s``, ``250ms``, ``5m``) is compared with a duration: a number, in
  the unit that the line's key ends in (``duration_ns``, ``took_ms``) or else in seconds, or such a
  text. ``duration>1s`` finds ``duration_ns``, ``duration_ms`` and so on, too.
- ``timestamp``, ``start_time`` and ``end_time`` are compared as moments; a value is written as for
  :func:`~tracectrl_logging.reader.filters.moments.moment`, in UTC where it names no offset.
- Other values are compared as numbers where both are, else as texts. In an order there are only
  number and number, or text and text (by code point): null, true, lists and objects have no place.
- A key that is not there equals nothing, so only ``!=`` and ``!~`` hold.
"""

from __future__ import annotations

import math
import operator
import re
from typing import TYPE_CHECKING, Any

from tracectrl._time import time_of
from tracectrl.schema import ALIASES, LEVELS, severity, severity_of_name, severity_of_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Final

_FORM = re.compile(
    r"\s*(?P<key>[^=!<>~\s][^=!<>~]*?)\s*(?P<sign>==|!=|>=|<=|!~|=|>|<|~)(?P<value>.*)", re.DOTALL
)
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_SAME: Final = frozenset({"=", "!="})
_NEGATED: Final = frozenset({"!=", "!~"})
_SECOND_NS: Final = 1_000_000_000
_UNIT_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": _SECOND_NS,
    "m": 60 * _SECOND_NS,
    "min": 60 * _SECOND_NS,
    "h": 3600 * _SECOND_NS,
    "d": 86_400 * _SECOND_NS,
}
_UNITS: Final = "|".join(_UNIT_NS)
_DURATION: Final = re.compile(rf"(?P<number>-?[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>{_UNITS})", re.ASCII)
_TIMES: Final = frozenset({"timestamp", "start_time", "end_time"})
_AMOUNT: Final = r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?"
# What was meant as a number with a unit, and is none; and several of them: 1h30m.
_NO_DURATION: Final = re.compile(
    rf"{_AMOUNT}\s*[^\W\d_]+|(?:{_AMOUNT}\s*(?:{_UNITS})\s*)+", re.IGNORECASE
)
_KEY_UNIT_NS: Final = {
    "_ns": 1,
    "_us": 1_000,
    "_ms": 1_000_000,
    "_s": _SECOND_NS,
    "_seconds": _SECOND_NS,
}
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_WORDS: Final = {True: "true", False: "false", None: "null"}
_EXACT_NS: Final = 2**53
_MANY_DIGITS: Final = 1000  # int() refuses more than a few thousand
_NO_LEVEL: Final = frozenset({"NOTSET"})
MISSING: Final = object()
"""What :func:`find` returns where a line holds nothing at a key."""


class Condition:
    """One condition; the module says what may be written.

    Args:
        text: the condition.

    Raises:
        ValueError: *text* is no condition; the message says what is.
    """

    __slots__ = ("_compare", "_holds", "_is_order", "_negated", "_value", "key", "text")

    def __init__(self, text: str) -> None:
        match = _FORM.fullmatch(text)
        if match is None:
            msg = f"a condition must be a key, one of = != > >= < <= ~ !~, and a value, like level>=WARNING or tool=search, got {text!r}"
            raise ValueError(msg)
        self.text = text
        self.key: str = match["key"]
        sign = "=" if match["sign"] == "==" else match["sign"]
        value: str = match["value"].strip()
        self._negated = sign in _NEGATED
        self._is_order = sign not in _SAME
        self._value: Any = value
        self._compare: Callable[[Any, Any], bool]
        self._holds: Callable[[Mapping[str, Any]], bool] = self._holds_for_value
        if sign in {"~", "!~"}:
            self._compare = _searching(value, text, is_negated=self._negated)
            self._holds = self._is_found
            return
        self._compare = _COMPARE[sign]
        if self.key == "level":
            self._take_level(value)
        elif self.key in _TIMES:
            self._take_time(value)
        elif (duration := _DURATION.fullmatch(value)) is not None:
            self._value = value, _ns(duration)
            self._holds = self._holds_for_duration
        elif self._is_order and _NO_DURATION.fullmatch(value) is not None:
            msg = f"a duration must be a number and one of ns, us, ms, s, min, h and d, like 1.5s, got {value!r} in {text!r}"
            raise ValueError(msg)

    def __call__(self, row: Mapping[str, Any]) -> bool:
        """Tell whether the line that says *row* meets the condition."""
        return self._holds(row)

    def _take_level(self, value: str) -> None:
        """Compare by severity where *value* is a level; a name of somebody's own equals that name."""
        rank = (
            severity_of_number(int(value))
            if _NUMBER.fullmatch(value) and value.isdigit()
            else severity_of_name(value)
        )
        if rank or value.upper() in _NO_LEVEL:
            self._value = rank
            self._holds = self._holds_for_level
        elif self._is_order:
            known = ", ".join(LEVELS[:-1])
            msg = f"levels in an order must be {known} or {LEVELS[-1]}, or a number, got {value!r} in {self.text!r}"
            raise ValueError(msg)

    def _take_time(self, value: str) -> None:
        from tracectrl_logging.reader.filters.moments import moment  # noqa: PLC0415 - as above

        try:
            self._value = moment(value)
        except ValueError as error:
            # Foreign lines may count seconds; and nothing equals what is no time.
            if self._is_order and _NUMBER.fullmatch(value) is None:
                msg = f"{error}, in {self.text!r}"
                raise ValueError(msg) from error
        else:
            self._holds = self._holds_for_time

    def _is_found(self, row: Mapping[str, Any]) -> bool:
        found = find(row, self.key)
        return self._negated if found is MISSING else self._compare(found, self._value)

    def _holds_for_value(self, row: Mapping[str, Any]) -> bool:
        found = find(row, self.key)
        return self._negated if found is MISSING else self._holds_between(found, self._value)

    def _holds_between(self, found: Any, value: str) -> bool:
        """Compare what a line holds with *value*, as numbers where both are, else as texts."""
        if isinstance(found, bool) or found is None:
            return not self._is_order and self._compare(_WORDS[found], value.lower())
        is_number = _NUMBER.fullmatch(value) is not None
        if isinstance(found, (int, float)):
            if is_number:
                return self._compare(found, _number(value))
        elif isinstance(found, str):
            if is_number and _NUMBER.fullmatch(found) is not None:
                return self._compare(_number(found), _number(value))
            if not is_number:
                return self._compare(found, value)
        return not self._is_order and self._compare(_text(found), value)

    def _holds_for_level(self, row: Mapping[str, Any]) -> bool:
        rank = severity(row)
        if not rank:
            named = row.get("level")
            if not isinstance(named, str) or named.upper() not in _NO_LEVEL:
                return self._negated
        return self._compare(rank, self._value)

    def _holds_for_time(self, row: Mapping[str, Any]) -> bool:
        time = time_of(find(row, self.key))
        return self._negated if time is None else self._compare(time, self._value)

    def _holds_for_duration(self, row: Mapping[str, Any]) -> bool:
        value, wanted_ns = self._value
        for name in (self.key, *(self.key + end for end in _KEY_UNIT_NS)):
            found = find(row, name)
            if found is MISSING:
                continue
            present_ns = _ns_of(name, found)
            if present_ns is not None:
                return self._compare(present_ns, wanted_ns)
            if name == self.key:
                return not self._is_order and self._holds_between(found, value)
        return self._negated


def find(row: Mapping[str, Any], key: str) -> Any:
    """Return what *row* holds at *key*: its own, an attribute of a span, or by a dotted path."""
    if key in row:
        return row[key]
    attributes = row.get("attributes")
    if isinstance(attributes, dict) and key in attributes:
        return attributes[key]
    if key in ALIASES and ALIASES[key] in row:  # what another writer calls it
        return row[ALIASES[key]]
    if "." not in key:
        return MISSING
    # The longest first name that is there, since names hold dots, too.
    first, rest = key, ""
    while "." in first:
        first, _, last = first.rpartition(".")
        rest = f"{last}.{rest}" if rest else last
        inner = row.get(first)
        if isinstance(inner, dict):
            return find(inner, rest)
    return MISSING


def conditions(given: str | Condition | Iterable[str | Condition]) -> tuple[Condition, ...]:
    """Return the conditions that are *given*, some or all of them as texts.

    Raises:
        ValueError: a text is no condition.
    """
    several = (given,) if isinstance(given, (str, Condition)) else given
    return tuple(Condition(one) if isinstance(one, str) else one for one in several)


def _searching(pattern: str, text: str, *, is_negated: bool) -> Callable[[Any, Any], bool]:
    try:
        search = re.compile(pattern).search
    except (re.error, OverflowError, RecursionError) as error:
        msg = f"no regular expression in {text!r}: {error}"
        raise ValueError(msg) from error
    return lambda found, _: (search(_text(found)) is None) is is_negated


def _text(found: Any) -> str:
    if isinstance(found, str):
        return found
    import json  # noqa: PLC0415 - for lists, objects and numbers compared with text

    return json.dumps(found, ensure_ascii=False)


def _number(text: str) -> int | float:
    is_whole = len(text) < _MANY_DIGITS and text.lstrip("-").isdigit()
    return int(text) if is_whole else float(text)


def _ns_of(name: str, found: Any) -> float | None:
    """Return the duration *found* at the key *name* in nanoseconds, ``None`` where it is none."""
    if isinstance(found, str):
        match = _DURATION.fullmatch(found.strip())
        return None if match is None else _ns(match)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return None
    ends = _KEY_UNIT_NS.items()
    ns = found * next((unit for end, unit in ends if name.endswith(end)), _SECOND_NS)
    return round(ns) if abs(ns) < _EXACT_NS else ns


def _ns(match: re.Match[str]) -> float:
    ns = float(match["number"]) * _UNIT_NS[match["unit"]]
    return round(ns) if ns < math.inf else ns
