"""The checks of the installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracectrl_logging.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OURS = "tracectrl-logging"
_PACKAGES = ("tracectrl", "tracectrl_logging")


def second_distribution() -> Iterator[Finding]:
    """Another distribution ships a package of the same name: whose files are there is chance."""
    from importlib.metadata import packages_distributions  # noqa: PLC0415 - slow, and needed here alone

    by_package = packages_distributions()
    for package in _PACKAGES:
        others = sorted(
            {
                name
                for name in by_package.get(package, ())
                if name.lower().replace("_", "-") != _OURS
            }
        )
        for name in others:
            yield Finding(
                severity="error",
                check="second-distribution",
                subject=name,
                message=f"also ships the package {package}: the files of one overwrite the other's",
                mend=f"pip uninstall {name}, then pip install --force-reinstall --no-deps {_OURS}",
            )


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (second_distribution,)
