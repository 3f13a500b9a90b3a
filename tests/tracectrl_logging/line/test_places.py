"""Where a line comes from: each way from a logging call to a line."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import logging.config
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import structlog

import tracectrl_logging
from tracectrl.session import session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEYS = (
    *("code.file.path", "code.line.number", "code.function.name"),
    *("process.pid", "thread.name", "host.name"),
)
ON: dict[str, Any] = {"callsite": True, "process": True}


def place_in(row: dict[str, Any]) -> list[Any]:
    """Return what *row* says of its place."""
    return [row[key] for key in KEYS if key in row]


def here(line: int) -> list[Any]:
    """Return the place of a line of the function that asks, *line* lines above the call of this."""
    frame: Any = inspect.currentframe()
    caller = frame.f_back
    place = [caller.f_code.co_filename, caller.f_lineno - line, caller.f_code.co_name]
    return [*place, os.getpid(), threading.current_thread().name, socket.gethostname()]


@pytest.mark.parametrize("background", [False, True])
def test_stdlib(root: Path, lines: Callable[..., Any], *, background: bool) -> None:
    """A record knows; on the plain way, on the general one, behind a formatter of text."""
    handler = tracectrl_logging.SessionFileHandler(root, background=background, **ON)
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    logger.warning("plain")
    places = [here(1)]
    logger.warning({"message": "a dict"})
    places.append(here(1))
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.warning("text")
    places.append(here(1))
    handler.close()

    assert places == [place_in(row) for row in lines()]


def test_what_a_record_says_itself_wins(root: Path, lines: Callable[..., Any]) -> None:
    """An extra of such a name is a record's own; redaction holds for the names, too."""
    handler = tracectrl_logging.SessionFileHandler(root, redact=["host.name"], **ON)
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    logger.warning("own", extra={"code.function.name": "my.fn", "thread.name": None})
    handler.close()

    (row,) = lines()
    assert ("my.fn", None, "[redacted]", os.getpid()) == (
        row["code.function.name"],
        row["thread.name"],
        row["host.name"],
        row["process.pid"],
    )


@pytest.mark.parametrize("option", ["callsite", "process"])
def test_one_of_them(root: Path, lines: Callable[..., Any], option: str) -> None:
    """Each is an option of its own; without any, a line says nothing of it."""
    options: dict[str, Any] = {option: True}
    handler = tracectrl_logging.SessionFileHandler(root, **options)
    plain = tracectrl_logging.SessionFileHandler(root)
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    logger.addHandler(plain)
    logger.warning("said")
    handler.close()
    plain.close()

    expected = here(0)[:3] if option == "callsite" else here(0)[3:]
    first, second = (place_in(row) for row in lines())
    assert [type(it) for it in expected] == [type(it) for it in first]
    assert [] == second


def structlog_to_files(root: Path) -> Any:
    """Return a logger whose events go straight to the files."""
    return structlog.wrap_logger(
        tracectrl_logging.SessionFileLoggerFactory(root)(),
        processors=[
            structlog.contextvars.merge_contextvars,
            tracectrl_logging.add_session_context,
            tracectrl_logging.SessionJSONRenderer(**ON),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )


def configured(root: Path) -> Any:
    """Return structlog's logger where one call has wired all."""
    tracectrl_logging.configure(root, console=None, spans=False, **ON)
    return structlog.get_logger("app")


@pytest.mark.parametrize("made", [structlog_to_files, configured])
def test_structlog(root: Path, lines: Callable[..., Any], made: Callable[[Path], Any]) -> None:
    """The place is the application's, past structlog and what is bound; an own key wins."""
    log = made(root)
    log.info("said", number=1)
    place = here(1)
    log.bind(a=1).warning("own", **{"code.function.name": "mine"})

    first, second = lines()
    assert place == place_in(first)
    assert ("mine", place[1] + 2) == (second["code.function.name"], second["code.line.number"])


@pytest.mark.parametrize("made", [structlog_to_files, configured])
def test_structlog_asynchronously(
    root: Path, lines: Callable[..., Any], made: Callable[[Path], Any]
) -> None:
    """The place of a call that is awaited is where it is awaited."""
    log = made(root)

    async def work() -> list[Any]:
        await log.ainfo("said")
        return here(1)

    place = asyncio.run(work())
    (row,) = lines()
    assert place[:3] == place_in(row)[:3]


def test_json_on_the_console(capfd: pytest.CaptureFixture[str], root: Path) -> None:
    """Machines that read the console are told, people are not."""
    for console in ("json", "text"):
        with tracectrl_logging.configure(root, console=console, spans=False, **ON), session("s"):
            logging.getLogger("app").warning("said")
    shown = capfd.readouterr().err.splitlines()

    assert 6 == len(place_in(json.loads(shown[0])))
    assert "code." not in shown[1]


def test_dict_config(root: Path, lines: Callable[..., Any]) -> None:
    """The dictionary sets them for the handler, and for a console that machines read."""
    config = tracectrl_logging.dict_config(root, console="json", **ON)
    assert {"()": "tracectrl_logging.SessionJsonFormatter", **ON} == config["formatters"]["console"]
    assert ON == {key: config["handlers"]["session"][key] for key in ON}
    config = tracectrl_logging.dict_config(root, callsite=True)
    assert {"()": "tracectrl_logging.console.ConsoleFormatter"} == config["formatters"]["console"]
    logging.config.dictConfig(config)
    logging.getLogger("app").warning("said")
    place = here(1)[:3]

    assert [place] == [place_in(row) for row in lines()]
