"""The access logs of the servers: each line in the session of its request.

The settings are those of ``docs/how-to/http.md``, read from there.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

SESSIONS = 200
PAGE = (Path(__file__).parents[2] / "docs/how-to/http.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n## Access logs\n")[2].partition("\n## ")[0]
FILES = dict(
    re.findall(r"^```\w+ title=\"([^\"]+)\"\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
)
COMMANDS = {
    line.split()[0]: line.split()[1:]
    for line in re.findall(r"^```sh\n(.+)\n```$", SECTION, re.MULTILINE)
}
IN_CODE = 'uvicorn.run("shop:app", log_config=None)'
BIND = {
    "uvicorn": ("--port", "{port}"),
    "hypercorn": ("--bind", "127.0.0.1:{port}"),
    "gunicorn": ("--bind", "127.0.0.1:{port}", "--threads", "8", "--no-control-socket"),
}


@pytest.fixture
def documented(serve: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Return the function that starts a server in a directory with the documented files."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    def run(*args: str) -> Any:
        return serve(*args, cwd=tmp_path)

    return run


def access_of(program: Any, traces: Any, logger: str) -> Counter[str]:
    """Return how many access lines each session has."""
    return Counter(
        row["session_id"] for row in traces(program.root).logs if row["logger"] == logger
    )


async def assert_access_lines(
    program: Any, new_ids: Any, fetch_all: Any, traces: Any, wait_for: Any, logger: str
) -> None:
    """Assert that each of many requests at a time has its access line, and each its own."""
    ids = new_ids(SESSIONS)

    answers = await fetch_all(program.port, "/stock", ids)

    assert [(204, [sid]) for sid in ids] == [(each.status, each.sessions) for each in answers]
    # Servers write it when the answer is already on its way.
    wait_for(lambda: access_of(program, traces, logger).total() >= SESSIONS, "lines are missing")
    assert Counter(ids) == access_of(program, traces, logger)
    lines = [row for row in traces(program.root, ids).logs if row["logger"] == logger]
    assert all("/stock" in row["message"] and "204" in row["message"] for row in lines)
    shop = Counter(row["session_id"] for row in traces(program.root, ids).logs if row not in lines)
    assert Counter(ids) == shop


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn", "gunicorn"])
async def test_the_documented_command(
    documented: Any, new_ids: Any, fetch_all: Any, traces: Any, wait_for: Any, server: str
) -> None:
    """With the documented file, each access line is in the session of its request."""
    pytest.importorskip(server, reason="it is the server")
    program = documented("-m", server, *COMMANDS[server], *BIND[server])

    await assert_access_lines(program, new_ids, fetch_all, traces, wait_for, f"{server}.access")


async def test_uvicorn_in_code(
    documented: Any, new_ids: Any, fetch_all: Any, traces: Any, wait_for: Any
) -> None:
    """With ``log_config=None``, as documented, there is no need for a file."""
    pytest.importorskip("uvicorn", reason="it is the server")
    assert f"`{IN_CODE}`" in SECTION
    program = documented("-c", f"import uvicorn; {IN_CODE[:-1]}, port={{port}})")

    await assert_access_lines(program, new_ids, fetch_all, traces, wait_for, "uvicorn.access")


async def test_gunicorn_with_its_asgi_worker(
    documented: Any, new_ids: Any, fetch_all: Any, traces: Any, wait_for: Any
) -> None:
    """Its access lines, written when the application has ended, are of no session: not another's."""
    gunicorn = pytest.importorskip("gunicorn", reason="it is the server")
    if gunicorn.version_info < (24, 0):
        pytest.skip("this gunicorn has no ASGI worker")
    ids = new_ids(20)
    command = [part.replace("wsgi", "app") for part in COMMANDS["gunicorn"]]
    program = documented("-m", "gunicorn", *command, "--worker-class", "asgi", *BIND["gunicorn"])

    answers = await fetch_all(program.port, "/stock", ids)

    assert [(204, [sid]) for sid in ids] == [(each.status, each.sessions) for each in answers]
    wait_for(
        lambda: access_of(program, traces, "gunicorn.access").total() >= 20, "lines are missing"
    )
    assert {"unknown": 20} == access_of(program, traces, "gunicorn.access")


@pytest.mark.parametrize(
    ("server", "path"),
    [
        ("uvicorn", "/added/nothing"),
        ("hypercorn", "/added/nothing"),
        ("gunicorn", "/flask/nothing"),
        ("gunicorn", "/django/nothing"),
    ],
)
async def test_within_a_framework(
    request: pytest.FixtureRequest,
    new_ids: Any,
    fetch_all: Any,
    traces: Any,
    wait_for: Any,
    server: str,
    path: str,
) -> None:
    """The same where the middleware is added to a framework's application."""
    program = request.getfixturevalue(server)
    ids = new_ids(40)

    def access() -> Counter[str]:
        rows = traces(program.root, ids).logs
        return Counter(
            row["session_id"]
            for row in rows
            if row["logger"] == f"{server}.access" and path in row["message"]
        )

    await fetch_all(program.port, path, ids)

    wait_for(lambda: access().total() >= len(ids), "access lines are missing")
    assert Counter(ids) == access()
