"""``tracectrl-logs completion``: what a shell needs to complete the command."""

from __future__ import annotations

import click

from tracectrl_logging.cli.shells import SHELLS, script


@click.command(short_help="Print what makes a shell complete this command.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options and session IDs.

    IDs are those under --root, where it was typed, else under $TRACECTRL_TRACE_DIR, else ./traces.

    \b
    Examples:
      eval "$(tracectrl-logs completion bash)"     in ~/.bashrc
      eval "$(tracectrl-logs completion zsh)"      in ~/.zshrc
      tracectrl-logs completion fish > ~/.config/fish/completions/tracectrl-logs.fish
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    click.echo(script(shell, ctx.find_root().command))
