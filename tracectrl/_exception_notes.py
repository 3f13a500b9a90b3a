"""What is noted of exceptions on their way out, kept beside them.

An attribute of the exception would show in its ``vars()``, in what is compared or serialised; most
exceptions take no weak reference; and to keep one alive is to keep its frames. So a note holds numbers
alone, and the traceback tells whose it is.
"""

from __future__ import annotations

import sys
from opcode import opmap
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

Note = TypeVar("Note")

_MAX_NOTES: Final = 4096
_RAISE: Final = opmap["RAISE_VARARGS"]

# What hands an exception on from where it was raised to where it is awaited: futures, above all.
_RELAYS: Final = {*sys.stdlib_module_names, "gevent", "outcome"}
_RERAISE: Final = {"reraise", "_reraise"}
"""The functions that raise what their caller has caught, whosever they are: six's, Sentry's."""


class ExceptionNotes(Generic[Note]):
    """A note for each of the latest exceptions that passed a frame, for as long as they go on from it."""

    def __init__(self) -> None:
        self._notes: dict[int, tuple[tuple[int, ...], Note]] = {}

    def put(self, error: BaseException, note: Note) -> None:
        """Keep *note* for *error*, which passes the outermost frame of its traceback."""
        if error.__traceback__ is not None:
            self._notes.pop(id(error), None)  # the latest are last
            self._notes[id(error)] = _place(error.__traceback__), note
            if len(self._notes) > _MAX_NOTES:
                del self._notes[next(iter(self._notes))]

    def get(self, error: BaseException) -> Note | None:
        """Return the note for *error*; ``None`` where there is none, or it was raised anew since.

        A ``raise`` in the very frame that caught it, in a ``reraise()``, or in a future that hands it
        on, is none anew.
        """
        place, note = self._notes.get(id(error), ((), None))
        traceback = error.__traceback__
        while traceback is not None and place != _place(traceback):
            if is_raised_anew(traceback):
                return None
            traceback = traceback.tb_next
        return None if traceback is None else note


def _place(traceback: TracebackType) -> tuple[int, ...]:
    return id(traceback), id(traceback.tb_frame), traceback.tb_lasti


def is_raised_anew(traceback: TracebackType) -> bool:
    """Tell whether the first frame raised what has a traceback behind it already."""
    frame, behind = traceback.tb_frame, traceback.tb_next
    code = frame.f_code.co_code
    at = traceback.tb_lasti
    return (
        behind is not None
        and behind.tb_frame is not frame
        and code[at] == _RAISE
        and code[at + 1] > 0
        and frame.f_code.co_name not in _RERAISE
        and str(frame.f_globals.get("__name__")).partition(".")[0] not in _RELAYS
    )
