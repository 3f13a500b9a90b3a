"""loguru in a captured program is as it configured it, and its records are in the session's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.tracectrl_logging.conftest import Twins

pytest.importorskip("loguru")

START = """
    import sys
    from loguru import logger
    logger.remove()
    FORMAT = "{level} {name}:{function}:{line} {message} {extra}"
"""


def messages(twins: Twins) -> list[str]:
    """Return the messages that were captured."""
    return [row["message"] for row in twins.logs()]


def test_records(twins: Twins) -> None:
    """What the program's sinks may show is captured, as it is said; what it shows stays the same."""
    twins.same(
        START
        + """
    print(logger.add(sys.stdout, format=FORMAT, level="INFO", diagnose=False))
    def work():
        logger.debug("not made")
        logger.bind(n=1).info("one {}", "word")
        logger.opt(lazy=True).success("two {}", lambda: "lazy")
        with logger.catch(message="caught"):
            1 / 0
    with logger.contextualize(user="u"):
        work()
    logger.disable("__main__")
    logger.error("disabled")
    logger.enable("__main__")
    logger.patch(lambda record: record.update(message="masked")).info("secret")
    try:
        logger.log("NONE", "no such level")
    except ValueError as error:
        print(error)
    """
    )
    rows = twins.logs()
    assert ["one word", "two lazy", "caught", "masked"] == [row["message"] for row in rows]
    assert ("INFO", 1, "u") == (rows[0]["level"], rows[0]["n"], rows[0]["user"])
    assert ("SUCCESS", 12) == (rows[1]["level"], rows[1]["severity_number"])
    assert "ZeroDivisionError" == rows[2]["exception"]["type"]


def test_a_program_that_removes_its_sinks(twins: Twins) -> None:
    """What is logged while nothing may show it is not made, as without us."""
    twins.same(START + "    logger.info('nobody')\n    print('done')\n")
    assert [] == messages(twins)


def test_one_line_where_a_record_comes_by_twice(twins: Twins) -> None:
    """From logging to loguru and from loguru to logging: one line."""
    twins.same(
        START
        + """
    import logging
    class Intercept(logging.Handler):
        def emit(self, record):
            logger.opt(depth=6).log(record.levelname, record.getMessage())
    class Propagate(logging.Handler):
        def emit(self, record):
            logging.getLogger("loguru." + record.name).handle(record)
    logger.add(sys.stdout, format=FORMAT, filter=lambda record: "out" not in record["extra"])
    logger.add(Propagate(), format="{message}", filter=lambda record: "out" in record["extra"])
    logging.basicConfig(handlers=[Intercept()], level=0)
    logging.getLogger("app").warning("in")
    logging.getLogger("loguru").propagate = False
    logger.bind(out=1).warning("out")
    """
    )
    assert ["in", "out"] == messages(twins)


def test_a_sink_of_ours(twins: Twins) -> None:
    """A program that writes loguru's records itself is left to do so; its other records are captured."""
    twins.same(
        START
        + """
    import logging, os
    from tracectrl_logging.loguru import SessionFileSink
    logger.add(SessionFileSink(os.environ.get("TRACECTRL_TRACE_DIR", "traces")))
    logger.warning("once")
    logging.warning("plain")
    """
    )
    assert ["once", "plain"] == sorted(messages(twins))
