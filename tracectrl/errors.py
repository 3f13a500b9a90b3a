"""Errors of this project's own."""

from __future__ import annotations


class MissingExtraError(ImportError):
    """A package that an optional feature needs is not installed.

    The message holds the ``pip install`` line that mends it: of *extra*, or of the package itself.
    """

    def __init__(self, feature: str, package: str, extra: str | None) -> None:
        what = package if extra is None else f"'tracectrl-logging[{extra}]'"
        super().__init__(
            f"{feature} needs the package {package!r}, which is not installed; run: pip install {what}"
        )


def require(feature: str, extra: str, *packages: str) -> None:
    """Raise where one of *packages* is not installed, which *feature* needs and *extra* brings.

    Raises:
        MissingExtraError: one is not.
    """
    from importlib.util import find_spec  # noqa: PLC0415 - where a feature is asked for

    for package in packages:
        try:
            is_there = find_spec(package) is not None
        except (ImportError, ValueError):
            is_there = False
        if not is_there:
            raise MissingExtraError(feature, package, extra)
