"""The order of a session's rows: the page nests lines as the reader does, however they come."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files import log_path, span_path
from tracectrl_logging.reader import nest, open_store, walk
from tracectrl_logging.reader.json_rows import typed
from tracectrl_logging.viewer.fragments import line_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.one_python

TRACE = "a" * 32

TELL = """async ([batches, picked]) => {
  const { Story } = await import("./static/model.js");
  const story = new Story();
  if (picked) story.pick({ ...story.picked, severity: picked });
  for (const batch of batches) {
    story.add(batch);
    story.arrange();
  }
  const shown = [];
  for (let index = 0; index < story.count; index++) {
    const node = story.order[index];
    shown.push([story.level[node], story.raw[node] ?? null, story.position[node], story.shownBelow[story.above(node)]]);
  }
  return shown;
}"""


@pytest.fixture
def modules(serve: Callable[..., Any], open_page: Callable[..., Page]) -> Page:
    """Return a tab that can import the page's modules."""
    return open_page(serve())


def session_of(root: Path, seed: int) -> None:
    """Write a session of spans that call each other in every way, and of lines in and beside them."""
    chosen = random.Random(seed)  # noqa: S311 - it is to be the same each time
    spans, lines = [], []
    for number in range(40):
        start = chosen.randrange(100)
        parent = chosen.choice([None, *range(max(0, number - 5), min(40, number + 3))])
        span = {
            "name": f"span {number}",
            "session_id": "s",
            "trace_id": TRACE,
            "span_id": f"{number + 1:016x}",
            "start_time": time_of(start),
            "end_time": time_of(start + chosen.randrange(50)),
            "status": chosen.choice(["OK", "ERROR", "UNSET"]),
        }
        if parent is not None:  # itself and later ones, too: there are cycles
            span["parent_span_id"] = f"{parent + 1:016x}"
        spans.append(span)
    spans.append({**spans[3], "name": "again"})
    for number in range(200):
        line = {"timestamp": time_of(chosen.randrange(150)), "message": f"line {number}"}
        line["level"] = chosen.choice(["DEBUG", "INFO", "WARNING", "ERROR"])
        if chosen.random() < 0.8:
            span = chosen.choice(spans)
            line |= {"trace_id": TRACE, "span_id": span["span_id"]}
        lines.append(line)
    root.mkdir(mode=0o700)
    for path, rows in ((log_path("s", root), lines), (span_path("s", root), spans)):
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def time_of(tenths: int) -> str:
    """Return a time, so many tenths of a second after the first."""
    return f"2026-11-30T10:00:{tenths // 10:02}.{tenths % 10}00000Z"


def test_order(modules: Page, tmp_path: Path) -> None:
    """In any order and by any batches, the rows end where ``show`` puts them."""
    for seed in range(8):
        root = tmp_path / str(seed)
        session_of(root, seed)
        lines = list(open_store(root).read("s"))
        expected = [(depth + 1, typed(line).decode()) for depth, line in walk(nest(lines))]
        rows = line_rows(lines)["rows"]
        chosen = random.Random(seed)  # noqa: S311 - as above
        # Lines of equal time keep the order in which they were written, so that is kept here.
        logs, spans = [row for row in rows if not row[0]], [row for row in rows if row[0]]
        for _ in range(3):
            batches = in_batches(merged(logs, spans, chosen), chosen)
            shown = modules.evaluate(TELL, [batches, 0])
            assert expected == [(level, raw) for level, raw, *_ in shown]


def test_gaps(modules: Page) -> None:
    """What is longer by far than the rest is a gap; pauses between lines are none, however few lines there are."""
    gaps = """async (times) => {
      const { Busy } = await import("./static/axis.js");
      const busy = new Busy();
      for (const time of times) busy.add(time, time);
      return busy.gaps();
    }"""
    lines = [0, 1, 2, 146, 147, 333, 1376, 1479, 1481, 1482, 2372, 2475, 2476, 2477]
    assert [[333, 1376], [1482, 2372]] == modules.evaluate(gaps, lines)
    assert [[9, 1000], [1009, 2000]] == modules.evaluate(
        gaps, [*range(10), *range(1000, 1010), *range(2000, 2010)]
    )
    assert [] == modules.evaluate(gaps, list(range(0, 1000, 100)))


def test_levels(modules: Page, tmp_path: Path) -> None:
    """What is picked is shown with all spans above it, and nothing else."""
    session_of(tmp_path / "it", 1)
    lines = list(open_store(tmp_path / "it").read("s"))
    rows = line_rows(lines)["rows"]
    chosen = random.Random(2)  # noqa: S311 - as above
    shown = modules.evaluate(TELL, [in_batches(rows, chosen), 17])
    meant = {raw for row in rows if row[3] >= 17 for raw in [row[10]]}
    assert meant <= {raw for _, raw, *_ in shown}
    for index, (level, raw, *_) in enumerate(shown):
        below = shown[index + 1 :]
        inside = next((at for at, (it, *_) in enumerate(below) if it <= level), len(below))
        assert raw in meant or any(it in meant for _, it, *_ in below[:inside])


def test_places(modules: Page, tmp_path: Path) -> None:
    """Each row knows how many stand beside it, and which of them it is."""
    session_of(tmp_path / "it", 2)
    rows = line_rows(list(open_store(tmp_path / "it").read("s")))["rows"]
    shown = modules.evaluate(TELL, [[rows], 0])
    counts: list[int] = []
    for level, _, position, size in shown:
        del counts[level:]
        counts += [0] * (level - len(counts))
        counts[level - 1] += 1
        assert (counts[level - 1], position <= size) == (position, True)


def merged(logs: list[Any], spans: list[Any], chosen: random.Random) -> list[Any]:
    """Return both in one list, each in its own order."""
    rest = [list(logs), list(spans)]
    return [rest[which].pop(0) for which in choices(len(logs), len(spans), chosen)]


def choices(logs: int, spans: int, chosen: random.Random) -> list[int]:
    """Return which of both comes when."""
    order = [0] * logs + [1] * spans
    chosen.shuffle(order)
    return order


def in_batches(rows: list[Any], chosen: random.Random) -> list[list[Any]]:
    """Return *rows* in batches of any size."""
    batches, at = [], 0
    while at < len(rows):
        size = chosen.randrange(1, 30)
        batches.append(rows[at : at + size])
        at += size
    return batches
