"""Fixtures for the journeys: from a request to the files."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

import tracectrl_logging
from tracectrl.files import session_id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    ReadLines = Callable[[Path], list[dict[str, Any]]]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, Any, Any]:
    """Run a test without pytest's own handlers: an application has none."""
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        for handler in list(getattr(logger, "handlers", ())):
            if type(handler).__module__.startswith("_pytest."):
                logger.removeHandler(handler)  # type: ignore[union-attr]
    return (yield)


@pytest.fixture
def configured(root: Path) -> tracectrl_logging.Configuration:
    """Configure everything, without the console; the reset after the test shuts it down."""
    return tracectrl_logging.configure(root, console=None)


class Stored:
    """What the files hold."""

    def __init__(self, root: Path, read_lines: ReadLines) -> None:
        self._root = root
        self._read_lines = read_lines

    def logs(self, *loggers: str) -> dict[str, list[dict[str, Any]]]:
        """Return the log lines of *loggers* by session."""
        return self._rows("logs", lambda row: row["logger"] in loggers)

    def spans(self, *scopes: str) -> dict[str, list[dict[str, Any]]]:
        """Return the spans of *scopes* by session; frameworks may have spans of their own."""
        return self._rows("spans", lambda row: row["scope"] in scopes)

    def messages(self, *loggers: str) -> dict[str, list[str]]:
        """Return the messages of *loggers* by session."""
        return {sid: [row["message"] for row in rows] for sid, rows in self.logs(*loggers).items()}

    def _rows(
        self, kind: str, wanted: Callable[[dict[str, Any]], bool]
    ) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for path in self._root.glob(f"*.{kind}.jsonl"):
            sid = session_id_of(path)
            # On a busy machine a span may be open for so long that a line says so.
            rows = [row for row in self._read_lines(path) if row.get("state") != "open"]
            assert {row["session_id"] for row in rows} <= {sid}
            for row in rows:
                assert not re.search(r'_id": "0+"', json.dumps(row)), row
                if wanted(row):
                    found.setdefault(sid, []).append(row)
        return found


@pytest.fixture
def stored(root: Path, read_lines: ReadLines) -> Stored:
    """Return what the files hold; each line is checked to be in its own session's file."""
    return Stored(root, read_lines)


@contextlib.contextmanager
def _serving(application: Any) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(application, lifespan="off", ws="none", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture
def serving() -> Callable[[Any], AbstractContextManager[str]]:
    """Return the context manager that serves an application on a free loopback port."""
    return _serving
