"""Each row that a command prints with ``--json`` is as the schema in the docs says."""

from __future__ import annotations

import importlib
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import pytest
from click.testing import CliRunner
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tracectrl.exporter import FileSpanExporter
from tracectrl.processor import SessionSpanProcessor
from tracectrl.session import session
from tracectrl_logging import SessionFileHandler
from tracectrl_logging.cli.group import group

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs" / "reference"
SCHEMAS = {
    path.name: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((DOCS / "schemas").glob("*.json"))
}

# What is run, and the schema of its rows; a command may stand here several times.
RUNS = [
    ("sessions", "sessions.json"),
    ("show rich otlp", "show.json"),
    ("show unknown", "show.json"),
    ("show rich --conversation", "show-conversation.json"),
    ("why rich", "why.json"),
    ("diff rich unknown", "diff.json"),
    ("grep .", "grep.json"),
    ("grep -c .", "grep-count.json"),
    ("grep -l .", "grep-session-ids.json"),
    ("tail rich", "tail.json"),
    ("doctor", "doctor.json"),
    ("prune --keep 0", "prune.json"),
    ("prune --keep 0 --dry-run", "prune.json"),
    ("compress --idle 0s", "compress.json"),
    ("compress --idle 0s --dry-run", "compress.json"),
]
FREE_FORM: dict[str, str] = {"query": "a row has the columns that the SQL names"}
PARTS = {"log.json", "span.json"}
COMPACT = "compact.json"
COMPACT_COMMANDS = {"sessions", "show", "grep", "tail"}


def with_json() -> list[str]:
    """Return the names of the commands that have the option ``--json``."""
    with click.Context(group) as ctx:
        commands = {name: group.get_command(ctx, name) for name in group.list_commands(ctx)}
    return [
        name
        for name, command in commands.items()
        if command is not None and any("--json" in param.opts for param in command.params)
    ]


@pytest.fixture
def stored(root: Path) -> Iterator[Path]:
    """Have sessions with everything in them that a line may hold; return the root."""
    handler = SessionFileHandler(root, level=logging.DEBUG)
    logger = logging.getLogger("schemas")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    forms: list[tuple[str, Literal["flat", "otlp"]]] = [("rich", "flat"), ("otlp", "otlp")]
    for sid, form in forms:
        provider = TracerProvider(
            resource=Resource({"service.name": "api"}), shutdown_on_exit=False
        )
        provider.add_span_processor(SessionSpanProcessor())
        provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(root, format=form)))
        tracer = provider.get_tracer("tests")
        with session(sid), tracer.start_as_current_span("outer") as outer:
            outer.add_event("event", {"n": 1})
            said = '[{"role":"assistant","parts":[{"type":"tool_call","name":"x"},"y"]}]'
            outer.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.output.messages": said})
            outer.set_attributes({"gen_ai.prompt.0.content": "hello", "llm.token_count.prompt": 3})
            link = trace.Link(outer.get_span_context(), {"k": [1, 2]})
            with tracer.start_as_current_span("inner", kind=trace.SpanKind.CLIENT, links=[link]):
                logger.info("inside", extra={"type": "own", "list": [1, None], "level_": {}})
            outer.set_status(trace.StatusCode.ERROR, "bad")
            try:
                msg = "no"
                raise ValueError(msg)  # noqa: TRY301 - it is what is logged
            except ValueError:
                logger.exception("failed", stack_info=True)
            logger.log(25, "a level without a name")
        provider.shutdown()
    logger.debug("outside")
    handler.close()
    yield root
    logger.handlers.clear()


def validator(name: str) -> Any:
    """Return what checks rows against the schema *name*."""
    jsonschema = importlib.import_module("jsonschema")  # it ships no types
    referencing = importlib.import_module("referencing")
    resources = {key: referencing.Resource.from_contents(schema) for key, schema in SCHEMAS.items()}
    registry = referencing.Registry().with_resources(resources.items())
    return jsonschema.Draft202012Validator(SCHEMAS[name], registry=registry)


def test_every_command_has_a_schema() -> None:
    """A command with ``--json`` is run here, or is free of form; each schema is for something."""
    assert set(with_json()) <= {command.split()[0] for command, _ in RUNS} | set(FREE_FORM)
    assert set(SCHEMAS) == {schema for _, schema in RUNS} | PARTS | {COMPACT}


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas(name: str) -> None:
    """A schema is one of draft 2020-12, and the page links to it."""
    schema = SCHEMAS[name]
    assert "https://json-schema.org/draft/2020-12/schema" == schema["$schema"]
    validator(name).check_schema(schema)
    assert f"[{name}](schemas/{name})" in (DOCS / "json.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("command", "schema"), RUNS)
def test_rows(command: str, schema: str, stored: Path) -> None:
    """Every row is valid, and there are some."""
    name, *args = command.split()
    if name not in with_json():
        pytest.skip(f"{name} is no command yet")
    result = CliRunner().invoke(group, ["--root", str(stored), name, *args, "--json"])
    assert (0, "") == (result.exit_code, result.stderr)
    rows = [json.loads(line) for line in result.stdout_bytes.splitlines()]
    assert rows
    checks = validator(schema)
    for row in rows:
        checks.validate(row)


@pytest.mark.parametrize("command", [it for it, _ in RUNS if it.split()[0] in COMPACT_COMMANDS])
def test_compact_rows(command: str, stored: Path) -> None:
    """Each line is as its schema says, and what they stand for are the rows of ``--json``."""
    name, *args = command.split()
    ask = ["--root", str(stored), name, *args, "--format"]
    result = CliRunner().invoke(group, [*ask, "compact"])
    assert (0, "") == (result.exit_code, result.stderr)
    checks, columns, rows = validator(COMPACT), {}, []
    for line in map(json.loads, result.stdout_bytes.splitlines()):
        checks.validate(line)
        if isinstance(line, dict):
            columns[line["columns"][0]] = line["columns"][1:]
        else:
            rows.append(dict(zip(columns[line[0]], line[1:], strict=True)))
    expected = CliRunner().invoke(group, [*ask, "json"]).stdout_bytes.splitlines()
    assert list(map(json.loads, expected)) == rows


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"type": "log"},
        {"type": "span", "name": "x"},
        {"type": "other"},
    ],
)
def test_what_is_wrong_is_refused(row: dict[str, Any]) -> None:
    """The schemas are not so wide that anything passes."""
    assert not validator("show.json").is_valid(row)
    assert not validator("sessions.json").is_valid(row)
    assert not validator("prune.json").is_valid(row)
    assert not validator(COMPACT).is_valid(row)


def test_page_names_every_command() -> None:
    """The page has a row for each command with ``--json`` that is not free of form."""
    page = (DOCS / "json.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `([a-z]+) ", page, re.MULTILINE))
    assert set(with_json()) - set(FREE_FORM) <= named
