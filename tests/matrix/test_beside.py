"""What other tools and ours do beside each other: the table of ``docs/other-tools.md``, cell by cell.

Each tool has a program, in ``beside/``, which logs six lines, in a session where something of ours is
there. It is run without us, beside ``configure()``, beside the handler wired by ``dictConfig``, and beneath
``tracectrl-logs run``. A cell says what the three differ in from the first, and how many of the lines are
in the session's file, with the tool's trace ID where it is of OpenTelemetry.
"""

from __future__ import annotations

import ast
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PROGRAMS = Path(__file__).parent / "beside"
PAGE = Path(__file__).parents[2] / "docs" / "other-tools.md"
BIN = os.path.dirname(sys.executable)
BOUND_S = 360
OURS = {
    "run": ("run", "--session", "s1"),
    "doctor": ("doctor", "--json", "--"),
}
"""The commands that start a program, with their options."""


@dataclass
class Tool:
    """A tool of the table, and how its program is started."""

    name: str
    program: str
    command: tuple[str, ...] = ("{python}", "{program}")
    requests: bool = False
    broker: bool = False
    environment: dict[str, str] = field(default_factory=dict)


PROGRAM = ("{python}", "{program}")
TOOLS = [
    Tool("Sentry", "with_sentry.py"),
    Tool("Logfire", "with_logfire.py"),
    Tool(
        "New Relic",
        "with_newrelic.py",
        ("{bin}/newrelic-admin", "run-program", *PROGRAM),
        environment={"NEW_RELIC_DEVELOPER_MODE": "true"},
    ),
    Tool(
        "Datadog",
        "with_datadog.py",
        ("{bin}/ddtrace-run", *PROGRAM),
        environment={
            "DD_LOGS_INJECTION": "true",
            "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "DD_TRACE_STARTUP_LOGS": "false",
        },
    ),
    Tool(
        "OpenTelemetry",
        "with_opentelemetry.py",
        ("{bin}/opentelemetry-instrument", *PROGRAM),
        environment={
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        },
    ),
    Tool("Elastic APM", "with_elastic_apm.py"),
    Tool("loguru", "with_loguru.py"),
    Tool("structlog", "with_structlog.py"),
    Tool("python-json-logger", "with_python_json_logger.py"),
    Tool("Powertools", "with_powertools.py"),
    Tool("Powertools, last", "with_powertools_last.py"),
    Tool("ecs-logging", "with_ecs_logging.py"),
    Tool("google-cloud-logging", "with_google_cloud_logging.py"),
    Tool("rich", "with_rich.py"),
    Tool("coloredlogs", "with_coloredlogs.py"),
    Tool("logbook", "with_logbook.py"),
    Tool("eliot", "with_eliot.py"),
    Tool("absl", "with_absl.py"),
    Tool("concurrent-log-handler", "with_concurrent_log_handler.py"),
    Tool("QueueHandler", "with_queue_handler.py"),
    Tool("tqdm", "with_tqdm.py"),
    Tool(
        "pytest",
        "with_pytest.py",
        ("{bin}/pytest", "-q", "-c", os.devnull, "--rootdir", ".", "--noconftest", "{program}"),
        environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    ),
    Tool("asgi-correlation-id", "with_asgi_correlation_id.py"),
    Tool("django-guid", "with_django_guid.py"),
    Tool("django-structlog", "with_django_structlog.py"),
    Tool("Celery", "with_celery.py", broker=True),
    Tool("RQ", "with_rq.py", broker=True),
    Tool("dramatiq", "with_dramatiq.py"),
    Tool("huey", "with_huey.py"),
    Tool("APScheduler", "with_apscheduler.py"),
    Tool(
        "gunicorn",
        "server_shop.py",
        ("{bin}/gunicorn", "server_shop:wsgi", "--bind", "127.0.0.1:{port}", "--no-control-socket"),
        requests=True,
    ),
    Tool(
        "uvicorn",
        "server_shop.py",
        ("{bin}/uvicorn", "server_shop:app", "--port", "{port}"),
        requests=True,
    ),
    Tool(
        "hypercorn",
        "server_shop.py",
        ("{bin}/hypercorn", "server_shop:app", "--bind", "127.0.0.1:{port}"),
        requests=True,
    ),
    Tool(
        "granian",
        "server_shop.py",
        ("{bin}/granian", "--interface", "asgi", "server_shop:app", "--port", "{port}"),
        requests=True,
    ),
]


@dataclass
class Outcome:
    """What one run of a program has left."""

    status: int
    output: list[Any]
    errors: list[Any]
    events: list[Any]
    logged: list[dict[str, str]]
    lines: list[dict[str, Any]]


_VOLATILE = re.compile(
    r"""\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?)?(Z|[+-]\d\d:?\d\d)?  # a time
    | \d\d:\d\d(:\d\d([.,]\d+)?)?  # of a day
    | \b(0x)?(?=[0-9a-f-]*\d)[0-9a-f-]{8,}\b  # an ID, an address
    | \d+\.\d+ | \d{3,}  # a duration, a process ID, a port
    """,
    re.VERBOSE,
)


