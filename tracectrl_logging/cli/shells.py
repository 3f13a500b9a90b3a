"""What a shell is told when it completes the command: one class for each shell.

A candidate is text that a stranger may have chosen (a caller's session ID). zsh and fish quote what
they are offered; for bash, which does not, it is quoted here. Each shell gets a candidate on one
line, a tabulator and the description behind it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from click.shell_completion import ShellComplete, add_completion_class

from tracectrl_logging.cli.options import COMPLETE_VARIABLE
from tracectrl_logging.cli.text import shown
from tracectrl_logging.cli.typed_line import TypedLine, can_be_typed

if TYPE_CHECKING:
    from click import Command
    from click.shell_completion import CompletionItem

    Item = CompletionItem[str]

COMMAND: Final = "tracectrl-logs"

_BASH = """\
%(complete_func)s() {
    local candidate
    COMPREPLY=()
    while IFS= read -r candidate; do
        [[ -n $candidate ]] && COMPREPLY+=("$candidate")
    done < <(COMP_REPLACED="$2" COMP_BEHIND="${COMP_LINE:COMP_POINT:1}" \\
        COMP_LINE="${COMP_LINE:0:COMP_POINT}" %(complete_var)s=bash_complete \\
        command %(prog_name)s 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local candidate
    local -a plain described
    (( $+commands[%(prog_name)s] )) || return 1
    [[ -z $SUFFIX && $compstate[quote] != '`' ]] || return 1
    for candidate in "${(@f)$(COMP_LINE="${(j: :)words[1,CURRENT]}" \\
        %(complete_var)s=zsh_complete command %(prog_name)s 2>/dev/null)}"; do
        if [[ $candidate == *$'\\t'* ]]; then
            described+=("${${candidate%%%%$'\\t'*}//:/\\\\:}:${candidate#*$'\\t'}")
        elif [[ -n $candidate ]]; then
            plain+=("$candidate")
        fi
    done
    (( $#described )) && _describe -V unsorted described -U
    (( $#plain )) && compadd -U -V unsorted -a plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = """\
function %(complete_func)s
    set -l words (commandline -opc)
    set -l incomplete (commandline -ot)
    env COMP_WORDS=(string join \\n -- $words | string collect) COMP_INCOMPLETE="$incomplete" \\
        %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _Complete(ShellComplete):
    """Offers what a command line can show and a shell takes as it is, with all of the last word."""

    def get_completions(self, args: list[str], incomplete: str) -> list[Item]:
        """Return the items for *incomplete*, each of which starts with it."""
        option = ""
        if incomplete.startswith("-") and "=" in incomplete:
            if "--" in args:  # no option, though click takes it for one
                return []
            option = incomplete.partition("=")[0] + "="
        items = super().get_completions(args, incomplete)
        for item in items:
            item.value = option + item.value
        return [
            item for item in items if item.value.startswith(incomplete) and can_be_typed(item.value)
        ]

    def format_completion(self, item: Item) -> str:
        """Return the line for *item*, its description behind a tabulator."""
        return f"{item.value}\t{shown(item.help)}" if item.help else str(item.value)


class _Bash(_Complete):
    name = "bash"
    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        line = TypedLine(os.environ["COMP_LINE"])
        return line.words[1:], line.incomplete

    def complete(self) -> str:
        line = TypedLine(os.environ["COMP_LINE"])
        replaced, behind = os.environ["COMP_REPLACED"], os.environ["COMP_BEHIND"]
        items = self.get_completions(line.words[1:], line.incomplete)
        written = (line.written(item.value, replaced, behind) for item in items)
        return "\n".join(text for text in written if text is not None)


class _Zsh(_Complete):
    name = "zsh"
    source_template = _ZSH

    def get_completion_args(self) -> tuple[list[str], str]:
        line = TypedLine(os.environ["COMP_LINE"])
        return line.words[1:], line.incomplete


class _Fish(_Complete):
    name = "fish"
    source_template = _FISH

    def get_completion_args(self) -> tuple[list[str], str]:
        return os.environ["COMP_WORDS"].split("\n")[1:], os.environ["COMP_INCOMPLETE"]


_CLASSES: Final = {made.name: made for made in (_Bash, _Zsh, _Fish)}
SHELLS: Final = tuple(_CLASSES)


def script(shell: str, command: Command) -> str:
    """Return the script that makes *shell*, one of :data:`SHELLS`, complete *command*."""
    return _CLASSES[shell](command, {}, COMMAND, COMPLETE_VARIABLE).source()


def register() -> None:
    """Have click answer the shell that asks by the class above instead of its own.

    Raises:
        SystemExit: with 1, another shell asks, for which nobody here quotes.
    """
    shell = os.environ[COMPLETE_VARIABLE].partition("_")[0]
    if shell not in _CLASSES:
        sys.exit(1)
    add_completion_class(_CLASSES[shell])
