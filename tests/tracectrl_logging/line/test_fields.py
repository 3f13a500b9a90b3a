"""What a record carries beside its message."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.session import session
from tracectrl_logging.line.fields import RECORD_ATTRIBUTES, extras_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Row = dict[str, Any]


def test_record_attributes_are_derived() -> None:
    """What a record holds by itself, this Python's additions included, is no extra."""
    own = set(vars(logging.makeLogRecord({})))
    assert {*own, "message", "asctime"} == RECORD_ATTRIBUTES
    assert {} == extras_of(logging.makeLogRecord({"message": "m", "asctime": "t"}))


def test_extras_in_order() -> None:
    """Extras come in the order they were given."""
    record = logging.makeLogRecord({"msg": "hello", "z": 1, "a": 2, "m": 3})
    assert [("z", 1), ("a", 2), ("m", 3)] == list(extras_of(record).items())


def test_private_attributes_are_no_extras() -> None:
    """What begins with an underscore is between handlers."""
    assert {"x": 1} == extras_of(logging.makeLogRecord({"_x": 1, "x": 1, "__y": 2}))


def test_record_of_a_class_of_its_own() -> None:
    """A record class that sets attributes before logging's own brings extras as well."""

    class Mine(logging.LogRecord):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.early = 1
            super().__init__(*args, **kwargs)
            self.late = 2

    record = Mine("app", 20, "", 0, "hello", (), None)
    assert {"early": 1, "late": 2} == extras_of(record)


def test_numbers_as_names() -> None:
    """``extra={1: 2}`` is a dict, too."""
    record = logging.makeLogRecord({})
    record.__dict__.update({1: 2})  # type: ignore[dict-item]
    assert ["1"] == [str(name) for name in extras_of(record)]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"trace_id": "a" * 32, "span_id": "b" * 16, "trace_flags": "01"}, {}),
        ({"trace_id": "A" * 32}, {"trace_id": "A" * 32}),
        ({"trace_id": "0" * 32}, {"trace_id": "0" * 32}),
        ({"span_id": "0" * 16}, {"span_id": "0" * 16}),
        ({"trace_flags": 1}, {"trace_flags": 1}),
        ({"trace_flags": "1"}, {"trace_flags": "1"}),
        ({"trace_id": None, "span_id": None, "trace_flags": None}, {}),
        ({"trace_id": "a" * 33}, {"trace_id": "a" * 33}),
        ({"trace_id": "a" * 32 + "\n"}, {"trace_id": "a" * 32 + "\n"}),
        ({"trace_id": []}, {"trace_id": []}),
    ],
    ids=str,
)
def test_what_is_no_id_is_an_extra(
    logger: logging.Logger, lines: Callable[..., list[Row]], given: Row, kept: Row
) -> None:
    """A key of the span that holds something else than such an ID is an extra."""
    logger.info("hello", extra=given)
    (row,) = lines()
    assert {f"extra_{key}": value for key, value in kept.items()} == {
        key: row[key] for key in row if key.startswith("extra_")
    }


def test_ids_of_the_record_alone(logger: logging.Logger, lines: Callable[..., list[Row]]) -> None:
    """The three keys of the span go together: a given trace takes none of the present span's."""
    with session("s1"):
        logger.info("hello", extra={"trace_id": "a" * 32})
        logger.info("hello", extra={"trace_id": None})
    one, two = lines("s1")
    assert {"trace_id": "a" * 32} == dict(list(one.items())[5:])
    assert 5 == len(two)
