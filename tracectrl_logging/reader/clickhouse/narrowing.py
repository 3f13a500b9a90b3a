"""What the engine may leave out of an answer: rows that cannot be meant.

Whether a line is meant is the word of the questions' own predicates, as for files; so a condition here
may let through more, and never less. All that comes from outside is a parameter.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tracectrl._time import ns_of
from tracectrl.schema import LOG_KEYS, OTLP_KEY, SEVERITIES, severity_of_name, severity_of_number
from tracectrl_logging.reader.clickhouse.tables import LEAST_NS, MOST_NS, NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from tracectrl_logging.reader.clickhouse.tables import Table
    from tracectrl_logging.reader.filters.needle import Needle
    from tracectrl_logging.reader.filters.selection import Selection

_WORD: Final = re.compile(r"[\w@ -]*[^\W\d_][\w@ -]*")
"""Texts that stand in one value or key of a line, and in no number or time."""
_KEYS: Final = (
    " ".join((*LOG_KEYS, OTLP_KEY))
    + " type message stacktrace true false null origin scope item resource attributes name key value values"
    " stringvalue intvalue boolvalue doublevalue arrayvalue kvlistvalue"
)
_OF_A_TIME_OR_ID: Final = re.compile(
    r"[-+\d.eETZ]+|[0-9a-f]{1,2}|_.*|.*a_.*", re.DOTALL
)  # "extra_" is ours
_TEXTS: Final = "Body, ScopeName, toString(ServiceName), TraceId, SpanId, toString(SeverityText)"
_MAPS: Final = ("LogAttributes", "ResourceAttributes")


class Conditions:
    """Conditions on the rows of a table, and the values of their parameters."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.params: dict[str, Any] = {}
        self._texts: list[str] = []

    @property
    def text(self) -> str:
        """All of them, as one."""
        return " AND ".join(self._texts) or "1"

    def add(self, text: str, **params: Any) -> None:
        """Add a condition, and the parameters in it."""
        self._texts.append(text)
        self.params.update(params)

    def select_from(self, fields: str) -> str:
        """Return the query for *fields* of the rows that meet them."""
        table = self.table
        names = {"session": table.session, "host": table.host, "uid": table.uid, "line": table.line}
        asked = fields.format(
            **names, kind=NUMBERS[table.kind], start_ns=table.start_ns, end_ns=table.end_ns
        )
        return f"SELECT {asked} FROM {table.name} WHERE {self.text}"  # noqa: S608 - names of our own

    def select(self, selection: Selection) -> None:
        """Leave out what *selection* does not mean, as far as columns tell."""
        if self.table.kind == "span" and (selection.level or selection.logger):
            self.add("0")
            return
        if selection.level is not None:
            self._at_level(selection.level)
        if selection.logger is not None:
            logger = selection.logger
            self.add(
                "(ScopeName = {logger:String} OR startsWith(ScopeName, {below:String}))",
                logger=logger,
                below=f"{logger}.",
            )
        if selection.trace_id is not None:
            self.add("startsWith(TraceId, {trace:String})", trace=selection.trace_id)
        self.within(selection.since, selection.until)

    def within(self, since: str | None, until: str | None) -> None:
        """Leave out what starts before *since* or after *until*."""
        if since is not None and (least := _bounded(since)) > LEAST_NS:
            # The newest form of the table is sorted by the first of these.
            self.add(
                "toStartOfFiveMinutes(Timestamp) >= toStartOfFiveMinutes(fromUnixTimestamp64Nano({since:Int64}))"
                " AND Timestamp >= fromUnixTimestamp64Nano({since:Int64})",
                since=least,
            )
        if until is not None and (most := _bounded(until) + 999) < MOST_NS:
            self.add(
                "toStartOfFiveMinutes(Timestamp) <= toStartOfFiveMinutes(fromUnixTimestamp64Nano({until:Int64}))"
                " AND Timestamp <= fromUnixTimestamp64Nano({until:Int64})",
                until=most,
            )

    def find(self, needle: Needle) -> None:
        """Leave out log lines that *needle* is not in, in any spelling."""
        if needle.is_in_level:
            return
        word, text = needle.text, "TracectrlLine"
        signs = ["\\u", *needle.others]
        if "/" in word:
            signs.append("\\/")
        params: dict[str, Any] = {"word": word, "signs": signs}
        # What was stored as OTLP/JSON is shipped as the line that it reads as; else a name may be another's.
        ours = _found(needle, text)
        own = self._in_columns(needle)
        if not self.table.is_set_up:
            if own is not None:
                self.add(own, **params)
            return
        self.add(f"(if({self.table.uid} = '', {own or 1}, {ours}))", **params)

    def _in_columns(self, needle: Needle) -> str | None:
        """Return the condition that *needle* is in a row's columns; ``None`` where it may be between them."""
        word = needle.text
        if _WORD.fullmatch(word) is None or word.lower() in _KEYS:
            return None
        is_of_level = any(word.upper() in name for name in SEVERITIES)
        if is_of_level or _OF_A_TIME_OR_ID.fullmatch(word) is not None:
            return None
        several = f"arrayConcat([{_TEXTS}], " + ", ".join(
            f"CAST(mapKeys({name}), 'Array(String)'), mapValues({name})" for name in _MAPS
        )
        return f"arrayExists(t -> {_found(needle, 't')}, {several}))"

    def _at_level(self, level: str) -> None:
        least = severity_of_number(int(level)) if level.isdigit() else severity_of_name(level)
        if least:
            names = [name.lower() for name, rank in SEVERITIES.items() if rank >= least]
            self.add(
                "(SeverityNumber >= {level:UInt8} OR SeverityNumber = 0"
                f" OR ({self.table.uid} = '' AND lower(SeverityText) IN {{levels:Array(String)}}))",
                level=least,
                levels=names,
            )


def merged(conditions: Iterable[Conditions]) -> dict[str, Any]:
    """Return the parameters of several tables' conditions, which mean the same by the same names."""
    return {name: value for each in conditions for name, value in each.params.items()}


def _found(needle: Needle, text: str) -> str:
    """Return the condition that *text* holds the needle, or a sign that it may in another spelling."""
    if not needle.ignores_case:  # one search for all
        return f"multiSearchAny({text}, arrayConcat([{{word:String}}], {{signs:Array(String)}}))"
    return f"(position(lower({text}), {{word:String}}) > 0 OR multiSearchAny({text}, {{signs:Array(String)}}))"


def _bounded(time: str) -> int:
    return min(max(ns_of(time) or 0, LEAST_NS), MOST_NS)
