"""Notes about exceptions on their way out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tracectrl._exception_notes import ExceptionNotes

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.one_python


def caught(act: Callable[[], object]) -> BaseException:
    """Return what *act* raises."""
    with pytest.raises(KeyError) as info:
        act()
    return info.value


def test_until_it_is_raised_anew() -> None:
    """A note holds while the exception goes on from where it was made, and for no other."""
    notes: ExceptionNotes[str] = ExceptionNotes()
    once = KeyError("once")

    def fail() -> None:
        raise once

    def note() -> None:
        try:
            fail()
        except KeyError as error:
            notes.put(error, "noted")
            raise

    assert "noted" == notes.get(caught(note))
    assert notes.get(KeyError()) is None
    assert notes.get(caught(fail)) is None


def test_raised_by_who_caught_it() -> None:
    """A frame that catches an exception and raises it by its name lets it go on."""
    notes: ExceptionNotes[str] = ExceptionNotes()

    def note() -> None:
        try:
            os.environ["MISSING"]
        except KeyError as error:
            notes.put(error, "noted")
            raise

    def relay() -> None:
        try:
            note()
        except KeyError as error:  # noqa: TRY203 - by its name
            raise error  # noqa: TRY201

    assert "noted" == notes.get(caught(relay))


def test_raised_for_who_caught_it() -> None:
    """A ``reraise()``, as several libraries have it, lets an exception go on; another function does not."""
    notes: ExceptionNotes[str] = ExceptionNotes()

    def reraise(error: BaseException) -> None:
        raise error

    def again(error: BaseException) -> None:
        raise error

    def note() -> None:
        try:
            os.environ["MISSING"]
        except KeyError as error:
            notes.put(error, "noted")
            raise

    def relay(by: Callable[[BaseException], None]) -> None:
        try:
            note()
        except KeyError as error:
            by(error)

    assert "noted" == notes.get(caught(lambda: relay(reraise)))
    assert notes.get(caught(lambda: relay(again))) is None


def test_number_of_notes() -> None:
    """Of very many exceptions the latest keep their notes."""
    notes: ExceptionNotes[int] = ExceptionNotes()
    errors = [caught(lambda: os.environ["MISSING"]) for _ in range(2)]
    notes.put(errors[0], 0)
    for number in range(5000):
        error = KeyError().with_traceback(errors[1].__traceback__)
        errors.append(error)
        notes.put(error, number)
    assert notes.get(errors[0]) is None
    assert 4999 == notes.get(errors[-1])
