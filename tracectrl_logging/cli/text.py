"""Text for a terminal: control characters are shown as escapes."""

from __future__ import annotations

import sys


def shown(text: str) -> str:
    r"""Return *text* on one line for a terminal: control characters as ``\xNN``, ``\n`` and so on."""
    if text.isascii() and text.isprintable():
        return text
    from tracectrl_logging.console import on_one_line  # noqa: PLC0415 - not for ``--json``

    return on_one_line(text)


def write_line(line: bytes) -> None:
    """Write *line*, which is JSON, and a newline to stdout, as a terminal may show it."""
    if not line.isascii() or b"\x7f" in line:
        from tracectrl._json import for_terminal  # noqa: PLC0415 - few lines hold anything of it

        line = for_terminal(line)
    sys.stdout.buffer.write(line + b"\n")
