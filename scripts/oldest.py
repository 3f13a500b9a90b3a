"""Install the oldest release that is declared of each dependency into this environment.

The list is that of pyproject.toml: each requirement's lower bound, the highest one where a name
stands twice. usage: oldest.py [--without EXTRA]... ; each EXTRA is left out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def floors(without: set[str]) -> dict[str, Version]:
    """Return the lower bound of each requirement outside the extras *without*, by name."""
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"]]
    lines += [line for extra in extras.keys() - without for line in extras[extra]]
    found: dict[str, Version] = {}
    for requirement in map(Requirement, lines):
        if requirement.name == project["name"]:
            continue  # an extra of others
        if requirement.marker is None or requirement.marker.evaluate():
            (bound,) = (Version(it.version) for it in requirement.specifier if it.operator == ">=")
            found[requirement.name] = max(bound, found.get(requirement.name, bound))
    return found


def main() -> int:
    """Return pip's exit status."""
    parser = argparse.ArgumentParser(description="install the oldest declared dependencies")
    parser.add_argument("--without", action="append", default=[], metavar="EXTRA")
    pins = [f"{name}=={bound}" for name, bound in floors({*parser.parse_args().without}).items()]
    command = [sys.executable, "-I", "-m", "pip", "install", "--no-compile", *pins]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - pip, of this environment


if __name__ == "__main__":
    sys.exit(main())
