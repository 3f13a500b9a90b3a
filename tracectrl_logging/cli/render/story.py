"""``show`` for people: sessions as trees, or all their lines in time order."""

from __future__ import annotations

import contextlib
import heapq
import io
import itertools
import sys
from typing import TYPE_CHECKING

from tracectrl_logging.cli.problems import Problems
from tracectrl_logging.cli.render import tree as nested
from tracectrl_logging.cli.render.columns import padded, width_of
from tracectrl_logging.cli.render.keys import Keys
from tracectrl_logging.cli.render.line_text import View
from tracectrl_logging.cli.render.pager import paged
from tracectrl_logging.cli.render.screen import Screen
from tracectrl_logging.cli.render.time_format import WIDTH, TimeFormat
from tracectrl_logging.cli.text import shown
from tracectrl_logging.reader.timeline.tally import Tally
from tracectrl_logging.reader.timeline.tree import with_context

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from datetime import tzinfo
    from typing import Final, TextIO

    from tracectrl_logging.reader.model import Line

    IsMeant = Callable[[Line], bool]
    IsRunning = Callable[[str, Collection[str | None]], bool]

MOST_LINES: Final = 50_000
MOST_BYTES: Final = 16 * 1024 * 1024
"""How much is nested at most: all of it has to be in memory for that."""

_LEAST_ID: Final = 8
_MOST_ID: Final = 36
"""How much of a session's ID stands in front of a line, where there are several sessions."""


def tell(
    streams: Mapping[str, Iterable[Line]],
    problems: Problems,
    *,
    is_meant: IsMeant | None,
    keys: Keys | None,
    tz: tzinfo | None,
    full: bool,
    flat: bool,
    pager: bool,
    is_running: IsRunning,
) -> bool:
    """Print the lines of sessions, each in time order; return whether there were any.

    Args:
        streams: the lines by session IDs.
        problems: says what is wrong, once the pager has left the screen.
        is_meant: tells which lines are meant; ``None`` for all.
        keys: which keys are shown; ``None`` for all.
        tz: the zone of times; ``None`` for UTC.
        full: with tracebacks, stacks and the details of spans.
        flat: all sessions together, without nesting.
        pager: use a pager where stdout is a terminal.
        is_running: as :meth:`~tracectrl_logging.reader.Store.is_running`.
    """
    with screen_for(problems, pager=pager) as screen:
        view = View(screen, TimeFormat(tz), keys or Keys(None), full)
        story = _Story(view, problems, is_meant, is_running)
        return story.flat(streams) if flat else story.nested(streams)


def text_of(sid: str, lines: Iterable[Line]) -> str:
    """Return what ``show --full`` prints of the session *sid* into a file; empty without *lines*."""
    stream = io.StringIO()
    view = View(Screen(stream, is_plain=True), TimeFormat(None), Keys(None), full=True)
    first = next(iterator := iter(lines), None)
    if first is not None:
        _Story(view, Problems(), None).nested({sid: itertools.chain([first], iterator)})
    return stream.getvalue()


@contextlib.contextmanager
def screen_for(problems: Problems, *, pager: bool) -> Iterator[Screen]:
    """Give the screen that lines are printed on: through a pager where *pager* and the terminal allow."""
    if not (pager and _is_terminal(sys.stdout)):
        yield Screen()
        return
    try:
        with paged(sys.stdout) as stream:
            problems.held = None if stream is None else []
            yield Screen(stream)
    finally:
        problems.release()


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and stream.fileno() >= 0
    except (OSError, ValueError):
        return False


class _Story:
    def __init__(
        self,
        view: View,
        problems: Problems,
        is_meant: IsMeant | None,
        is_running: IsRunning | None = None,
    ) -> None:
        self._view = view
        self._problems = problems
        self._is_meant = is_meant
        self._is_running = is_running

    def flat(self, streams: Mapping[str, Iterable[Line]]) -> bool:
        """Print the lines of all sessions together."""
        printer = _Flat(self._view, streams)
        tagged = (_tagged(sid, lines) for sid, lines in streams.items())
        found = False
        for line, sid in heapq.merge(*tagged, key=lambda item: item[0].time):
            if self._is_meant is None or self._is_meant(line):
                printer.put(line, sid)
                found = True
        return found

    def nested(self, streams: Mapping[str, Iterable[Line]]) -> bool:
        """Print one session after the other."""
        found = False
        for sid, lines in streams.items():
            here = self._one(sid, iter(lines), is_first=not found)
            if not here:
                self._problems.flush()
                what = "no lines" if self._is_meant is None else "no such lines"
                self._problems.say(f"{what} in session {shown(sid)}")
            found = found or here
        return found

    def _one(self, sid: str, lines: Iterator[Line], *, is_first: bool) -> bool:
        totals = Tally()
        held: list[Line] = []
        meant: set[int] = set()
        size_bytes = 0
        for line in lines:
            totals.see(line)
            if self._is_meant is None or self._is_meant(line):
                meant.add(id(line))
            elif line.kind == "log":
                continue
            held.append(line)
            size_bytes += len(line.raw)
            if len(held) > MOST_LINES or size_bytes > MOST_BYTES:
                return self._too_large(sid, held, lines, is_first=is_first)
        if not meant:
            return False
        if len(meant) < len(held):
            held = with_context(held, lambda line: id(line) in meant)
        if not is_first:
            self._view.screen.line([])
        summary = totals.summary(sid)
        if self._is_running is not None:
            is_running = self._is_running(sid, totals.owners)
            summary = summary._replace(state=totals.state(is_running=is_running))
        nested.put(held, summary, self._view)
        return True

    def _too_large(
        self, sid: str, held: list[Line], more: Iterator[Line], *, is_first: bool
    ) -> bool:
        self._problems.say(
            f"session {shown(sid)} is too large to nest: in time order, as with --flat;"
            " --level, --span or --since pick a part of it"
        )
        if not is_first:
            self._view.screen.line([])
        return self.flat({sid: itertools.chain(_given_away(held), more)})


def _tagged(sid: str, lines: Iterable[Line]) -> Iterator[tuple[Line, str]]:
    for line in lines:
        yield line, sid


def _given_away(lines: list[Line]) -> Iterator[Line]:
    """Yield *lines*, which are forgotten meanwhile."""
    lines.reverse()
    while lines:
        yield lines.pop()


class _Flat:
    """Prints lines with their times; where *sids*, the sessions, are several, each says whose it is."""

    def __init__(self, view: View, sids: Iterable[str]) -> None:
        self._view = view
        self._names = _names(list(sids))

    def put(self, line: Line, sid: str) -> None:
        """Print *line*, which is of the session *sid*."""
        column, said = self._view.parts(line, with_service=True)
        first = [(f"{self._view.times.of(line, line.row):<{WIDTH}}  ", "dim"), column]
        if sid in self._names:
            first.append((f"  {self._names[sid]}", "cyan"))
        self._view.screen.line(said, [*first, ("  ", "")], [("    ", "")])


def _names(sids: list[str]) -> dict[str, str]:
    """Return what to call each session: as much of its ID as tells them apart."""
    if len(sids) < len("ab"):
        return {}
    spelt = {sid: shown(sid) for sid in sids}
    size = _LEAST_ID
    while size < _MOST_ID and len({text[:size] for text in spelt.values()}) < len(sids):
        size += 4
    width = max(width_of(text[:size]) for text in spelt.values())
    return {sid: padded(text[:size], width) for sid, text in spelt.items()}
