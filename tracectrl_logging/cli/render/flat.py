"""Lines in time order, one below the other: ``show --flat``, and sessions too large to nest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracectrl_logging.cli.render.clock import WIDTH
from tracectrl_logging.cli.render.columns import padded, width_of
from tracectrl_logging.cli.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from tracectrl_logging.cli.render.looks import View
    from tracectrl_logging.reader.model import Line

_LEAST_ID: Final = 8
_MOST_ID: Final = 36


class Flat:
    """Prints lines with their times; where *sids*, the sessions, are several, each says whose it is."""

    def __init__(self, view: View, sids: Iterable[str]) -> None:
        self._view = view
        self._names = _names(list(sids))

    def put(self, line: Line, sid: str) -> None:
        """Print *line*, which is of the session *sid*."""
        column, said = self._view.parts(line, with_service=True)
        first = [(f"{self._view.clock.time(line.time):<{WIDTH}}  ", "dim"), column]
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