def steady(value: Any) -> Any:
    """Return *value* with ``~`` for what is another in each run: times, IDs, numbers that are large."""
    if isinstance(value, str):
        return _VOLATILE.sub("~", value)
    if isinstance(value, dict):
        # OpenTelemetry's log records say null where there are no attributes.
        no = {"attributes": {}} if value.get("attributes", ...) is None else {}
        return {key: steady(each) for key, each in {**value, **no}.items()}
    if isinstance(value, list):
        return [steady(each) for each in value]
    if isinstance(value, float) or (type(value) is int and value > 99):
        return "~"
    return value


def parsed(text: str) -> list[Any]:
    """Return each line of *text*, or the JSON object that it is."""

    def read(line: str) -> Any:
        try:
            value = json.loads(line)
        except ValueError:
            value = line
        return steady(value if isinstance(value, dict) else line)

    return [read(line) for line in text.splitlines()]


def extended(before: Any, after: Any) -> set[str] | None:
    """Return the keys that *after* has besides *before*; ``None`` where it differs otherwise."""
    if isinstance(before, dict) and isinstance(after, dict):
        added = after.keys() - before.keys()
        parts = [extended(value, after.get(key, Counter)) for key, value in before.items()]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        added = set()
        parts = [extended(*pair) for pair in zip(before, after, strict=True)]
    else:
        return set() if before == after and type(before) is type(after) else None
    if None in parts:
        return None
    return set(added).union(*(part for part in parts if part))


@dataclass
class Difference:
    """What one list has that another has not."""

    lost: list[Any]
    new: list[Any]
    added: set[str]

    def text(self, one: str, many: str, count: int) -> str:
        """Say it of *count* things."""
        if self.lost or self.new:
            return f"{many}: {len(self.lost)} of {count} missing or changed, {len(self.new)} new"
        kept = f"{count} {one if count == 1 else many}"
        if self.added:
            return f"{kept} the same but for {', '.join(f'`{key}`' for key in sorted(self.added))}"
        return f"{kept} unchanged"


def difference(before: list[Any], after: list[Any]) -> Difference:
    """Compare what a tool emitted without us and with us, in any order."""
    rest = list(after)
    lost, added = [], set[str]()
    for wanted in before:
        if wanted in rest:
            rest.remove(wanted)
        else:
            lost.append(wanted)
    for wanted in list(lost):
        for each in rest:
            keys = extended(wanted, each)
            if keys is not None:
                added |= keys
                rest = [other for other in rest if other is not each]
                lost.remove(wanted)
                break
    return Difference(lost, rest, added)


def cell(alone: Outcome, beside: Outcome) -> str:
    """Return what the table says of *beside*, a run with something of ours, after one without."""
    parts = [_lines(beside)]
    if alone.status != beside.status:
        parts.append(f"exit status {beside.status}, not {alone.status}")
    said = alone.output + alone.errors
    output = difference(said, beside.output + beside.errors)
    if output == Difference([], [], set()):
        parts.append("same output")
    else:
        parts.append(output.text("line of output", "lines of output", len(said)))
    if alone.events or beside.events:
        events = difference(alone.events, beside.events)
        parts.append(events.text("event", "events", len(alone.events)))
    return "; ".join(parts)


def missing(beside: Outcome) -> Counter[str]:
    """Return the messages that the session's file has not, each as often as it has not."""
    return _wanted(beside) - Counter(line["message"] for line in beside.lines)


def _wanted(beside: Outcome) -> Counter[str]:
    return Counter(row["message"] for row in beside.logged)


def _lines(beside: Outcome) -> str:
    wanted = _wanted(beside)
    found = Counter(line["message"] for line in beside.lines if line["message"] in wanted)
    text = f"{wanted.total() - missing(beside).total()} of {wanted.total()} lines"
    traced = {(row["message"], row["trace_id"]) for row in beside.logged if "trace_id" in row}
    if traced:
        same = traced & {(line["message"], line.get("trace_id")) for line in beside.lines}
        text += f", {len(same)} with the trace"
    twice = (found - wanted).total()
    return text + f", {twice} twice" * bool(twice)


def _diagnosis(doctors: Outcome) -> str:
    """Return what ``doctor`` finds wrong where lines are missing."""
    checks = [
        f"`{line['check']}`"
        for line in doctors.output
        if isinstance(line, dict) and line.get("severity") in ("error", "warning")
    ]
    return f" (`doctor`: {', '.join(checks) or 'nothing'})"


