"""Tests of tracectrl_logging.reader.diagnosis.diff: one injected change comes first."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracectrl._json import timestamp_ns
from tracectrl_logging.reader.diagnosis.diff import compare
from tracectrl_logging.reader.model import Line

_MS = 1_000_000
WORDS = ["load", "check", "store", "render", "send", "merge", "find", "count", "lock", "sort"]


@dataclass
class Step:
    """What a program does: a span, with log lines in it, and steps below."""

    name: str
    took_ms: int
    logs: list[str]
    below: list[Step] = field(default_factory=list)
    times: int = 1
    level: str = "INFO"
    fails: bool = False


def program(seed: int) -> Step:
    """Return a program of about a dozen steps, the same for each seed."""
    choose = random.Random(seed)  # noqa: S311 - to be the same each time
    names = choose.sample([f"{one} {other}" for one in WORDS for other in WORDS], 40)

    def step(depth: int) -> Step:
        logs = [f"{names.pop()} {{}} of {{}}" for _ in range(choose.randrange(1, 3))]
        made = Step(names.pop(), choose.randrange(2, 60), logs)
        made.below = [step(depth - 1) for _ in range(choose.randrange(1, 4))] if depth else []
        return made

    return step(2)


def steps(step: Step) -> list[Step]:
    """Return a *step* and all below it."""
    return [step, *(it for inner in step.below for it in steps(inner))]


def run(step: Step, seed: int) -> list[Line]:
    """Run a program: times jitter, values and IDs are others each time."""
    draw = random.Random(seed)  # noqa: S311 - as above
    lines: list[Line] = []
    trace = f"{draw.getrandbits(128):032x}"

    def go(step: Step, parent: str | None, at: int) -> int:
        for _ in range(step.times):
            span, start = f"{draw.getrandbits(64):016x}", at
            for form in step.logs:
                at += int(step.took_ms * _MS * draw.lognormvariate(0, 0.2) / len(step.logs))
                said = form.format(draw.randrange(1000), f"{draw.getrandbits(128):032x}")
                told = {"level": step.level, "logger": "app", "message": said, "span_id": span}
                add("log", {**told, "trace_id": trace, "timestamp": time(at)})
            for inner in step.below:
                at = go(inner, span, at)
            row: dict[str, Any] = {
                "name": step.name,
                "trace_id": trace,
                "span_id": span,
                "duration_ns": at - start,
            }
            row |= {"start_time": time(start), "end_time": time(at), "status": "UNSET"}
            row |= {"parent_span_id": parent} if parent else {}
            if step.fails:
                row |= {"status": "ERROR", "status_message": "it broke"}
            add("span", row)
        return at

    def time(at: int) -> str:
        return timestamp_ns(1_790_000_000_000_000_000 + at)

    def add(kind: Any, row: dict[str, Any]) -> None:
        moment = row["start_time" if kind == "span" else "timestamp"]
        lines.append(Line(kind, row, b"", moment, "", 0, "s"))

    go(step, None, 0)
    return sorted(lines, key=lambda line: (line.time, line.kind == "log"))


def slower(step: Step) -> str:
    """Make it slower."""
    step.took_ms = step.took_ms * 3 + 50
    return step.name


def new_step(step: Step) -> str:
    """Add a step to it."""
    step.below.append(Step("audit trail", 5, ["audited {} as {}"]))
    return "audit trail"


def missing_step(step: Step) -> str:
    """Take its first step away, and what is in that."""
    if not step.below:
        return new_step(step)
    return step.below.pop(0).name


def new_log(step: Step) -> str:
    """Log another line in it."""
    step.logs.append("cache was cold for {}, {}")
    return "cache was cold"


def missing_log(step: Step) -> str:
    """Do not log its first line."""
    return step.logs.pop(0).split("{", maxsplit=1)[0]


def failing(step: Step) -> str:
    """Have it fail."""
    step.fails = True
    return step.name


def repeated(step: Step) -> str:
    """Do it three times."""
    step.times = 3
    return step.name


def louder(step: Step) -> str:
    """Log at another level in it."""
    step.level = "WARNING"
    return step.logs[0].split("{", maxsplit=1)[0]


@pytest.mark.one_python
@pytest.mark.parametrize(
    "inject",
    [slower, new_step, missing_step, new_log, missing_log, failing, repeated, louder],
    ids=lambda it: it.__name__,
)
def test_injected(inject: Any) -> None:
    """Of 20 pairs with one injected change each, that change is the first in all."""
    for seed in range(20):
        changed = program(seed)
        several = steps(changed)
        target = inject(several[seed % len(several)])
        first = compare(run(program(seed), seed), run(changed, seed + 1000))[0]
        said = first.message if first.what == "log" else first.path[-1]
        assert target.strip() in said, (seed, first)


def test_nothing_changed() -> None:
    """Other values, IDs and times make no difference; times alone a small one."""
    found = compare(run(program(1), 1), run(program(1), 2))
    assert {"slower", "faster"} >= {change.change for change in found}
    assert [] == compare(run(program(1), 1), run(program(1), 1))
    assert [] == compare([], [])


def test_reworded() -> None:
    """A line into which a program has put another text is one change, and a small one."""

    def lines(text: str) -> list[Line]:
        row = {"level": "INFO", "logger": "app", "message": f"question asked: {text}"}
        return [Line("log", row, b"", "", "", 0, "s")]

    (change,) = compare(lines("where is it?"), lines("who was that?"))
    assert ("reworded", 1, 1) == (change.change, change.before.times, change.after.times)


ANY = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.none())
IDS = st.sampled_from(["1", "2", "3"]) | ANY
KEYS = ("trace_id", "name", "status", "level", "message", "logger", "duration_ns", "status_message")
ROWS = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(KEYS, ANY), "span_id": IDS, "parent_span_id": IDS}
)


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, max_size=5), st.lists(ROWS, max_size=5))
def test_hostile(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    """Whatever lines hold, parents in a circle among it, there is an answer that is JSON."""
    before, after = (
        [Line("log" if at % 2 else "span", row, b"", "", "", 0) for at, row in enumerate(rows)]
        for rows in (one, other)
    )
    json.dumps([change.row() for change in compare(before, after)])
