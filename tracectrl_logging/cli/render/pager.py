"""The pager: on a terminal, what is longer than it is shown by ``less``, or by ``$PAGER``."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, TextIO

_DEFAULT: Final = "less"
_FOR_A_SHELL: Final = re.compile(r"[|&;<>()$`\\\"' \t*?\[#~=%]")
_LESS: Final = "FRX"  # ends by itself where all fits, keeps colours, leaves the text on the screen
_ESCAPES: Final = "backslashreplace"


@contextlib.contextmanager
def paged(stdout: TextIO) -> Iterator[TextIO | None]:
    """Yield what a pager shows on *stdout*, a terminal; ``None`` where there is no pager.

    The pager has ended when the block has. ``PAGER=cat`` and an empty ``PAGER`` mean none, and one
    that is not installed is not missed.

    Raises:
        BrokenPipeError: the pager was quit before everything was written.
    """
    command = _command()
    process = None if command is None or os.environ.get("TERM") == "dumb" else _start(command)
    if process is None or process.stdin is None:
        yield None
        return
    stdout.flush()
    stream = io.TextIOWrapper(process.stdin, encoding=stdout.encoding, errors=_ESCAPES)
    try:
        yield stream
        stream.flush()
    finally:
        with contextlib.suppress(OSError):  # it was quit
            stream.close()
        while process.returncode is None:
            with contextlib.suppress(KeyboardInterrupt):  # which is the pager's to deal with
                process.wait()


def _command() -> list[str] | None:
    given = os.environ.get("PAGER", _DEFAULT).strip()
    if given in {"", "cat"}:
        return None
    if _FOR_A_SHELL.search(given) is None:
        path = shutil.which(given)
        return None if path is None else [path]
    try:
        program = shlex.split(given)[0]
    except (ValueError, IndexError):
        return None
    if "=" not in program and shutil.which(program) is None:
        return None
    return ["/bin/sh", "-c", given]


def _start(command: list[str]) -> subprocess.Popen[bytes] | None:
    given = os.environ.get("LESS")
    # In front: the user's own options may end in a text, as the prompt of -P, and a later -r holds.
    options = _LESS if given is None else f"-R {given}"
    environment = {"LESSCHARSET": "utf-8", "LV": "-c", **os.environ, "LESS": options}
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)  # noqa: S603 - the user's own
    except OSError:
        return None
