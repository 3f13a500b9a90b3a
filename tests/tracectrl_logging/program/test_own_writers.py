"""A captured program that writes session files itself is left to do so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.tracectrl_logging.conftest import Twins

SID = "session-1"


@pytest.mark.parametrize(
    "call",
    [
        "tracectrl_logging.configure(console=None)",
        "logging.config.dictConfig(tracectrl_logging.dict_config(console=None))",
        "logging.getLogger().addHandler(tracectrl_logging.SessionFileHandler(redact=['n']))",
    ],
)
def test_program_that_writes_session_files_itself_is_left_alone(twins: Twins, call: str) -> None:
    """Each line is in the file once, as the program's own set-up writes it."""
    source = f"""
        import logging, logging.config, tracectrl_logging
        from opentelemetry import trace
        {call}
        with trace.get_tracer("app").start_as_current_span("work"):
            logging.getLogger("app").warning("once", extra={{"n": 1}})
    """
    twins.same(source)
    assert [("WARNING", "app", "once")] == twins.messages()
    assert ["[redacted]" if "redact" in call else 1] == [row["n"] for row in twins.logs()]
    assert ["work"] == [span["name"] for span in twins.spans()]


def test_program_with_files_of_its_own_elsewhere_is_captured(twins: Twins) -> None:
    """Another trace directory of the program's own is none of ours."""
    source = """
        import logging, tracectrl_logging
        logging.getLogger().addHandler(tracectrl_logging.SessionFileHandler("elsewhere"))
        logging.getLogger("app").warning("both")
    """
    twins.same(source)
    assert [("WARNING", "app", "both")] == twins.messages()
    assert 1 == len((twins.directory / "elsewhere" / f"{SID}.logs.jsonl").read_bytes().splitlines())
