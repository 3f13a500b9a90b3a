"""The matrix, Django's ``MIDDLEWARE``: the site of ``docs/how-to/django.md``, read from there."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("django", reason="it is what is tested")

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = (Path(__file__).parents[2] / "docs/how-to/django.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```py title=\"([^\"]+)\"\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
LOGGING = re.findall(r"^```py\n(from tracectrl_logging.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[0]
STRUCTLOG = """
INSTALLED_APPS += ["django_structlog"]
MIDDLEWARE += ["django_structlog.middlewares.RequestMiddleware"]
"""
COMMANDS = {
    "gunicorn": ("application:wsgi", "--bind", "127.0.0.1:{port}", "--threads", "8"),
    "uvicorn": ("application:asgi", "--port", "{port}", "--lifespan", "off"),
}
LINES = {
    "/orders/7": ["asked for 7"],
    "/stock": ["counting"],
    "/export": ["exporting 0", "exporting 1", "exporting 2"],
    "/broken": ["Internal Server Error: /broken"],
}


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., Path]:
    """Return the function that writes the site to a directory, some of its files in another way."""

    def write(**settings: str) -> Path:
        files = {**FILES, **{f"{name}.py": text for name, text in settings.items()}}
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent != tmp_path:
                (path.parent / "__init__.py").touch()  # as startapp makes it
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize("server", [*COMMANDS])
async def test_each_request_in_its_session(
    server: str,
    site: Callable[..., Path],
    serve: Callable[..., Any],
    fetch_all: Callable[..., Any],
    new_ids: Callable[..., list[str]],
    wait_for: Callable[..., None],
    traces: Callable[..., Any],
) -> None:
    """Sync, async, streamed and failing views, beside django-structlog, on a real server."""
    pytest.importorskip(server, reason="it is the server")
    pytest.importorskip("django_structlog", reason="it is beside")
    extra = ("--no-control-socket",) if server == "gunicorn" else ()
    program = serve(
        *("-m", server, *COMMANDS[server], *extra),
        cwd=site(settings=FILES["settings.py"] + STRUCTLOG),
    )
    for path, messages in LINES.items():
        ids = new_ids(200 if path == "/orders/7" else 50)
        answers = await fetch_all(program.port, path, ids)
        status = 500 if path == "/broken" else 200
        assert [(status, [sid]) for sid in ids] == [(it.status, it.sessions) for it in answers]

        def found(ids: list[str] = ids) -> dict[str, list[str]]:
            rows = traces(program.root, ids).logs
            own = [row for row in rows if row["logger"] in ("orders.views", "django.request")]
            return {sid: [it["message"] for it in own if it["session_id"] == sid] for sid in ids}

        wait_for(
            lambda found=found, messages=messages: (
                sum(map(len, found().values())) >= len(messages) * len(found())
            ),
            f"lines of {path} are missing",
        )
        assert dict.fromkeys(ids, messages) == found()
        beside = Counter(
            row["session_id"]
            for row in traces(program.root, ids).logs
            if row["message"] == "request_started" and "request_id" in row
        )
        assert Counter(ids) == beside


@pytest.mark.parametrize("around", ["SessionMiddleware", "SessionWSGIMiddleware"])
async def test_with_a_middleware_around(
    around: str,
    site: Callable[..., Path],
    serve: Callable[..., Any],
    fetch: Callable[..., Any],
    traces: Callable[..., Any],
) -> None:
    """Both have one session, also where it is minted, and what was decided is not decided again."""
    name = "wsgi" if "WSGI" in around else "asgi"
    server = "gunicorn" if name == "wsgi" else "uvicorn"
    pytest.importorskip(server, reason="it is the server")
    wrapped = f"\nfrom tracectrl.middleware import {around}\n{name} = {around}({name}, aliases=['visit'])\n"
    extra = ("--no-control-socket",) if server == "gunicorn" else ()
    program = serve(
        *("-m", server, *COMMANDS[server], *extra),
        cwd=site(application=FILES["application.py"] + wrapped),
    )
    minted = await fetch(program.port, "/orders/1")
    named = await fetch(program.port, "/orders/2", ("visit", "visit-1"))

    assert ["visit-1"] == named.sessions
    (sid,) = minted.sessions
    rows = [row for row in traces(program.root).logs if row["logger"] == "orders.views"]
    expected = [(sid, "asked for 1"), ("visit-1", "asked for 2")]
    assert sorted(expected) == sorted((row["session_id"], row["message"]) for row in rows)


async def test_the_options(
    site: Callable[..., Path], serve: Callable[..., Any], fetch: Callable[..., Any]
) -> None:
    """The setting has those of the other middlewares."""
    pytest.importorskip("gunicorn", reason="it is the server")
    options = "\nTRACECTRL_MIDDLEWARE = {'policy': 'reject', 'max_length': 5}\n"
    program = serve(
        *("-m", "gunicorn", *COMMANDS["gunicorn"], "--no-control-socket"),
        cwd=site(settings=FILES["settings.py"] + options),
    )
    good = await fetch(program.port, "/stock", ("X-Session-Id", "visit"))
    bad = await fetch(program.port, "/stock", ("X-Session-Id", "a-longer-one"))

    assert (200, ["visit"]) == (good.status, good.sessions)
    assert 400 == bad.status
    assert b"longer than 5 characters" in bad.body
    assert ["a-longer-one"] != bad.sessions


@pytest.mark.parametrize("how", ["configure", "LOGGING"])
def test_commands_and_tests(
    how: str,
    site: Callable[..., Path],
    start: Callable[..., Any],
    traces: Callable[..., Any],
) -> None:
    """The page's tests pass, and its management command is in its session."""
    settings = FILES["settings.py"]
    if how == "LOGGING":
        settings = settings.partition("LOGGING_CONFIG")[0] + LOGGING
    directory = site(settings=settings)
    done = start("manage.py", "test", cwd=directory)
    text = done.wait()
    assert 0 == done.process.returncode, text
    assert "Ran 2 tests" in text
    command = start("manage.py", "restock", cwd=directory, root=directory / "traces")
    assert 0 == (command.wait(), command.process.returncode)[1], command.text()
    rows = [row for row in traces(directory / "traces").logs if row["logger"] == "orders.restock"]
    assert [("restock", "ordering shelves")] == [(it["session_id"], it["message"]) for it in rows]
