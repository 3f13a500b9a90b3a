"""Docstrings speak of code in roles (``:func:`name```); the site shows links, or code.

A name of this project's own becomes a link where a page documents it; any other becomes code.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`(?P<short>~?)(?P<name>[\w.]+)`")
_CODE = re.compile(r"``([^`]+)``")
_OURS = ("tracectrl.", "tracectrl_logging.")


class Roles(griffe.Extension):
    """Rewrites the roles in every docstring."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Rewrite the docstring of the package *pkg* itself."""
        self.on_object(obj=pkg)

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of *obj*, a module, class, function or attribute."""
        if obj.docstring is None:
            return

        def link(match: re.Match[str]) -> str:
            name = match["name"]
            text = name.rpartition(".")[2] if match["short"] else name
            target = name if name.startswith(_OURS) else _resolved(obj, name)
            if target is None:
                return f"`{text}`"
            return f'<autoref identifier="{target}" optional><code>{text}</code></autoref>'

        obj.docstring.value = _CODE.sub(r"`\1`", _ROLE.sub(link, obj.docstring.value))


def _resolved(obj: griffe.Object, name: str) -> str | None:
    for scope in (f"{obj.path}.{name}", f"{obj.module.path}.{name}"):
        try:
            obj.modules_collection[scope]
        except (KeyError, griffe.AliasResolutionError):
            continue
        return scope
    return None