def rows(path: Path) -> list[Any]:
    """Return the JSON objects of a file that may be missing."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def row_of(tool: Tool, cells: Iterable[str]) -> str:
    """Return the row of the table."""
    about = ast.get_docstring(ast.parse((PROGRAMS / tool.program).read_text()))
    assert about is not None
    first = " ".join(about.partition("\n\n")[0].split()).removesuffix(".").replace("``", "`")
    return " | ".join(["| " + tool.name, first, *cells]) + " |"


def outcome(tool: Tool, mode: str, directory: Path, command: str = "", **places: str) -> Outcome:
    """Run the program of *tool* in *directory* with something of ours, or nothing: *mode* ``""``.

    A *command* of ours is what starts the program.
    """
    names = {"python": sys.executable, "program": str(PROGRAMS / tool.program), "bin": BIN}
    given = [part.format_map({**names, **places}) for part in tool.command]
    if command == "run" and given[0] == sys.executable:
        del given[0]
    if command:
        given = [sys.executable, "-m", "tracectrl_logging.cli", *OURS[command], *given]
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TRACECTRL_", "OTEL_"))
    }
    environment = {
        **inherited,
        "PATH": os.pathsep.join([BIN, os.environ["PATH"]]),
        "PYTHONPATH": str(PROGRAMS),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "127.0.0.1",
        "BESIDE": mode,
        "BESIDE_DIRECTORY": str(directory),
        "BROKER": places.get("broker", ""),
        "TRACECTRL_TRACE_DIR": str(directory / "traces"),
        **tool.environment,
    }
    with (directory / "stdout").open("wb") as out, (directory / "stderr").open("wb") as err:
        process = subprocess.Popen(
            given,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        try:
            if "port" in places:
                _ask(places["port"], process)
                process.send_signal(signal.SIGTERM)
            status = process.wait(BOUND_S)
        finally:
            process.kill()
            process.wait()
    return Outcome(
        status,
        *(parsed((directory / name).read_text()) for name in ("stdout", "stderr")),
        steady(rows(directory / "events.jsonl")),
        rows(directory / "logged.jsonl"),
        [
            line
            for line in rows(directory / "traces" / "s1.logs.jsonl")
            if line["session_id"] == "s1"
        ],
    )


_databases = iter(range(100, 200))  # as wide as each other, since programs show them


def _ask(port: str, process: subprocess.Popen[bytes]) -> None:
    """Ask for two orders, once the server listens."""
    end = time.monotonic() + BOUND_S
    for order in (1, 2):
        wanted = urllib.request.Request(
            f"http://127.0.0.1:{port}/{order}", headers={"X-TraceCtrl-Session": "s1"}
        )
        while True:
            try:
                with urllib.request.urlopen(wanted, timeout=BOUND_S) as answer:  # noqa: S310
                    answer.read()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.05)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_row(tool: Tool, tmp_path: Path, free_port: Callable[[], int], request: Any) -> None:
    """The table says what the tool does beside us, and we beside it."""

    def run(mode: str = "", command: str = "") -> Outcome:
        directory = tmp_path / f"{mode}-{command}"
        directory.mkdir()
        places = {}
        if tool.requests:
            places["port"] = str(free_port())
        if tool.broker:
            places["broker"] = request.getfixturevalue("broker") + f"/{next(_databases)}"
        return outcome(tool, mode, directory, command, **places)

    alone = run()
    assert 6 == len(alone.logged), alone
    assert bool(alone.events) == _emits(tool), alone
    cells = []
    for mode in ("configure", "handler"):
        beside = run(mode)
        cells.append(cell(alone, beside))
        if missing(beside):
            cells[-1] += _diagnosis(run(mode, "doctor"))
    row = row_of(tool, [*cells, cell(alone, run(command="run"))])
    if os.environ.get("MATRIX_WRITE"):
        _write(tool, row)
    assert row in PAGE.read_text(encoding="utf-8").splitlines()


def _emits(tool: Tool) -> bool:
    """Tell whether the program, or the module that it imports from here, keeps what the tool emits."""
    return any(
        word in (PROGRAMS / tool.program).read_text() for word in ("shop.emit", "django_shop.ask")
    )


def _write(tool: Tool, row: str) -> None:
    """Put *row* into the page, in the place of the tool's row there."""
    order = [each.name for each in TOOLS]
    with PAGE.open("r+", encoding="utf-8") as page:
        fcntl.flock(page, fcntl.LOCK_EX)
        lines = page.read().splitlines()
        rows = [line for line in lines if line.startswith("| ")]
        start = lines.index(rows[0]) + 2  # behind the head and the line below it
        kept = [line for line in rows[1:] if _name(line) in order and _name(line) != tool.name]
        kept = sorted([*kept, row], key=lambda line: order.index(_name(line)))
        page.seek(0)
        page.truncate()
        page.write("\n".join([*lines[:start], *kept, *lines[start + len(rows) - 1 :], ""]))


def _name(row: str) -> str:
    return row.split(" | ", maxsplit=1)[0].removeprefix("| ")


def test_each_row_is_of_a_tool() -> None:
    """The table has a row for each tool, in this order, and no other."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    expected = ["tool", *(tool.name for tool in TOOLS)]
    assert expected == [_name(line) for line in lines if line.startswith("| ")]
