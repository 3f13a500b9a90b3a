"""The matrix, notebooks: the cells of ``docs/how-to/notebooks.md``, in a real kernel."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("ipykernel", reason="it is what is tested")
pytest.importorskip("nbclient", reason="it runs the cells")

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = (Path(__file__).parents[2] / "docs/how-to/notebooks.md").read_text(encoding="utf-8")
CELLS = re.findall(r"^```py title=\"cell \d\"\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
PROGRAM = """
import json, sys
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

manager = KernelManager()
manager._kernel_spec = KernelSpec(
    argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    language="python",
)
cells = [new_code_cell(text) for text in json.loads(sys.argv[1])]
done = NotebookClient(new_notebook(cells=cells), km=manager, timeout=120).execute()
print(*(output["text"] for cell in done.cells for output in cell.outputs if "text" in output))
"""


WIDGET = """
import contextvars
from opentelemetry import trace
tracer = trace.get_tracer("study")

def clicked(comm, message):  # as a widget's handler: no cell, and a context of its own
    with tracer.start_as_current_span("clicked"):
        log.info("clicked")

loop = asyncio.get_running_loop()
done = loop.create_future()
def handler():
    clicked(None, None)
    done.set_result(None)
loop.call_soon(handler, context=contextvars.Context())
await done
"""


def test_the_cells(start: Callable[..., Any], traces: Callable[..., Any]) -> None:
    """Cells, threads and callbacks are in the session of the notebook, or in the one that they enter."""
    assert 3 == len(CELLS)
    program = start("-c", PROGRAM, json.dumps([*CELLS, WIDGET]))
    text = program.wait()

    assert 0 == program.process.returncode, text
    assert "['loading', 'loaded', 'watching']" in text, text
    found = traces(program.root)
    rows = [(row["session_id"], row["message"]) for row in found.logs if row["logger"] == "study"]
    own = ["loading", "loaded", "watching", "clicked"]
    assert sorted([*(("study-7", it) for it in own), ("study-7-run-1", "training")]) == sorted(rows)
    assert ["study-7"] == [span["session_id"] for span in found.spans]
