# ruff: noqa: T201, S603 - a program, which prints and runs others
"""Measures the command on the data of ``reading_data.py``, side by side with rg, jq, lnav and DuckDB.

Every process is started anew and timed from its start to its end, with a warm cache, its output
thrown away. Each round runs all of them once, so that what else the machine does meets them all;
medians are compared. Peers that take long run in the first rounds alone. Afterwards each command runs
once more, watched: the peak is that of its process, and that of all its processes together.

A command that this installation does not have is left out; so is a peer that is not there.

Usage: ``python benchmarks/reading.py DATA [--command PATH | --install] [--rounds N] [--slow-rounds N]
[--only ROW] [--json FILE] [--check]``

``DATA`` is what ``reading_data.py`` has written. ``--install`` makes a new environment and installs
the wheel of this tree into it, with all extras; that is what users run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[1]
MIB = 1024 * 1024
SQL = "select level, count(*) from logs group by 1"
HAND = "import duckdb, sys; print(sorted(duckdb.connect().execute(sys.argv[1]).fetchall()))"
PEAK_BAR_MB = 200
SAMPLE_S = 0.02


@dataclass
class Program:
    """A program that is run in each round, and how long it took."""

    name: str
    argv: list[str]
    row: int
    is_slow: bool = False
    path: str | None = None
    seconds: list[float] = field(default_factory=list)
    status: int | None = None

    @property
    def median_s(self) -> float | None:
        """The median of the rounds."""
        return statistics.median(self.seconds) if self.seconds else None


@dataclass(frozen=True)
class Bar:
    """What a program may take: so many times as long as another."""

    row: int
    program: str
    times: float
    peer: str


BARS = [
    Bar(1, "show", 6.0, "python -c pass"),
    Bar(1, "show", 0.3, "rg ID"),
    Bar(2, "sessions", 1.5, "rg -c ''"),
    Bar(2, "sessions, copied", 2.0, "rg -c ''"),
    Bar(2, "sessions, all", 3.0, "rg -c ''"),
    Bar(3, "grep", 4.0, "rg -l WORD"),
    Bar(3, "grep", 1.0, "jq"),
    Bar(3, "grep", 1.0, "lnav"),
    Bar(4, "query", 1.5, "duckdb, schema found"),
    Bar(4, "query", 1.5, "duckdb, columns given"),
]


def programs_of(data: Path, manifest: dict[str, Any], command: str, python: str) -> list[Program]:
    """Return all that is measured."""
    root, combined = str(data / "root"), str(data / "all.jsonl")
    copied = str(data / "copied")  # whose files' times say nothing
    sid, word = manifest["sessions_of_100_lines"][0], manifest["word"]
    ours = [command, "--root", root]
    # No rg on the path: the command has to do without.
    alone = os.path.dirname(command)
    files = f"read_json(['{root}/*.logs.jsonl*'], format='newline_delimited'"
    by_hand = f"select level, count(*) from {files}"  # noqa: S608 - of our own making
    select = f'select((.message // "") | contains("{word}")) | .session_id'
    return [
        Program("show", [*ours, "show", sid, "--json"], 1),
        Program("python -c pass", [python, "-c", "pass"], 1),
        Program("rg ID", ["rg", sid, root], 1),
        Program("sessions", [*ours, "sessions", "--limit", "20"], 2),
        Program("sessions, copied", [command, "--root", copied, "sessions", "--limit", "20"], 2),
        Program("sessions, all", [*ours, "sessions"], 2),
        Program("rg -c ''", ["rg", "-c", "", root], 2),
        Program("grep", [*ours, "grep", "-F", word, "-l"], 3, path=alone),
        Program("rg -l WORD", ["rg", "-l", word, root], 3),
        Program("rg -z -l WORD", ["rg", "-z", "-l", word, root], 3),
        Program("jq", ["jq", "-r", select, combined], 3, is_slow=True),
        Program("lnav", ["lnav", "-n", "-c", f":filter-in {word}", combined], 3, is_slow=True),
        Program("query", [*ours, "query", SQL], 4),
        Program("duckdb, schema found", [python, "-c", HAND, f"{by_hand}) group by 1"], 4),
        Program(
            "duckdb, columns given",
            [python, "-c", HAND, f"{by_hand}, columns={{level: 'VARCHAR'}}) group by 1"],
            4,
            is_slow=True,
        ),
    ]


def watched_of(data: Path, manifest: dict[str, Any], command: str) -> dict[str, list[str]]:
    """Return the command lines whose memory is measured."""
    ours = [command, "--root", str(data / "root")]
    sid, large, word = (
        manifest["sessions_of_100_lines"][0],
        manifest["large_sessions"][0],
        manifest["word"],
    )
    return {
        "sessions": [*ours, "sessions", "--limit", "20"],
        "sessions --errors --sort errors": [*ours, "sessions", "--errors", "--sort", "errors"],
        "sessions --json": [*ours, "sessions", "--json"],
        "show": [*ours, "show", large],
        "show --json": [*ours, "show", sid, "--json"],
        "grep -F -l": [*ours, "grep", "-F", word, "-l"],
        "grep -c": [*ours, "grep", "-c", "to.*n"],
        "tail": [*ours, "tail", "-n", "10"],
        "query": [*ours, "query", SQL],
        "query errors": [*ours, "query", "errors"],
        "query slow": [*ours, "query", "slow"],
        "query sessions": [*ours, "query", "from sessions order by errors desc limit 20"],
        "query, all rows": [*ours, "query", "from logs", "--json"],
        "export zip": [*ours, "export", large, "-o", "-"],
        "export otlp": [*ours, "export", large, "--format", "otlp", "-o", "-"],
        "doctor": [*ours, "doctor"],
    }


def run(program: Program) -> None:
    """Run *program* once and note how long it took."""
    env = dict(os.environ)
    if program.path is not None:
        env["PATH"] = program.path
    with open(os.devnull, "r+b") as nowhere:
        start = time.perf_counter()
        process = subprocess.Popen(
            program.argv, stdin=nowhere, stdout=nowhere, stderr=subprocess.DEVNULL, env=env
        )
        program.status = process.wait()
        program.seconds.append(time.perf_counter() - start)


def has(command: str, name: str) -> bool:
    """Tell whether the installed command has the command *name*."""
    done = subprocess.run([command, name, "--help"], capture_output=True, check=False)
    return done.returncode == 0


def peak_of(argv: list[str]) -> tuple[int, int, int]:
    """Run *argv*; return its status, and the peaks in bytes of its process and of all together."""
    with open(os.devnull, "r+b") as nowhere:
        process = subprocess.Popen(
            argv, stdin=nowhere, stdout=nowhere, stderr=subprocess.DEVNULL, start_new_session=True
        )
    together = 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_maxrss * 1024, together
        together = max(together, _together(process.pid))
        time.sleep(SAMPLE_S)


def _together(session: int) -> int:
    """Return the memory of all processes of a session, shared pages counted once."""
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(pid)) == session:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
                total += int(text.partition("\nPss:")[2].split()[0]) * 1024
        except (OSError, ValueError, IndexError):  # it has ended
            continue
    return total


def answers(programs: list[Program], manifest: dict[str, Any]) -> list[str]:
    """Return what is wrong with the answers of our own programs."""
    wrong = []
    for program in programs:
        if program.name not in ("show", "grep", "query"):
            continue
        env = dict(os.environ) if program.path is None else {**os.environ, "PATH": program.path}
        done = subprocess.run(program.argv, capture_output=True, text=True, env=env, check=False)
        lines = done.stdout.splitlines()
        if program.name == "show" and len(lines) != 100:  # noqa: PLR2004 - that is its session
            wrong.append(f"show printed {len(lines)} lines and not 100")
        if program.name == "grep" and sorted(lines) != manifest["word_sessions"]:
            wrong.append(f"grep found {len(lines)} sessions, not {len(manifest['word_sessions'])}")
        if program.name == "query" and len(lines) != 1 + 5:
            wrong.append(f"query printed {len(lines)} lines and not 6")
    return wrong


def install() -> str:
    """Install the wheel of this tree into a new environment; return the command's path."""
    place = tempfile.mkdtemp(prefix="tracectrl-reading-")
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    pip = [os.path.join(place, "bin", "python"), "-m", "pip", "install", "-q"]
    subprocess.run([*pip, f"{TOP}[all]"], check=True, stderr=subprocess.DEVNULL)
    return os.path.join(place, "bin", "tracectrl-logs")


