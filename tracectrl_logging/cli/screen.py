"""Text for people: coloured and wrapped on a terminal, plain and unbroken in a pipe or a file.

Everything stored goes through here on its way to a terminal, and is escaped here.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tracectrl_logging.console import escaped

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable
    from typing import TypeAlias

    from rich.console import Console
    from rich.text import Text

    Styled: TypeAlias = Iterable[tuple[str, str]]

_LEAST_WIDTH = 24


class Screen:
    """Prints lines to stdout.

    ``NO_COLOR`` and ``TERM=dumb`` turn colours off, ``FORCE_COLOR`` turns them on in a pipe.
    """

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty()
        self._console: Console | None = None
        if self.is_terminal or os.environ.get("FORCE_COLOR"):
            from rich.console import Console  # noqa: PLC0415 - not for a pipe

            plain = bool(os.environ.get("NO_COLOR"))
            self._console = Console(
                file=sys.stdout,
                markup=False,
                emoji=False,
                highlight=False,
                soft_wrap=True,
                color_system=None if plain else "auto",
                no_color=plain,
            )
        reconfigure = getattr(sys.stdout, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")

    @property
    def width(self) -> int | None:
        """How many columns a line may have; ``None`` for any number, in a pipe or a file."""
        return self._console.width if self._console is not None and self.is_terminal else None

    def line(
        self,
        body: Styled,
        first: Styled = (),
        rest: Styled | None = None,
        *,
        marked: re.Pattern[str] | None = None,
    ) -> None:
        """Print *body*, on as many lines as it has and needs.

        Args:
            body: texts with their styles, as rich names them.
            first: what stands before the first line.
            rest: what stands before the others; ``None`` for as many spaces.
            marked: what to mark in *body*.
        """
        if rest is None:
            rest = [(" " * sum(len(text) for text, _ in first), "")]
        if self._console is None:
            self._print_plain(body, first, rest)
            return
        text = _text(body)
        if marked is not None:
            text.highlight_regex(marked, "reverse")
        before, others = _text(first), _text(rest)
        if self.width is None:
            parts = text.split("\n", allow_blank=True)
        else:
            taken = max(before.cell_len, others.cell_len)
            room = max(self.width - taken, _LEAST_WIDTH)
            parts = text.wrap(self._console, room)
        for index, part in enumerate(parts):
            whole = (others if index else before) + part
            whole.rstrip()
            self._console.print(whole)

    def _print_plain(self, body: Styled, first: Styled, rest: Styled) -> None:
        before, others = _plain(first), _plain(rest)
        for index, part in enumerate(_plain(body).split("\n")):
            sys.stdout.write(((others if index else before) + part).rstrip() + "\n")


def _plain(styled: Styled) -> str:
    return escaped("".join(text for text, _ in styled))


def _text(styled: Styled) -> Text:
    from rich.text import Text  # noqa: PLC0415 - not for a pipe

    return Text.assemble(*((escaped(text), style) for text, style in styled))
