# ruff: noqa: T201 - a program, which prints
"""One loop to look at with a profiler: lines into many sessions by turns, as in rows 6 and 7.

Usage, for where the time goes, in the kernel and out of it, and for how many instructions that is::

    python benchmarks/profiled.py --sessions 1000
    perf record -e cpu-clock python benchmarks/profiled.py --sessions 1000
    valgrind --tool=callgrind python benchmarks/profiled.py --sessions 1000 --lines 5000 --slowed

The instructions of one line are the difference of two runs by their difference in lines. What slows
a program fifty times has every file due for the look at its path that is there each half second:
``--slowed`` leaves that out.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from itertools import cycle, islice

from content import stdlib_calls, stdlib_logger
from harness import without_collector
from rows import task_context

from tracectrl.files.write import appender
from tracectrl_logging import SessionFileHandler

_WARM_UP = 2000


def main() -> None:
    """Write the lines; print what one of them took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--lines", type=int, default=400_000)
    parser.add_argument("--open-files", type=int, help="no more than so many; all of them else")
    parser.add_argument("--slowed", action="store_true", help="something slows the program")
    options = parser.parse_args()
    if options.slowed:
        appender.LOOK_EVERY_S = 1e9  # type: ignore[misc]
    with tempfile.TemporaryDirectory(prefix="profiled-") as root, without_collector():
        handler = SessionFileHandler(root, max_open_files=options.open_files or options.sessions)
        call = stdlib_calls(stdlib_logger("profiled", handler))
        by_turns = cycle([task_context(number) for number in range(options.sessions)])
        for context in islice(by_turns, max(_WARM_UP, options.sessions)):
            context.run(call, 1)
        before, begin = os.times(), time.thread_time()
        for context in islice(by_turns, options.lines):
            context.run(call, 1)
        taken, after = time.thread_time() - begin, os.times()
        handler.close()
    parts = {
        "in all": taken,
        "in the kernel": after.system - before.system,
        "out of it": after.user - before.user,
    }
    for name, seconds in parts.items():
        print(f"{name:14} {seconds / options.lines * 1e6:6.2f} µs a line")


if __name__ == "__main__":
    main()
