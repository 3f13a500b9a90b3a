# ruff: noqa: T201 - a program, which prints
"""Measure the write path, side by side with what people use.

Prints and stores each measure with its bar. ``--check`` fails where one is above its bar,
``--smoke`` does next to nothing, to see that all of it still runs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
import tempfile
from typing import Any

from harness import figure_of, machine
from rows import BARS, MEASURES, RESULTS, Measured, Scale

DISTRIBUTIONS = (
    "tracectrl-logging",
    "orjson",
    "msgspec",
    "python-json-logger",
    "structlog",
    "loguru",
    "asgi-correlation-id",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-logging",
    "opentelemetry-exporter-otlp-json-file",
)


def main() -> int:
    """Run the measures that were asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200, help="rounds of each measure")
    parser.add_argument("--rows", type=int, nargs="*", help="only these rows of the table")
    parser.add_argument("--check", action="store_true", help="fail where one is above its bar")
    parser.add_argument("--smoke", action="store_true", help="do next to nothing, store nothing")
    parser.add_argument("--results", default=RESULTS, help="the directory to store results in")
    parser.add_argument("--directory", help="where to write the files that are timed")
    options = parser.parse_args()
    scale = Scale(2, 0.01) if options.smoke else Scale(options.rounds)
    this = machine(DISTRIBUTIONS)
    print(f"Python {this['python']}, {this['processor']}, {this['cpus']} CPUs, {this['system']}")
    print(", ".join(f"{name} {version}" for name, version in this["versions"].items() if version))
    measured: dict[int, Measured] = {}
    for measure in MEASURES:
        if options.rows and not set(options.rows) & set(rows_of(measure)):
            continue
        root = tempfile.mkdtemp(prefix="benchmarks-", dir=options.directory)
        try:
            found = measure(root, scale)
        finally:
            shutil.rmtree(root, ignore_errors=True)
        for number, result in found.items():
            say(number, result)
        measured.update(found)
    if not options.smoke and not options.rows:
        store(options.results, this, measured)
    late = [number for number, result in measured.items() if not passes(number, result)]
    print(f"{len(measured) - len(late)} of {len(measured)} within their bars", *late)
    return int(options.check and bool(late))


def rows_of(measure: Any) -> list[int]:
    """Return the numbers that the docstring of *measure* begins with."""
    words = measure.__doc__.partition(":")[0].split()
    numbers = [int(word) for word in words if word.isdigit()]
    return list(range(numbers[0], numbers[-1] + 1))


def passes(number: int, result: Measured) -> bool:
    """Tell whether the row *number* is within its bar."""
    return result.figure.median <= BARS[number][1]


def say(number: int, result: Measured) -> None:
    """Print the row *number*, and the times that it comes from."""
    measure, bar = BARS[number]
    for name, values in result.times.items():
        taken = figure_of(values)
        print(f"      {name:<55} {taken.median * 1e6:10.2f} us")
    verdict = "ok" if passes(number, result) else "ABOVE"
    print(f"{number:4}  {result.figure}  bar {bar}  {verdict}  {measure}", flush=True)
    for name, figure in result.beside.items():
        print(f"      {figure}  {name}")


def store(directory: str, this: dict[str, Any], measured: dict[int, Measured]) -> None:
    """Keep what was measured, one file for each minor version of Python."""
    os.makedirs(directory, exist_ok=True)
    rows = {
        number: {
            "figure": dataclasses.asdict(result.figure),
            "beside": {name: dataclasses.asdict(it) for name, it in result.beside.items()},
            "seconds": {
                name: dataclasses.asdict(figure_of(values)) for name, values in result.times.items()
            },
        }
        for number, result in measured.items()
    }
    name = f"{this['implementation']}-{'.'.join(this['python'].split('.')[:2])}.json"
    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
        json.dump({"machine": this, "rows": rows}, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    sys.exit(main())
