"""How a person wants to see lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tracectrl_logging.cli.render import looks

if TYPE_CHECKING:
    from tracectrl_logging.cli.render.clock import Clock
    from tracectrl_logging.cli.render.keys import Keys
    from tracectrl_logging.cli.render.screen import Screen
    from tracectrl_logging.reader.model import Line


class View(NamedTuple):
    """Where lines are printed, and what of them."""

    screen: Screen
    clock: Clock
    """How times are spelt."""
    keys: Keys
    """Which keys are shown."""
    full: bool
    """With tracebacks, stacks and the details of spans."""

    def parts(
        self, line: Line, *, with_service: bool
    ) -> tuple[tuple[str, str], list[tuple[str, str]]]:
        """Return the column that says the level of *line*, and what it says."""
        column, body = looks.of(line.kind)
        row = self.keys.row(line.row)
        extras = self.keys.extras(row)
        return column(row), body(row, full=self.full, with_service=with_service, extras=extras)
