"""``tracectrl-logs completion``: what a shell needs to complete the command."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from tracectrl_logging.cli.common import UnusableError

_COMMAND = "tracectrl-logs"
_VARIABLE = "_TRACECTRL_LOGS_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="Print what makes a shell complete this command.")
@click.argument("shell", type=click.Choice(_SHELLS))
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
    made = get_completion_class(shell)
    if made is None:
        text = f"click knows no completion for {shell}"
        raise UnusableError(text)
    script = made(ctx.find_root().command, {}, _COMMAND, _VARIABLE)
    click.echo(script.source())
