"""The examination of a root: the checks of places, then those of lines after one reading of all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tracectrl.files.names import root_path
from tracectrl_logging.doctor import installed, lines, places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracectrl_logging.doctor.finding import Finding


def examine_files(root: str | os.PathLike[str] | None = None) -> Iterator[Finding]:
    """Yield the findings of the installation, of *root* and of its lines, in this order.

    Args:
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
    """
    directory = os.path.abspath(root_path(root))
    for check in installed.CHECKS:
        yield from check()
    if not os.path.isdir(directory):
        yield places.missing(directory)
        return
    for place_check in places.CHECKS:
        yield from place_check(directory)
    if not os.access(directory, os.R_OK | os.X_OK):
        return
    facts = lines.read_all(directory)
    for line_check in lines.CHECKS:
        yield from line_check(facts)
