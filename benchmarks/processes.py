"""What is measured in a process of its own: memory, and imports."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness import Times

_MEMORY = """\
import logging, sys

from tracectrl.session import session
from tracectrl_logging import SessionFileHandler

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

root, count = sys.argv[1], int(sys.argv[2])
log = logging.getLogger("memory")
log.setLevel("INFO")
log.addHandler(SessionFileHandler(root))
for number in range(10):
    with session(f"warm-up-{number}"):
        log.info("user %s logged in", "ann", extra={"tool": "search", "attempt": 3})
start = most = resident()
for number in range(count):
    with session(f"3f2504e0-4f89-41d3-9a0c-{number:012d}"):
        log.info("user %s logged in", "ann", extra={"tool": "search", "attempt": 3})
        log.info("user %s logged out", "ann", extra={"tool": "search", "attempt": 3})
    if number % 1000 == 0:
        most = max(most, resident())
print(max(most, resident()) - start)
"""

_IMPORT = """\
import time
begin = time.perf_counter()
{}
print(time.perf_counter() - begin)
"""

_IMPORTS = {
    "ours": "import tracectrl_logging",
    "every name": (
        "import tracectrl_logging\n"
        "for name in tracectrl_logging.__all__: getattr(tracectrl_logging, name)"
    ),
    "what it stands on": (
        "import structlog, pythonjsonlogger.core\n"
        "import opentelemetry.trace, opentelemetry.propagate, orjson"
    ),
}


def resident_growth(root: str, sessions: int) -> float:
    """Return how many MiB a process grows by that writes two lines in each of *sessions*."""
    return float(_output(_MEMORY, root, str(sessions))) / (1 << 20)


def import_times(rounds: int) -> Times:
    """Return the seconds that importing takes, in processes by turns."""
    times: dict[str, list[float]] = {name: [] for name in _IMPORTS}
    for _ in range(rounds):
        for name, source in _IMPORTS.items():
            times[name].append(float(_output(_IMPORT.format(source))))
    return times


def _output(source: str, *args: str) -> str:
    done = subprocess.run(  # noqa: S603 - this interpreter, this source
        [sys.executable, "-c", source, *args], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.stderr.write(done.stderr)
        done.check_returncode()
    return done.stdout
