"""The stored results as a table (Markdown) and a plot (PNG and SVG), for README and benchmarks/README.

Usage: ``python benchmarks/report.py [--results DIR]``
"""

from __future__ import annotations

import argparse
import json
import math
import os
from typing import Any

from rows import BARS, RESULTS

_COSTS = "1"  # the row whose times are those of everybody, side by side
_TIMED = {"one line": _COSTS, "one span": "5", "one stamp": "4"}  # what is told in µs, and its row


def main() -> None:
    """Write ``table.md``, ``write-path.png`` and ``write-path.svg`` beside the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", default=RESULTS)
    directory = parser.parse_args().results
    stored = load(directory)
    with open(os.path.join(directory, "table.md"), "w", encoding="utf-8") as file:
        file.write(table(stored))
    plot(stored, directory)


def load(directory: str) -> dict[str, Any]:
    """Return the stored results by what they call their Python, oldest first."""
    names = [name for name in os.listdir(directory) if name.endswith(".json")]
    found = []
    for name in names:
        with open(os.path.join(directory, name), encoding="utf-8") as file:
            found.append(json.load(file))
    found.sort(key=lambda one: [int(part) for part in one["machine"]["python"].split(".")])
    return {f"Python {one['machine']['python']}": one for one in found}


def table(stored: dict[str, Any]) -> str:
    """Return the rows with their bars, the costs of a call, and what ran it, as Markdown."""
    lines = [
        row("#", "measure", "at most", *stored),
        row("--:", "---", *["--:"] * (len(stored) + 1)),
    ]
    for number, (measure, bar) in BARS.items():
        results = [one["rows"].get(str(number)) or {} for one in stored.values()]
        cells = (told(it["figure"], bar) if it else "not measured" for it in results)
        lines.append(row(number, measure, bar, *cells))
        for name in {name: None for it in results for name in it.get("beside", ())}:
            beside = (it.get("beside", {}).get(name) for it in results)
            lines.append(
                row("", f"*{name}*", "", *("" if it is None else told(it) for it in beside))
            )
    lines += ["", "Medians, quartiles in brackets; what has no bar is there to compare.", ""]
    for what, number in _TIMED.items():
        lines += [row(f"{what}, µs", *stored), row("---", *["--:"] * len(stored))]
        for name in by_cost(stored, number):
            costs = (one["rows"][number]["seconds"].get(name) for one in stored.values())
            lines.append(
                row(name, *("" if it is None else f"{it['median'] * 1e6:.2f}" for it in costs))
            )
        lines.append("")
    for name, one in stored.items():
        this = one["machine"]
        versions = ", ".join(f"{it} {number}" for it, number in this["versions"].items() if number)
        lines.append(
            f"- {name} on {this['cpus']} CPUs ({this['processor']}), {this['system']},"
            f" {this['date']}, load {this['load']:.1f}: {versions}."
        )
    return "\n".join(lines) + "\n"


def row(*cells: object) -> str:
    """Return one row of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def told(figure: dict[str, float], bar: float = math.inf) -> str:
    """Return what a cell says of *figure*; what is above its *bar* is struck by a mark."""
    text = f"{figure['median']:.2f} ({figure['low']:.2f}–{figure['high']:.2f})"  # noqa: RUF001
    return text if figure["median"] <= bar else f"**{text}** above"


def by_cost(stored: dict[str, Any], number: str = _COSTS) -> list[str]:
    """Return the names of those that the row *number* has timed, the cheapest first."""
    newest = list(stored.values())[-1]["rows"][number]["seconds"]
    return sorted(newest, key=lambda name: newest[name]["median"])


def plot(stored: dict[str, Any], directory: str) -> None:
    """Draw what a line costs with each, as bars."""
    import matplotlib as mpl  # noqa: PLC0415 - the table is to be had without

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "benchmarks"  # the same picture is the same file
    from matplotlib import pyplot as plt  # noqa: PLC0415

    names = by_cost(stored)[::-1]
    figure, axes = plt.subplots(figsize=(9, 5.5), layout="constrained")
    height = 0.8 / len(stored)
    for place, (python, one) in enumerate(stored.items()):
        costs = [one["rows"][_COSTS]["seconds"].get(name, {"median": 0}) for name in names]
        ours, others = (("#1f6f8b", "#9aa5ab"), ("#5fb0c9", "#cfd6da"))[place % 2]
        axes.barh(
            [number - place * height for number in range(len(names))],
            [cost["median"] * 1e6 for cost in costs],
            height=height,
            color=[ours if name.startswith("tracectrl") else others for name in names],
            label=python,
        )
    axes.set_yticks([number - 0.4 + height / 2 for number in range(len(names))], names)
    axes.set_xlabel("µs for one correlated line of JSON into a file (median; less is better)")
    axes.legend(frameon=False, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        path = os.path.join(directory, f"write-path.{kind}")
        figure.savefig(path, dpi=130, metadata=metadata)
    plt.close(figure)


if __name__ == "__main__":
    main()
