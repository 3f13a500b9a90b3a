"""What an index shows of the package."""

from __future__ import annotations

import importlib.metadata
import re

LINK = re.compile(r"\]\((?!https?:)|(?:src|srcset|href)=\"(?!https?:)")


def test_description() -> None:
    """It is README, and none of its links needs a file that an index does not have."""
    metadata = importlib.metadata.metadata("tracectrl-logging")
    text = str(metadata.json["description"])

    assert "text/markdown" in metadata["Description-Content-Type"]
    assert "# tracectrl-logging" in text
    assert "| you have | you write |" in text
    assert [] == [row for row in text.splitlines() if LINK.search(row)]