def print_times(programs: list[Program]) -> None:
    """Print how long each program took."""
    print("| # | program | median | rounds |\n|---|---|---|---|")
    for program in programs:
        if program.median_s is not None:
            spread = f"{min(program.seconds):.3f} - {max(program.seconds):.3f} s"
            print(f"| {program.row} | {program.name} | {program.median_s:.3f} s | {spread} |")


def print_ratios(programs: list[Program], failures: list[str]) -> list[dict[str, Any]]:
    """Print the ratios beside their bars, and return them; note those that are missed."""
    by_name = {program.name: program.median_s for program in programs}
    print("\n| # | bar | ratio | at most | |\n|---|---|---|---|---|")
    ratios = []
    for bar in BARS:
        ours, peer = by_name.get(bar.program), by_name.get(bar.peer)
        if ours is None or peer is None:
            continue
        ratio = ours / peer
        name = f"{bar.program} / {bar.peer}"
        mark = "ok" if ratio <= bar.times else "MISSED"
        print(f"| {bar.row} | {name} | {ratio:.2f} | {bar.times} | {mark} |")
        ratios.append({"row": bar.row, "bar": name, "ratio": ratio, "most": bar.times})
        if ratio > bar.times:
            failures.append(f"{name}: {ratio:.2f}, at most {bar.times}")
    return ratios


