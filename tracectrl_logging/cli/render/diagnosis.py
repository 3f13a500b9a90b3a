"""Why a session failed, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracectrl_logging.cli.render.keys import Keys
from tracectrl_logging.cli.render.line_text import View, count, duration
from tracectrl_logging.cli.render.screen import Screen
from tracectrl_logging.cli.render.time_format import WIDTH, TimeFormat
from tracectrl_logging.cli.text import shown

if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import Final

    from tracectrl_logging.reader.diagnosis.model import Diagnosis, Failure

_TITLE_WIDTH: Final = 9
_MOST: Final = 5
_FOLDED: Final = 200


def put(found: Diagnosis, cause: Failure, sid: str, tz: tzinfo | None) -> None:
    """Print what was *found* about the session *sid*."""
    times = TimeFormat(tz)
    view = View(Screen(), times, Keys(None), full=False)
    screen = view.screen
    screen.line([(shown(sid), "bold cyan")])

    def item(title: str, text: str, place: str = "", style: str = "") -> None:
        first = [(f"{title:<{_TITLE_WIDTH}}  ", "bold")]
        screen.line([(text, style), (f"\n{place}" if place else "", "dim")], first)

    survived = "handled, its caller went on: " if cause.handled else ""
    item("cause", _what(cause), survived + _where(cause, times), "red")
    for failure in found.others[:_MOST]:
        handled = "handled, " if failure.handled else ""
        item("also", _folded(_what(failure)), handled + _where(failure, times))
    if len(found.others) > _MOST:
        item("also", f"{len(found.others) - _MOST} more")
    for failure in found.open[:_MOST]:
        item("open", _path(failure.path), f"since {times.time(failure.time)}")
    for retry in found.retries[:_MOST]:
        tried = f"{count(retry.attempts, 'time')}, failed {count(retry.failed, 'time')}"
        item("tried", f"{_path(retry.path)}: {tried}", _folded(retry.message))
    for service, line in sorted(found.last.items()):
        column, said = view.parts(line, with_service=False)
        name = f"[{shown(service)}] " if service else ""
        first = [(f"{'last':<{_TITLE_WIDTH}}  ", "bold"), (name, "cyan")]
        screen.line([(f"{times.of(line, line.row)}  ", "dim"), column, *said], first)
    screen.line([])
    for line in found.around:
        column, said = view.parts(line, with_service=True)
        first = [(f"{times.of(line, line.row):<{WIDTH}}  ", "dim"), column, ("  ", "")]
        screen.line(said, first, [("    ", "")])


def _what(failure: Failure) -> str:
    """Return what happened."""
    said = failure.message.rstrip("\n")
    if failure.kind == "slow":
        took = duration(failure.duration_ns or 0)
        return f"nothing failed; {failure.path[-1]} took {took} itself"
    if failure.kind == "open":
        return f"{failure.path[-1]} has not ended" + (f"; it said last: {said}" if said else "")
    raised = ": ".join(filter(None, failure.exception or ()))
    if raised and raised not in said:
        return f"{said}\n{raised}" if said else raised
    return said or "failed without a word"


def _where(failure: Failure, times: TimeFormat) -> str:
    parts = [times.time(failure.time)]
    if failure.service:
        parts.append(f"service {shown(failure.service)}")
    if failure.path:
        parts.append(_path(failure.path))
    return "  ".join(parts)


def _path(path: tuple[str, ...]) -> str:
    return " > ".join(map(shown, path))


def _folded(text: str) -> str:
    first, _, more = text.partition("\n")
    return f"{first[:_FOLDED]} ..." if more or len(first) > _FOLDED else first
