"""Errors of this project's own."""

from __future__ import annotations


class MissingExtraError(ImportError):
    """A package that an optional feature needs is not installed.

    The message holds the ``pip install`` line that mends it.
    """

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the package {package!r}, which is not installed;"
            f" run: pip install 'tracectrl-logging[{extra}]'"
        )
