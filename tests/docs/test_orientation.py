"""The picture of the layers in CONTRIBUTING is that of the contracts, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_CONTRACT = re.compile(
    r'^containers = \["(?P<container>[\w.]+)"\]\nlayers = \[\n(?P<layers>.*?)^\]',
    re.DOTALL | re.MULTILINE,
)


def layers() -> dict[str, list[set[str]]]:
    """Return the layers of each package as the contracts have them, the highest first."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return {
        match["container"]: [
            set(row.split(" | ")) for row in re.findall(r'"([^"]+)"', match["layers"])
        ]
        for match in _CONTRACT.finditer(text)
    }


def drawn() -> dict[str, list[set[str]]]:
    """Return the layers of each package as CONTRIBUTING draws them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    picture = text.partition("```text\n")[2].partition("```")[0]
    found: dict[str, list[set[str]]] = {}
    for block in picture.split("\n\n"):
        head, *rows = block.splitlines()
        names = [set(re.split(r"\s{2,}", row.strip())[0].split(", ")) for row in rows]
        found[head.partition(":")[0]] = names
    return found


@pytest.mark.parametrize("package", ["tracectrl", "tracectrl_logging", "tracectrl_logging.reader"])
def test_picture(package: str) -> None:
    """Each layer is drawn where the contracts have it, and none is left out."""
    assert layers()[package] == drawn()[package]


def test_places() -> None:
    """Each file and each name that the table of places speaks of is there."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?!what|---)(.+) \| (.+) \|$", text, re.MULTILINE)
    assert len(rows) >= 8
    sources = {path.relative_to(ROOT).as_posix(): path for path in ROOT.glob("t*/**/*.py")}
    for _, place in rows:
        for quoted in re.findall(r"`([^`]+\.py)`(?:: `([\w.]+)`)?", place):
            name, symbol = quoted
            found = [path for known, path in sources.items() if known.endswith(name)]
            assert found, name
            if symbol:
                source = "".join(path.read_text(encoding="utf-8") for path in found)
                assert re.search(rf"(?:def|class) {symbol.rpartition('.')[2]}\b", source), quoted
