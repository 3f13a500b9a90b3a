"""rich's console, less what it does where whoever reads has seen enough."""

from __future__ import annotations

from typing import NoReturn

from rich.console import Console


class Coloured(Console):
    """A console that raises BrokenPipeError; rich's own ends the process with status 1."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise what is being handled."""
        raise  # noqa: PLE0704 - rich calls this in its ``except BrokenPipeError``
