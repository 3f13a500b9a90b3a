"""The page's own files."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

pytestmark = pytest.mark.one_python

STATIC = files("tracectrl_logging.viewer") / "static"


def test_shell_asks_for_each_module_at_once() -> None:
    """No module has to be read before a browser knows of the next."""
    shell = (STATIC / "shell.html").read_text("utf-8")
    modules = {path.name for path in STATIC.iterdir() if path.name.endswith(".js")}
    preloaded = re.findall(r'<link rel="modulepreload" href="static/([\w-]+\.js)">', shell)
    assert sorted(modules - {"main.js"}) == preloaded
