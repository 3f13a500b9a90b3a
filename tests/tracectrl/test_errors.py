"""tracectrl.errors: what is missing, and how to mend it."""

from __future__ import annotations

import re
from importlib.metadata import requires

import pytest

from tracectrl.errors import MissingExtraError, install_line


def test_a_missing_extra_is_an_import_error_with_the_line_that_mends_it() -> None:
    """Whoever catches ImportError catches it; the message can be pasted, and needs no index that has us."""
    error = MissingExtraError("the command", "rich", "cli")

    expected = (
        "the command needs the package 'rich', which is not installed;"
        r" run: pip install 'click>=[\d.]+' 'rich>=[\d.]+'"
    )
    assert re.fullmatch(expected, str(error))
    assert isinstance(error, ImportError)


@pytest.mark.parametrize(
    "extra",
    sorted(
        {
            extra
            for line in requires("tracectrl-logging") or []
            for extra in re.findall(r"extra == ['\"](.+?)['\"]", line)
        }
    ),
)
def test_the_line_of_each_extra(extra: str) -> None:
    """It names packages, each once, and never this one."""
    start, *packages = re.findall(r"'[^']+'|[^' ]+(?: [^' ]+)*", install_line(extra))
    assert "pip install" == start
    assert packages
    assert len(packages) == len(set(packages))
    assert all(re.fullmatch(r"'[\w.-]+(\[[\w,-]+\])?[<>=].*'", each) for each in packages)
    assert "tracectrl" not in install_line(extra)


def test_a_package_by_itself() -> None:
    """A package that no extra brings is named alone."""
    assert str(MissingExtraError("a queue", "rq", None)).endswith("; run: pip install rq")


def test_an_extra_that_nobody_knows() -> None:
    """Without metadata of its own the line is the usual one."""
    assert "pip install 'tracectrl-logging[none]'" == install_line("none")
