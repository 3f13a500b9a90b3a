"""The shape of a line: severities by number and in every spelling, lines of others under our keys."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tracectrl import schema
from tracectrl._time import time_of

ERRORS = (
    *("ERROR", "error", "Error", "err", "ERR", "exception", "SEVERE", "critical", "CRITICAL"),
    *("crit", "FATAL", "fatal", "FTL", "emerg", "EMERGENCY", "alert", "panic", "ERROR3", "FATAL4"),
)
OTHERS = (
    *("DEBUG", "debug", "INFO", "info", "Information", "inf", "warn", "WARN", "WARNING", "warning"),
    *("trace", "TRACE", "notice", "SUCCESS", "success", "verbose", "INFO2", "WARN4"),
)


@pytest.mark.parametrize("name", ERRORS)
def test_error_names(name: str) -> None:
    """Whatever another library calls an error is one."""
    assert schema.is_error({"level": name})
    assert name.upper() in schema.ERROR_NAMES


@pytest.mark.parametrize("name", OTHERS)
def test_other_names(name: str) -> None:
    """Names below ERROR are known, and are no errors."""
    assert 0 < schema.severity({"level": name}) < schema.ERROR
    assert name.upper() not in schema.ERROR_NAMES


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"level": "AUDIT", "severity_number": 20}, 20),
        ({"level": "ERROR", "severity_number": 3}, 17),
        ({"level": "\x1b[31mERROR\x1b[0m", "severity_number": 17}, 17),
        ({"level": 40}, 17),
        ({"level": 45}, 20),
        ({"level": 30.0}, 13),
        ({"level": 3}, 17),  # syslog's
        ({"level": 7}, 5),
        ({"level": "AUDIT"}, 0),
        ({"level": True}, 0),
        ({"level": ["ERROR"]}, 0),
        ({"level": -5}, 0),
        ({"level": float("nan")}, 0),
        ({"level": "x", "severity_number": 25}, 0),
        ({"level": "x", "severity_number": "17"}, 0),
        ({}, 0),
    ],
)
def test_severity(row: dict[str, Any], expected: int) -> None:
    """The level says it where it is one of the five, else the number, else any spelling."""
    assert expected == schema.severity(row)


def test_numbers() -> None:
    """The five have OpenTelemetry's numbers; those between count up and never reach the next."""
    five = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
    assert [5, 9, 13, 17, 21] == [schema.severity_of_number(number) for number in five]
    ranks = [schema.severity_of_number(number) for number in range(200)]
    assert sorted(ranks) == ranks
    assert (0, 24) == (ranks[0], ranks[-1])
    assert 12 == schema.severity_of_number(25)
    assert {"level": "ERROR"} == schema.level_keys(*schema.level_and_rank(40, "anything"))
    assert {"level": "AUDIT", "severity_number": 20} == schema.level_keys(
        *schema.level_and_rank(45, "AUDIT")
    )
    assert {"level": "NOTSET"} == schema.level_keys(*schema.level_and_rank(0, "NOTSET"))


@pytest.mark.parametrize(
    ("number", "name", "expected"),
    [
        (40, "\x1b[31mERROR\x1b[0m", ("ERROR", 0)),
        (25, "SUCCESS", ("SUCCESS", 12)),
        (0, "INFO", ("INFO", 0)),
        (0, "NOTICE", ("NOTICE", 10)),
        (None, "warn", ("warn", 13)),
        ([], "mine", ("mine", 0)),
        (True, None, (None, 0)),
    ],
)
def test_levels_of_records(number: object, name: object, expected: tuple[object, int]) -> None:
    """A renamed standard level is still that level; a level of a name of its own keeps its rank."""
    assert expected == schema.level_and_rank(number, name)


def test_texts() -> None:
    """Each severity has OpenTelemetry's short name, which is read as that severity."""
    for number in range(1, 25):
        assert number == schema.severity_of_name(schema.text_of_severity(number))


FOREIGN: dict[str, tuple[dict[str, Any], str | None]] = {
    "structlog": ({"event": "boom", "level": "error", "timestamp": "2026-02-03T09:15:27Z"}, None),
    "python-json-logger": (
        {
            "asctime": "2026-02-03 09:15:27,000",
            "levelname": "ERROR",
            "name": "a",
            "message": "boom",
        },
        "a",
    ),
    "ECS, dotted": (
        {
            "@timestamp": "2026-02-03T09:15:27.000Z",
            "log.level": "error",
            "message": "boom",
            "log.logger": "a",
        },
        "a",
    ),
    "ECS, nested": (
        {
            "@timestamp": "2026-02-03T09:15:27.000Z",
            "log": {"level": "error", "logger": "a"},
            "message": "boom",
        },
        "a",
    ),
    "Google Cloud": (
        {"time": "2026-02-03T09:15:27Z", "severity": "ERROR", "message": "boom"},
        None,
    ),
    "bunyan": ({"time": "2026-02-03T09:15:27Z", "level": 50, "msg": "boom", "name": "a"}, "a"),
    "pino": ({"time": 1_770_110_127_000, "level": 50, "msg": "boom", "name": "a"}, "a"),
    "zap": ({"ts": 1_770_110_127.0, "level": "error", "msg": "boom", "logger": "a"}, "a"),
    "slog": ({"time": "2026-02-03T10:15:27+01:00", "level": "ERROR", "msg": "boom"}, None),
    "GELF": ({"timestamp": 1_770_110_127.0, "level": 3, "short_message": "boom"}, None),
    "standard numbers": ({"timestamp": 1_770_110_127, "level": 40, "message": "boom"}, None),
}


@pytest.mark.parametrize("writer", FOREIGN)
def test_lines_of_others(writer: str) -> None:
    """A line of another library says its message, level, time and logger under our keys."""
    row, logger = FOREIGN[writer]
    own = schema.as_own({**row, "n": 1})
    assert ("boom", logger, 1) == (own["message"], own.get("logger"), own["n"])
    assert schema.ERROR == schema.severity(own)
    assert "2026-02-03T09:15:27.000000Z" == time_of(own["timestamp"])


@pytest.mark.parametrize(
    "row",
    [
        {"timestamp": "t", "level": "INFO", "logger": "a", "message": "m", "name": "b", "time": 5},
        {"timestamp": "t", "level": "AUDIT", "logger": "a", "message": "m", "severity": "high"},
        {"time": 5, "name": ["a"], "event": {"kind": "x"}, "severity": "high", "log": "x"},
        {},
    ],
)
def test_own_lines(row: dict[str, Any]) -> None:
    """A line with our keys is itself; and what only sounds like them is not taken for them."""
    assert row is schema.as_own(row)


def test_an_extra_that_sounds_like_otlp() -> None:
    """What a program calls its own number is no time, level or name, whatever it sounds like."""
    row = {"msg": "pay", "level": "error", "time": "2026-02-03T09:15:27Z", "logRecords": 3}
    assert {"message": "pay", "level": "ERROR", "logRecords": 3} == {
        key: value for key, value in schema.as_own(row).items() if key != "timestamp"
    }
