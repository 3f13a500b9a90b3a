"""``tracectrl-logs skill``: a file that teaches a coding agent this command."""

from __future__ import annotations

from importlib.resources import files

import click


@click.command(short_help="Print what teaches a coding agent this command.")
def skill() -> None:
    r"""Print a skill file: Markdown that teaches a coding agent to read sessions by this command.

    \b
    Examples:
      mkdir -p .claude/skills/tracectrl-logs
      tracectrl-logs skill > .claude/skills/tracectrl-logs/SKILL.md
    """
    text = files("tracectrl_logging.cli").joinpath("SKILL.md").read_text(encoding="utf-8")
    click.echo(text, nl=False)
