"""examples/dictconfig: one set-up in three forms, behind a queue."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLE = Path(__file__).parents[2] / "examples" / "dictconfig"


@pytest.mark.parametrize("form", ["dict", "logging.json", "logging.yaml"])
def test_each_order_has_its_lines(run_example: Callable[..., dict[str, Any]], form: str) -> None:
    """Adapter, warnings, a thread and a traceback: all behind the queue, in the order's session."""
    files = run_example("dictconfig/app.py", form)
    assert [f"order-{number}.logs.jsonl" for number in range(10)] == list(files)
    for number in range(10):
        rows = files[f"order-{number}.logs.jsonl"]
        assert {f"order-{number}"} == {row["session_id"] for row in rows}
        assert {"orders"} == {row["service"] for row in rows}
        assert ["orders", "py.warnings", "orders"] == [row["logger"] for row in rows]
        assert f"order {number} uses an old form" in rows[1]["message"]
        assert [number, number] == [rows[0]["order"], rows[2]["order"]]
        expected = "refused\nTraceback" if number == 9 else "packed for 5"
        assert rows[2]["message"].startswith(expected)


def test_the_forms_say_the_same() -> None:
    """The JSON and the YAML file hold the dictionary."""
    config = runpy.run_path(str(EXAMPLE / "logging_config.py"))["CONFIG"]
    assert config == json.loads((EXAMPLE / "logging.json").read_text(encoding="utf-8"))
    assert config == yaml.safe_load((EXAMPLE / "logging.yaml").read_text(encoding="utf-8"))
