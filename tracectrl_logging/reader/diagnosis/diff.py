"""How two sessions differ: what is new, what is missing, what failed, what took longer.

Spans are told by their names from the outermost down, log lines by the span that they are in, their
logger and their message; numbers, IDs and times in names and messages do not count. Of a span the
time is compared that it took itself, without what it called: so a slow call is told once, and not by
all that waited for it.
"""

from __future__ import annotations

import itertools
import math
from statistics import median
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tracectrl.schema import ERROR, severity
from tracectrl_logging.reader.diagnosis.alike import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final, TypeAlias

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Line

    Key: TypeAlias = tuple[str, str]
    Path: TypeAlias = tuple[str, ...]
    Item: TypeAlias = tuple[Kind, int, str, str]

ChangeKind: TypeAlias = Literal[
    "new", "missing", "failed", "mended", "slower", "faster", "more", "fewer", "level", "reworded"
]

_WARNING: Final = 13
_MOST_SPANS: Final = 200_000
_MOST_TIMES: Final = 1000
_DEEPEST: Final = 100
_FEW_NS: Final = 20_000_000
_LEAST_RATIO: Final = 1.25
_LEAST_NS: Final = 1_000_000
_NO_PATH: Final = -1
_LEAST_ALIKE: Final = 8
_SHARE_ALIKE: Final = 0.3


class Seen(NamedTuple):
    """What one session has of one thing."""

    times: int = 0
    errors: int = 0
    """How many spans failed, or log lines are at ERROR or above."""
    own_ns: int | None = None
    """The median of the time that such a span took itself; ``None`` for log lines."""
    level: str = ""


class Change(NamedTuple):
    """One thing that is not the same in both sessions."""

    change: ChangeKind
    what: Kind
    path: Path
    """The names of the spans that it is in, or down to the span that it is."""
    logger: str
    message: str
    """One of the log lines' messages, or of what such a span said about its failure."""
    before: Seen
    after: Seen
    weight: float
    """How much it says; the changes are in this order."""

    def row(self) -> dict[str, Any]:
        """Return it as a row of JSON."""
        seen = {"before": self.before._asdict(), "after": self.after._asdict()}
        return {**self._asdict(), "path": list(self.path), **seen, "weight": round(self.weight, 3)}


