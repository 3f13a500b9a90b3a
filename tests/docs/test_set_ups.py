"""The table of set-ups, on README and the first page of the docs: each row does its work as pasted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

TOP = Path(__file__).parents[2]
SID = "order-4711"
CONFIGURE = "import tracectrl_logging; tracectrl_logging.configure(console=None)\n"
LOG = "import logging\nlog = logging.getLogger('shop')\n"
HEADERS = "headers = {'X-TraceCtrl-Session': 'order-4711'}\n"

# What stands around the line; "LINE" is where it is pasted. A row without a program is a command.
PROGRAMS: Mapping[str, tuple[str, str]] = {
    "`logging` or structlog": (
        "structlog",
        (
            "LINE\nimport structlog\nfrom tracectrl.session import session\n"
            "with session('order-4711'):\n    structlog.get_logger('shop').info('packed')\n"
        ),
    ),
    "loguru": (
        "loguru",
        (
            "from loguru import logger\nlogger.remove()\nLINE\nfrom tracectrl.session import session\n"
            "with session('order-4711'):\n    logger.info('packed')\n"
        ),
    ),
    "logging by `dictConfig`": (
        "logging",
        (
            "import logging.config\nfrom tracectrl.session import session\n"
            "logging.config.dictConfig({'version': 1, 'handlers': {\nLINE\n},"
            " 'root': {'level': 'INFO', 'handlers': ['session']}})\n"
            "with session('order-4711'):\n    logging.getLogger('shop').info('packed')\n"
        ),
    ),
    "a piece of work in your code": (
        "logging",
        f"{CONFIGURE}{LOG}from tracectrl.session import session\nLINE\n    log.info('packed')\n",
    ),
    "a function that begins one at each call": (
        "logging",
        (
            f"{CONFIGURE}{LOG}from tracectrl.session import session\n"
            "LINE\ndef work():\n    log.info('packed')\nwork()\n"
        ),
    ),
    "FastAPI, Starlette": (
        "fastapi",
        (
            f"import fastapi\n{CONFIGURE}{LOG}app = fastapi.FastAPI()\nLINE\n"
            "@app.get('/')\ndef index():\n    log.info('packed')\n"
            f"import asyncio, httpx\n{HEADERS}"
            "web = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url='http://shop')\n"
            "asyncio.run(web.get('/', headers=headers))\n"
        ),
    ),
    "Flask": (
        "flask",
        (
            f"import flask\n{CONFIGURE}{LOG}app = flask.Flask('shop')\nLINE\n"
            "@app.get('/')\ndef index():\n    log.info('packed')\n    return ''\n"
            f"{HEADERS}app.test_client().get('/', headers=headers).get_data()\n"
        ),
    ),
    "Django": (
        "django",
        (
            f"import django\nfrom django.conf import settings\n{CONFIGURE}{LOG}"
            "MIDDLEWARE = ['django.middleware.common.CommonMiddleware']\nLINE\n"
            "settings.configure(MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF='__main__', ALLOWED_HOSTS=['*'],"
            " LOGGING_CONFIG=None)\ndjango.setup()\n"
            "from django.http import HttpResponse\nfrom django.urls import path\n"
            "def index(request):\n    log.info('packed')\n    return HttpResponse()\n"
            "urlpatterns = [path('', index)]\nfrom django.test import Client\n"
            f"{HEADERS}Client().get('/', headers=headers)\n"
        ),
    ),
    "a call to another service": (
        "httpx",
        (
            "import http.server, httpx, threading\n"
            f"{CONFIGURE}{LOG}from tracectrl.context import remote_session\n"
            "from tracectrl.session import session\n"
            "class Handler(http.server.BaseHTTPRequestHandler):\n"
            "    def do_GET(self):\n        with remote_session(self.headers):\n"
            "            log.info('packed')\n        self.send_response(200)\n        self.end_headers()\n"
            "server = http.server.HTTPServer(('127.0.0.1', 0), Handler)\n"
            "threading.Thread(target=server.handle_request).start()\n"
            "url = f'http://127.0.0.1:{server.server_port}/'\n"
            "with session('order-4711'):\n    LINE\nserver.server_close()\n"
        ),
    ),
    "a pool of threads": (
        "logging",
        (
            f"{CONFIGURE}{LOG}from tracectrl.session import session\nLINE\n"
            "with ThreadPoolExecutor() as pool, session('order-4711'):\n"
            "    pool.submit(log.info, 'packed').result()\n"
        ),
    ),
    "Celery": (
        "celery",
        (
            f"import celery\n{CONFIGURE}{LOG}LINE\nfrom tracectrl.session import session\n"
            "app = celery.Celery('shop', broker='memory://', backend='cache+memory://')\n"
            "@app.task\ndef pack():\n    log.info('packed')\n"
            "from celery.contrib.testing.worker import start_worker\n"
            "with start_worker(app, perform_ping_check=False, shutdown_timeout=30):\n"
            "    with session('order-4711'):\n        pack.delay().get(timeout=30)\n"
        ),
    ),
}
COMMANDS = {
    "a program that stays as it is": ("logging", f"{LOG}log.warning('packed')\n"),
    "`opentelemetry-instrument`": (
        "opentelemetry.distro",
        (
            f"{LOG}from tracectrl.session import session\n"
            "with session('order-4711'):\n    log.warning('packed')\n"
        ),
    ),
    "pytest": ("pytest", f"{LOG}def test_order():\n    log.warning('packed')\n"),
}
ELSEWHERE = {"a coding agent": "tests/tracectrl_logging/mcp"}


def rows_of(page: str) -> dict[str, str]:
    """Return the rows of the table on *page*, a line for each thing that one may have."""
    text = (TOP / page).read_text(encoding="utf-8")
    table = re.findall(
        r"^\| you have \| you write \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE
    )
    (rows,) = table
    return dict(re.findall(r"^\| (.+?) \| `(.+)` \|$", rows, re.MULTILINE))


ROWS = rows_of("README.md")


def test_one_table() -> None:
    """Both pages show the same rows, and each row is tried."""
    assert ROWS == rows_of("docs/index.md")
    assert ROWS.keys() == PROGRAMS.keys() | COMMANDS.keys() | ELSEWHERE.keys()


def run(command: list[str], cwd: Path) -> None:
    """Run *command* as somebody who has just installed the package."""
    kept = {key: value for key, value in os.environ.items() if key.startswith("COVERAGE_")}
    # Who has opentelemetry-instrument has said where its signals go.
    kept |= {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**kept, "PATH": path, "HOME": str(cwd)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == done.returncode, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr


def packed(root: Path) -> list[str]:
    """Return the sessions of the lines that say so."""
    lines = [line for path in root.glob("*.logs.jsonl") for line in path.read_text().splitlines()]
    rows = map(json.loads, lines)
    return [row["session_id"] for row in rows if row["message"] == "packed"]


@pytest.mark.parametrize("have", PROGRAMS)
def test_line_of_a_program(have: str, tmp_path: Path) -> None:
    """A line that is pasted into a program has what is logged land in its session's file."""
    package, program = PROGRAMS[have]
    pytest.importorskip(package, reason="the environment matrix has it")
    (tmp_path / "app.py").write_text(program.replace("LINE", ROWS[have]), encoding="utf-8")
    run([sys.executable, "app.py"], tmp_path)

    (sid,) = packed(tmp_path / "traces")
    assert sid == SID or ("each call" in have and len(sid) == 36)


@pytest.mark.parametrize("have", COMMANDS)
def test_line_of_a_shell(have: str, tmp_path: Path) -> None:
    """A line that is pasted into a shell does the same for a program that knows nothing of it."""
    package, program = COMMANDS[have]
    pytest.importorskip(package, reason="the environment matrix has it")
    (tmp_path / ("test_app.py" if have == "pytest" else "app.py")).write_text(program)
    run(["bash", "-c", ROWS[have]], tmp_path)
    (sid,) = packed(next(path for path in tmp_path.iterdir() if path.is_dir() and packed(path)))

    assert ("test_app.py::test_order" if have == "pytest" else SID) == sid
