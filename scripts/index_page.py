"""What an index shows of the package: its description, which is README, and its addresses.

A metadata hook of Hatchling: https://hatch.pypa.io/latest/plugins/metadata-hook/custom/. README's links
are relative, and an index has none of the files that they name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

ADDRESS: str | None = None
"""The repository, as in ``https://github.com/OWNER/NAME``: the one place that decides. ``None`` before it has one."""

_PICTURE = re.compile(
    r'<picture>.*?<img alt="(?P<alt>[^"]*)" src="(?P<path>[^"]+)">.*?</picture>', re.DOTALL
)
_IMAGE = re.compile(r"!\[(?P<alt>[^\]]*)\]\((?!https?:)(?P<path>[^)]+)\)")
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\[\]]*)\]\((?!https?:|#)(?P<path>[^)\s]+)\)")


class IndexPage(MetadataHookInterface):
    """Adds the dynamic fields ``readme`` and ``urls``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add them to *metadata*."""
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": description(readme, ADDRESS),
        }
        metadata["urls"] = urls(ADDRESS)


def description(readme: str, address: str | None) -> str:
    """Return *readme* with links that lead to *address*; without one, with their texts alone."""
    if address is None:
        picture, link = r"*\g<alt>: a picture in the repository.*", r"\g<text>"
    else:
        picture = rf"![\g<alt>]({address}/raw/main/\g<path>)"
        link = rf"[\g<text>]({address}/blob/main/\g<path>)"
    return _LINK.sub(link, _IMAGE.sub(picture, _PICTURE.sub(picture, readme)))


def urls(address: str | None) -> dict[str, str]:
    """Return the addresses that an index shows beside the description."""
    if address is None:
        return {}
    return {
        "Documentation": f"{address}/blob/main/docs/index.md",
        "Changelog": f"{address}/blob/main/CHANGELOG.md",
        "Issues": f"{address}/issues",
        "Source": address,
    }
