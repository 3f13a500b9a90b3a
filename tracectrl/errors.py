"""Errors of this project's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

_NAME: Final = "tracectrl-logging"
_OURS: Final = re.compile(r"tracectrl[-_.]logging\[([^]]+)\]")


class MissingExtraError(ImportError):
    """A package that an optional feature needs is not installed.

    The message holds the ``pip install`` line that mends it: of what *extra* brings, or of *package*.
    """

    def __init__(self, feature: str, package: str, extra: str | None) -> None:
        line = f"pip install {package}" if extra is None else install_line(extra)
        super().__init__(
            f"{feature} needs the package {package!r}, which is not installed; run: {line}"
        )


def install_line(extra: str) -> str:
    """Return the command that installs what *extra* brings, package by package.

    Where this package itself came from, an index or a checkout, does not matter then.
    """
    return f"pip install {' '.join(map(repr, _packages_of(extra) or [f'{_NAME}[{extra}]']))}"


def _packages_of(extra: str) -> list[str]:
    from importlib.metadata import PackageNotFoundError, requires  # noqa: PLC0415 - where one is missing

    try:
        lines = requires(_NAME) or []
    except PackageNotFoundError:  # run from a checkout that is not installed
        return []
    found: dict[str, None] = {}
    for line in lines:
        package, _, marker = line.partition(";")
        if re.search(rf"extra == ['\"]{re.escape(extra)}['\"]", marker):
            ours = _OURS.match(package)
            found |= dict.fromkeys(
                [package.strip()]
                if ours is None
                else (each for name in ours[1].split(",") for each in _packages_of(name.strip()))
            )
    return list(found)


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
