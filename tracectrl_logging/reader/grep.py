"""Log lines that match a pattern."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tracectrl_logging.reader.lines import lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracectrl_logging.reader.listing import SessionFiles
    from tracectrl_logging.reader.records import Line, Report


class Query:
    """What a log line is asked for.

    The pattern is searched in the line as it is stored and, so that quotes, backslashes, newlines
    and other letters need not be spelt as JSON escapes, in its message and its exception.

    Args:
        pattern: a regular expression as :mod:`re` reads it.
        literal: *pattern* is plain text.
        ignore_case: letters match in either case.
        invert: the lines that do not match are meant.

    Raises:
        re.error: *pattern* is no regular expression.
    """

    def __init__(
        self,
        pattern: str,
        *,
        literal: bool = False,
        ignore_case: bool = False,
        invert: bool = False,
    ) -> None:
        self.regex = re.compile(
            re.escape(pattern) if literal else pattern, re.IGNORECASE if ignore_case else 0
        )
        self._invert = invert

    def matches(self, raw: bytes, row: dict[str, Any]) -> bool:
        """Tell whether a line is meant: *raw* as it is stored, *row* as it reads."""
        search = self.regex.search
        found = search(raw.decode("utf-8", "replace")) is not None or any(
            search(text) is not None for text in _texts(row)
        )
        return found is not self._invert


def grep(query: Query, found: SessionFiles, sid: str, report: Report) -> Iterator[Line]:
    """Yield the log lines of the session *sid* that *query* means, in the order of writing."""
    return lines(found, "log", sid, report, wanted=query.matches)


def _texts(row: dict[str, Any]) -> Iterator[str]:
    message = row.get("message")
    if isinstance(message, str):
        yield message
    exception = row.get("exception")
    if isinstance(exception, dict):
        for text in exception.values():
            if isinstance(text, str):
                yield text
