"""The parameters of an address as questions to a store; the names are those of the command's options."""

from __future__ import annotations

import re
from datetime import timezone
from typing import TYPE_CHECKING

from tracectrl.schema import LEVELS
from tracectrl_logging.reader.filters.conditions import Condition, conditions
from tracectrl_logging.reader.filters.moments import moment
from tracectrl_logging.reader.filters.search import Query, Search
from tracectrl_logging.reader.filters.selection import Selection
from tracectrl_logging.reader.filters.sessions import SORTS, SessionQuery

if TYPE_CHECKING:
    from typing import Final

    from starlette.datastructures import QueryParams

_NO: Final = ("", "0", "false", "no")
_MOST_LIMIT: Final = 10_000
_MOST_PATTERN: Final = 1000
_PATTERN: Final = re.compile(r"[^=!<>~]+!?~(.*)", re.DOTALL)
_REPEATS: Final = re.compile(r"[*+{]")
_NO_REPEATS: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)  # escapes, sets


class UnclearError(ValueError):
    """A parameter cannot be understood; the message says which, and what it must be."""


def session_query(params: QueryParams, limit: int) -> SessionQuery:
    """Return which sessions are meant; *limit* is how many where none is given.

    Raises:
        UnclearError: a parameter cannot be understood.
    """
    asked_for = params.get("sort") or SORTS[0]
    sort = next((it for it in SORTS if it == asked_for), None)
    if sort is None:
        msg = f"sort must be one of {', '.join(SORTS)}, got {asked_for!r}"
        raise UnclearError(msg)
    return SessionQuery(
        since=_moment(params, "since"),
        until=_moment(params, "until"),
        errors=flag(params, "errors"),
        services=frozenset(filter(None, params.getlist("service"))),
        where=_where(params),
        sort=sort,
        limit=number(params, "limit", limit),
    )


def selection(params: QueryParams) -> Selection:
    """Return which lines are meant.

    Raises:
        UnclearError: a parameter cannot be understood.
    """
    level = params.get("level") or None
    if level is not None:
        try:
            Condition(f"level>={level}")
        except ValueError as error:
            msg = f"level must be one of {', '.join(LEVELS)}, or a number, got {level!r}"
            raise UnclearError(msg) from error
    return Selection(
        since=_moment(params, "since"),
        until=_moment(params, "until"),
        level=level,
        logger=params.get("logger") or None,
        trace_id=params.get("trace") or None,
        where=_where(params),
    )


def search(params: QueryParams) -> Search:
    """Return what is searched for: ``q`` is the pattern.

    Raises:
        UnclearError: a parameter cannot be understood.
    """
    pattern = params.get("q", "")
    if not pattern or len(pattern) > _MOST_PATTERN:
        msg = f"q must be a pattern of 1 to {_MOST_PATTERN} characters, got {len(pattern)}"
        raise UnclearError(msg)
    try:
        query = Query(
            pattern,
            literal=flag(params, "literal"),
            ignore_case=flag(params, "ignore_case"),
            invert=flag(params, "invert"),
        )
    except (re.error, OverflowError, RecursionError) as error:
        msg = f"q must be a regular expression: {error}"
        raise UnclearError(msg) from error
    return Search(query=query, selection=selection(params))


def flag(params: QueryParams, name: str) -> bool:
    """Return whether *name* is given, and not as ``0``, ``false``, ``no`` or nothing."""
    return params.get(name, "").lower() not in _NO


def number(params: QueryParams, name: str, default: int) -> int:
    """Return the number *name*, from 1 to 10,000; *default* where it is not given.

    Raises:
        UnclearError: it is no such number.
    """
    text = params.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text[:9]) <= _MOST_LIMIT:
        msg = f"{name} must be a whole number from 1 to {_MOST_LIMIT}, got {text!r}"
        raise UnclearError(msg)
    return int(text)


def _moment(params: QueryParams, name: str) -> str | None:
    text = params.get(name)
    if not text:
        return None
    try:
        return moment(text, tz=timezone.utc)
    except ValueError as error:
        msg = f"{name}: {error}"
        raise UnclearError(msg) from error


def _where(params: QueryParams) -> tuple[Condition, ...]:
    given = list(filter(None, params.getlist("where")))
    try:
        found = conditions(given)
    except ValueError as error:
        msg = f"where: {error}"
        raise UnclearError(msg) from error
    for text in given:
        pattern = _PATTERN.match(text)
        if pattern is not None and _REPEATS.search(_NO_REPEATS.sub("", pattern[1])):
            msg = (
                "where: a pattern must do without *, + and {}, which can take for ever on a stranger's"
                f" line, got {text!r}; the search takes any"
            )
            raise UnclearError(msg)
    return found
