"""The page's own files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tracectrl_logging.viewer.export import bundle

if TYPE_CHECKING:
    from tests.tracectrl_logging.viewer.conftest import Server

pytestmark = pytest.mark.one_python


def test_shell_asks_for_one_script(server_of_module: Server) -> None:
    """No browser has to wait for one module after the other: the shell names one script that holds all."""
    shell = server_of_module.get("/", token=None).body.decode()
    scripts = re.findall(r'<script type="module" src="(.*?)">', shell)
    assert ["static/page.js"] == scripts
    script = server_of_module.get(f"/{scripts[0]}", token=None)
    assert (200, "text/javascript; charset=utf-8") == (
        script.status,
        script.headers["content-type"],
    )
    assert bundle() == script.body.decode()