class _Paths:
    """Paths of both sessions, each by a number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, str], int] = {}
        self.above: list[int] = []
        self._names: list[str] = []

    def number(self, above: int, name: str) -> int:
        """Return the number of the path that goes on from *above*, -1 for the top, by a *name*."""
        place = above, pattern(name)
        known = self._numbers.get(place)
        if known is None:
            known = self._numbers[place] = len(self.above)
            self.above.append(above)
            self._names.append(name)
        return known

    def names(self, number: int) -> Path:
        """Return the names on a path, of a very long one the last."""
        found: list[str] = []
        while number != _NO_PATH and len(found) < _DEEPEST:
            found.append(self._names[number])
            number = self.above[number]
        return tuple(reversed(found))


class _Profile:
    """What a session has of everything."""

    def __init__(self, lines: Iterable[Line], paths: _Paths) -> None:
        self.seen: dict[Item, Seen] = {}
        self.texts: dict[Item, str] = {}
        spans: dict[Key, tuple[Key | None, str, int, bool, str]] = {}
        logs: dict[tuple[Key | None, str, str], tuple[Seen, str]] = {}
        for line in lines:
            row = line.row
            key = _key(row, "span_id")
            if line.kind == "log":
                _count_log(logs, key, row)
            elif key is not None and len(spans) < _MOST_SPANS:
                took = row.get("duration_ns")
                spans[key] = (
                    _key(row, "parent_span_id"),
                    _text(row.get("name")),
                    took if type(took) is int else 0,
                    row.get("status") == "ERROR",
                    _text(row.get("status_message")),
                )
        places = _places(spans, paths)
        self._add_spans(spans, places)
        for (key, logger, shape), (seen, text) in logs.items():
            item: Item = "log", places.get(key, _NO_PATH) if key else _NO_PATH, logger, shape
            known = self.seen.get(item, Seen())
            times, errors = known.times + seen.times, known.errors + seen.errors
            self.seen[item] = seen._replace(times=times, errors=errors)
            self.texts.setdefault(item, text)

    def _add_spans(
        self, spans: dict[Key, tuple[Key | None, str, int, bool, str]], places: dict[Key, int]
    ) -> None:
        own = {key: span[2] for key, span in spans.items()}
        for parent, _, took, _, _ in spans.values():
            if parent in own:
                own[parent] -= took
        times: dict[Item, list[int]] = {}
        for key, (_, _, _, is_error, says) in spans.items():
            item: Item = "span", places[key], "", ""
            known = self.seen.get(item, Seen())
            self.seen[item] = Seen(known.times + 1, known.errors + is_error)
            if says:
                self.texts.setdefault(item, says)
            several = times.setdefault(item, [])
            if len(several) < _MOST_TIMES:
                several.append(max(own[key], 0))
        for item, several in times.items():
            self.seen[item] = self.seen[item]._replace(own_ns=int(median(several)))


def _count_log(
    logs: dict[tuple[Key | None, str, str], tuple[Seen, str]], key: Key | None, row: dict[str, Any]
) -> None:
    message, level = _text(row.get("message")), _text(row.get("level"))
    place = key, _text(row.get("logger")), pattern(message)
    known, text = logs.get(place, (Seen(), message))
    is_error = severity(row) >= ERROR
    logs[place] = (
        known._replace(times=known.times + 1, errors=known.errors + is_error, level=level),
        text,
    )


def _places(
    spans: dict[Key, tuple[Key | None, str, int, bool, str]], paths: _Paths
) -> dict[Key, int]:
    """Return the number of the path of each span; one of a circle begins a path."""
    places: dict[Key, int] = {}
    for start in spans:
        chain: list[Key] = []
        seen: set[Key] = set()
        here: Key | None = start
        while here is not None and here in spans and here not in places and here not in seen:
            seen.add(here)
            chain.append(here)
            here = spans[here][0]
        above = places.get(here, _NO_PATH) if here is not None else _NO_PATH
        for key in reversed(chain):
            above = places[key] = paths.number(above, spans[key][1])
    return places


def compare(before: Iterable[Line], after: Iterable[Line]) -> list[Change]:
    """Return how the session whose lines are *after* differs from the one *before*, the biggest first.

    Memory is for the spans of both, up to 200,000 each.
    """
    paths = _Paths()
    one, other = _Profile(before, paths), _Profile(after, paths)
    found = []
    for item in {**one.seen, **other.seen}:
        was, now = one.seen.get(item, Seen()), other.seen.get(item, Seen())
        text = other.texts.get(item) or one.texts.get(item) or ""
        for change, weight in _changes(item, was, now, one, other, paths):
            kind, place, logger, _ = item
            found.append(Change(change, kind, paths.names(place), logger, text, was, now, weight))
    found = _reworded(found)
    found.sort(key=lambda it: -it.weight)
    return found


def _reworded(changes: list[Change]) -> list[Change]:
    """Return *changes* with one for a line that is missing and one that is new with other words.

    Texts begin alike where a program puts values into one text: those are no other lines.
    """
    missing: dict[tuple[Path, str, str], list[Change]] = {}
    for it in changes:
        if it.change == "missing" and it.what == "log":
            missing.setdefault((it.path, it.logger, it.before.level), []).append(it)
    found = []
    paired: set[int] = set()
    for it in changes:
        others = missing.get((it.path, it.logger, it.after.level), [])
        other = next((each for each in others if _begin_alike(each.message, it.message)), None)
        if it.change != "new" or it.what != "log" or other is None:
            found.append(it)
            continue
        others.remove(other)
        paired.add(id(other))
        found.append(it._replace(change="reworded", before=other.before, weight=100))
    return [it for it in found if id(it) not in paired]


def _begin_alike(one: str, other: str) -> bool:
    pairs = zip(pattern(one), pattern(other), strict=False)
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return same >= max(_LEAST_ALIKE, min(len(one), len(other)) * _SHARE_ALIKE)


def _changes(  # noqa: PLR0917 - one pair, and what it stands in
    item: Item, was: Seen, now: Seen, one: _Profile, other: _Profile, paths: _Paths
) -> Iterator[tuple[ChangeKind, float]]:
    """Yield what has changed about one thing, and how much each says."""
    kind, place, _, _ = item
    depth = _depth(place, paths)
    if bool(was.errors) != bool(now.errors):
        weight = (1000 if kind == "span" else 950) + depth
        yield ("failed", weight) if now.errors else ("mended", weight - 300)
        return
    if not was.times or not now.times:
        # What is in a span that is new itself goes without saying.
        holder: Item = "span", paths.above[place] if kind == "span" else place, "", ""
        there = one if not was.times else other
        if holder[1] == _NO_PATH or holder in there.seen:
            level = now.level or was.level
            weight = (
                500 if kind == "span" else 450 if severity({"level": level}) >= _WARNING else 400
            )
            yield ("new" if now.times else "missing"), weight - depth
        return
    if was.level != now.level:
        yield "level", 350
    if was.times != now.times:
        ratio = abs(math.log2(now.times / was.times)) + 0.1 * (kind == "span") - 0.001 * depth
        yield ("more" if now.times > was.times else "fewer"), 150 + 40 * min(ratio, 4)
    if was.own_ns is not None and now.own_ns is not None:
        least, most = sorted((was.own_ns, now.own_ns))
        more = most - least
        if more >= _LEAST_NS and most >= least * _LEAST_RATIO:
            share = 300 * (more / most) * more / (more + _FEW_NS)
            yield ("slower", share) if now.own_ns > was.own_ns else ("faster", share * 0.8)


def _depth(place: int, paths: _Paths) -> int:
    depth = 0
    while place != _NO_PATH and depth < _DEEPEST:
        depth += 1
        place = paths.above[place]
    return depth


def _key(row: dict[str, Any], name: str) -> Key | None:
    span_id = row.get(name)
    return (_text(row.get("trace_id")), span_id) if isinstance(span_id, str) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
