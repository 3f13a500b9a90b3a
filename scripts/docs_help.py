"""Puts the ``--help`` of every command into the page that says ``<!-- help -->``.

A hook of MkDocs: https://www.mkdocs.org/user-guide/configuration/#hooks
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

MARKER = "<!-- help -->"
COMMAND = "tracectrl-logs"
WIDTH = 88

_COMMAND_ROW = re.compile(r"^  (?P<name>[a-z][a-z-]*)(?:  |$)", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marker on the page."""
    return markdown.replace(MARKER, help_of_all()) if MARKER in markdown else markdown


def help_of_all() -> str:
    """Return the help of the command and of each of its own commands, as Markdown."""
    top = help_of()
    _, _, listed = top.partition("Commands:")
    names = _COMMAND_ROW.findall(listed)
    sections = [f"## {name}\n\n```text\n{help_of(name)}```" for name in names]
    return "\n\n".join([f"```text\n{top}```", *sections])


def help_of(*command: str) -> str:
    """Return what ``tracectrl-logs COMMAND --help`` prints."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(  # noqa: S603 - our own command
        [COMMAND, *command, "--help"],
        env={**os.environ, "PATH": path, "COLUMNS": str(WIDTH), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.rstrip() + "\n"
