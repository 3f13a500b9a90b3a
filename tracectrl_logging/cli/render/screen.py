"""Text for people: coloured and wrapped on a terminal, plain and unbroken in a pipe or a file.

Everything stored goes through here on its way to a terminal, and is escaped here.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from tracectrl_logging.console import escaped, on_one_line

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable
    from typing import TextIO, TypeAlias

    from rich.console import Console
    from rich.text import Text

    Styled: TypeAlias = Iterable[tuple[str, str]]

_LEAST_WIDTH = 24
_WRAPPED = 20_000
_LONG = 1_000_000
_PIECE = 64 * 1024
_WIDEST_CELLS = 2
_INDENT = (("  ", ""),)


class Screen:
    """Prints lines to stdout, or through *pager* to the terminal that stdout is.

    ``NO_COLOR`` and ``TERM=dumb`` turn colours off, ``FORCE_COLOR`` turns them on in a pipe.

    Args:
        pager: where to print.
        is_plain: whether that is neither stdout nor a terminal.
    """

    def __init__(self, pager: TextIO | None = None, *, is_plain: bool = False) -> None:
        self._out = sys.stdout if pager is None else pager
        self.is_terminal = not is_plain and sys.stdout.isatty()
        self._console: Console | None = None
        if self.is_terminal or (os.environ.get("FORCE_COLOR") and not is_plain):
            from rich.console import Console  # noqa: PLC0415 - not for a pipe

            plain = bool(os.environ.get("NO_COLOR"))
            self._console = Console(
                file=self._out,
                force_terminal=True if self.is_terminal else None,
                markup=False,
                emoji=False,
                highlight=False,
                soft_wrap=True,
                color_system=None if plain else "auto",
                no_color=plain,
            )
            # rich's own ends the process with status 1.
            self._console.on_broken_pipe = _raise  # type: ignore[method-assign]
        reconfigure = getattr(self._out, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")

    @property
    def is_styled(self) -> bool:
        """Whether a line's styles are shown."""
        return self._console is not None

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
            parts: Iterable[Text] = text.split("\n", allow_blank=True)
        else:
            taken = max(before.cell_len, others.cell_len)
            if self.width - taken < _LEAST_WIDTH:  # then a column of its own is no help
                before, others, text = _text(()), _text(_INDENT), before + text
                taken = others.cell_len
            room = max(self.width - taken, _WIDEST_CELLS)
            if len(text) > _WRAPPED:
                self._print_cut(text.plain, room, before.plain, others.plain)
                return
            parts = text.wrap(self._console, room)
        for index, part in enumerate(parts):
            whole = (others if index else before) + part
            whole.rstrip()
            self._console.print(whole)

    def one_line(
        self, body: Styled, first: Styled = (), *, marked: re.Pattern[str] | None = None
    ) -> None:
        """Print *first* and *body* on one line, newlines escaped: a long one piece by piece."""
        texts = [(text, style) for text, style in body if text]
        if sum(len(text) for text, _ in texts) < _LONG:
            self.line([(on_one_line(text), style) for text, style in texts], first, marked=marked)
            return
        for text, _ in (*first, *texts):
            for at in range(0, len(text), _PIECE):
                self._out.write(on_one_line(text[at : at + _PIECE]))
        self._out.write("\n")

    def _print_cut(self, text: str, room: int, start: str, others: str) -> None:
        """Print *text*, which is too long to be broken at words and styled: that would take minutes."""
        size = room if text.isascii() else room // _WIDEST_CELLS
        for line in text.split("\n"):
            spread = line.expandtabs()
            for at in range(0, len(spread) or 1, size):
                self._out.write(f"{start}{spread[at : at + size]}".rstrip() + "\n")
                start = others

    def _print_plain(self, body: Styled, first: Styled, rest: Styled) -> None:
        text = _plain(first) + _plain(body)
        if "\n" in text:
            lines = text.replace("\n", f"\n{_plain(rest)}").split("\n")
            text = "\n".join(map(str.rstrip, lines))
        self._out.write(text.rstrip() + "\n")


def _raise() -> NoReturn:
    raise  # noqa: PLE0704 - rich calls this in its ``except BrokenPipeError``


def _plain(styled: Styled) -> str:
    return escaped("".join(text for text, _ in styled))


def _text(styled: Styled) -> Text:
    from rich.text import Text  # noqa: PLC0415 - not for a pipe

    return Text.assemble(*((escaped(text), style) for text, style in styled))
