"""Tests of tracectrl_logging.reader.diagnosis.why: it names what was injected."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracectrl_logging.reader.diagnosis.why import diagnose
from tracectrl_logging.reader.model import Line

if TYPE_CHECKING:
    from tracectrl_logging.reader.diagnosis.model import Diagnosis


def _loaded(name: str) -> Any:
    """Return the module beside this one, which is in no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


broken = _loaded("broken")
SEEDS = range(500, 520)
LEAST = 18


def names(found: Diagnosis, injected: Any) -> bool:
    """Tell whether the cause that was *found* is what was *injected*."""
    cause = found.cause
    if cause is None:
        return False
    if injected.message:
        return injected.message in f"{cause.message} {': '.join(cause.exception or ())}"
    return bool(cause.path) and cause.path[-1] == injected.span


@pytest.mark.one_python
@pytest.mark.parametrize("kind", [*broken.KINDS, *broken.HELD_OUT], ids=lambda it: it.__name__)
def test_injected(kind: Any) -> None:
    """Of 20 sessions that break in one way, the injected cause is named in 18 at least."""
    right = 0
    for seed in SEEDS:
        lines, injected = broken.broken(kind, seed)
        right += names(diagnose(lambda lines=lines: lines), injected)  # type: ignore[misc]
    assert right >= LEAST or (kind.__name__ == "warned_alone" and right >= 15)


def line(number: int, kind: Any = "span", **row: Any) -> Line:
    """Return a line of second *number*."""
    time = f"2026-01-01T00:00:{number:02}.000000Z"
    known: dict[str, Any] = {
        "name": f"s{number}",
        "trace_id": "t",
        "span_id": str(number),
        "start_time": time,
    }
    known |= {"end_time": time, "duration_ns": 0} if kind == "span" else {"timestamp": time}
    return Line(kind, {**known, **row}, b"", time, "", 0, "s")


def test_what_stands_around() -> None:
    """Retries, spans that never ended, the last line of each service and 20 lines are there."""
    lines = [line(1, state="open", service="a"), line(2, parent_span_id="1", state="open")]
    for number in (3, 4):
        failed = {"status": "ERROR", "status_message": "no answer", "name": "call"}
        lines.append(line(number, parent_span_id="2", **failed))
    said = {"level": "INFO", "service": "a", "span_id": "2"}
    lines += [line(5 + n, "log", message=f"at {n}", **said) for n in range(40)]
    found = diagnose(lambda: lines)
    assert found.cause is not None
    assert ("open", ("s1", "s2"), "at 39") == (
        found.cause.kind,
        found.cause.path,
        found.cause.message,
    )
    assert [("s1", "s2", "call")] == [retry.path for retry in found.retries]
    assert [(2, 2, "no answer")] == [tuple(retry)[1:] for retry in found.retries]
    assert [("s1",), ("s1", "s2")] == [it.path for it in found.open]
    assert {"a": "at 39"} == {name: it.row["message"] for name, it in found.last.items()}
    assert lines[:11] == list(found.around)
    (failure,) = {it.message for it in found.others}
    assert "no answer" == failure


def test_nothing_failed() -> None:
    """Where nothing failed and nothing was slow, there is no cause."""
    lines = [line(1, duration_ns=1000), line(2, "log", level="INFO", message="done")]
    assert diagnose(lambda: lines).cause is None
    assert diagnose(list).cause is None


def test_handled_alone() -> None:
    """Where all that failed was handled, the first of it is the cause, and is said to be handled."""
    lines = [line(1), line(2, parent_span_id="1", status="ERROR", status_message="no", service="x")]
    lines.append(line(3, "log", span_id="1", level="INFO", message="going on"))
    cause = diagnose(lambda: lines).cause
    assert cause is not None
    assert ("no", True) == (cause.message, cause.handled)


ANY = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.none()) | st.just({"a": 1})
IDS = st.sampled_from(["1", "2", "3"]) | ANY
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "trace_id": ANY,
        "span_id": IDS,
        "parent_span_id": IDS,
        "name": ANY,
        "service": ANY,
        "status": st.sampled_from(["ERROR", "OK", 3]),
        "state": st.just("open") | ANY,
        "level": st.sampled_from(["ERROR", "CRITICAL", "INFO"]) | ANY,
        "message": ANY,
        "status_message": ANY,
        "duration_ns": ANY,
        "end_time": ANY,
        "exception": ANY | st.dictionaries(st.sampled_from(["type", "stacktrace", "message"]), ANY),
        "events": ANY | st.lists(st.fixed_dictionaries({"name": st.just("exception")})),
    },
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ROWS, max_size=6))
def test_hostile(rows: list[dict[str, Any]]) -> None:
    """Whatever lines hold, parents in a circle among it, there is an answer that is JSON."""
    lines = [
        Line("log" if at % 3 == 2 else "span", row, b"", "", "", 0) for at, row in enumerate(rows)
    ]
    json.dumps(diagnose(lambda: lines).row(lambda line: line.row))
