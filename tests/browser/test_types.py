"""The page's modules are typed: TypeScript reads their comments, and finds nothing wrong."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import tracectrl_logging

HERE = Path(__file__).parent
STATIC = Path(tracectrl_logging.__file__).parent / "viewer" / "static"


def test_typescript_finds_nothing(node_modules: Path, tmp_path: Path) -> None:
    """All modules that are installed pass the compiler's strict checks."""
    config = tmp_path / "tsconfig.json"
    text = (HERE / "tsconfig.json").read_text("utf-8")
    config.write_text(text.replace("../../tracectrl_logging/viewer/static", str(STATIC)), "utf-8")
    command = [str(node_modules / ".bin" / "tsc"), "--project", str(config)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert ("", 0) == (done.stdout, done.returncode)


def test_modules_can_stand_in_one_script() -> None:
    """No name stands at the top of two modules, and imports and exports have the form that an export strips."""
    names: Counter[str] = Counter()
    for path in STATIC.glob("*.js"):
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("import"):
                assert re.fullmatch(r'import \{ [\w, ]+ \} from "\./[\w-]+\.js";', line), (
                    path,
                    line,
                )
            if line.startswith("export"):
                assert re.match(r"export (async )?(function|const|class)\*? ?", line), (path, line)
            found = re.match(r"(?:export )?(?:async )?(?:function\*?|const|let|class) (\w+)", line)
            if found:
                names[found[1]] += 1
    assert {} == {name: count for name, count in names.items() if count > 1}