def print_peaks(commands: dict[str, list[str]], failures: list[str]) -> dict[str, Any]:
    """Run each command once more, print its peak of memory, and return them all."""
    print("\n| # | command | peak | all its processes | |\n|---|---|---|---|---|")
    peaks = {}
    for name, argv in commands.items():
        if not has(argv[0], argv[3]):
            continue
        status, alone, together = peak_of(argv)
        is_met = status in (0, 1) and max(alone, together) <= PEAK_BAR_MB * 1_000_000
        peaks[name] = {"bytes": alone, "together_bytes": together, "status": status}
        mark = "ok" if is_met else "MISSED" if status in (0, 1) else f"ended with {status}"
        print(f"| 5 | {name} | {alone / MIB:.0f} MiB | {together / MIB:.0f} MiB | {mark} |")
        if not is_met:
            failures.append(f"{name}: {max(alone, together) / MIB:.0f} MiB, status {status}")
    return peaks


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--command", help="the installed tracectrl-logs")
    parser.add_argument("--install", action="store_true", help="install this tree's wheel first")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, default=1)
    parser.add_argument("--only", type=int, action="append", metavar="ROW", help="1 to 5")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--check", action="store_true", help="fail where a bar is missed")
    options = parser.parse_args()
    manifest = json.loads((options.data / "manifest.json").read_text(encoding="utf-8"))
    own = os.path.join(sysconfig.get_path("scripts"), "tracectrl-logs")
    command = os.path.abspath(install() if options.install else options.command or own)
    python = os.path.join(os.path.dirname(command), "python")
    rows = options.only or [1, 2, 3, 4, 5]

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    programs = [
        program
        for program in programs_of(options.data, manifest, command, python)
        if program.row in rows
        and shutil.which(program.argv[0])
        and (program.argv[0] != command or has(command, program.argv[3]))
    ]
    if not (options.data / "copied").exists():
        shutil.copytree(
            options.data / "root", options.data / "copied", copy_function=shutil.copyfile
        )
    failures = answers(programs, manifest)  # which also warms the cache
    for number in range(options.rounds):
        for program in programs:
            if not program.is_slow or number < options.slow_rounds:
                run(program)
        say(f"round {number + 1} of {options.rounds}")
    failures += [f"{it.name} ended with {it.status}" for it in programs if it.status]

    print_times(programs)
    ratios = print_ratios(programs, failures)
    peaks = {}
    if 5 in rows:  # noqa: PLR2004 - the row's number
        peaks = print_peaks(watched_of(options.data, manifest, command), failures)
    if options.json is not None:
        result = {
            "data": {key: manifest[key] for key in ("sessions", "lines", "files", "bytes")},
            "programs": {it.name: it.seconds for it in programs},
            "ratios": ratios,
            "peaks": peaks,
            "failures": failures,
        }
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for failure in failures:
        say(f"failed: {failure}")
    if options.check and failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
