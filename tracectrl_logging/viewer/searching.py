"""A search in a process of its own: on a line that a stranger wrote, a pattern may take for ever.

:mod:`re` lets no other thread run meanwhile, and cannot be interrupted; a process can be ended.
"""

from __future__ import annotations

import contextlib
import itertools
import resource
import time
from typing import TYPE_CHECKING, NamedTuple

from tracectrl_logging.reader.child import Child, answer_with
from tracectrl_logging.reader.filters.search import Hit
from tracectrl_logging.reader.model import UnknownSessionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from tracectrl_logging.reader.child import Send

_BATCH: Final = 50
_BATCH_S: Final = 0.2


class _Question(NamedTuple):
    """What a search's process is told at its start."""

    place: str
    """The store, as :func:`tracectrl_logging.reader.open_store` takes it."""
    query: bytes
    """The parameters of the address."""
    sids: list[str]
    most: int
    timeout_s: float


class Searching(Child):
    """What one search finds.

    Args:
        place: the store, as :func:`tracectrl_logging.reader.open_store` takes it.
        query: the parameters of the address; they have been understood once.
        sids: the sessions to search; none for all.
        most: how many hits at most.
        timeout_s: how many seconds it may take.
    """

    def __init__(
        self, place: str, query: bytes, sids: Sequence[str] = (), *, most: int, timeout_s: float
    ) -> None:
        self.problems: list[str] = []
        """What could not be read, so far."""
        self._timeout_s = timeout_s
        super().__init__(__name__, _Question(place, query, list(sids), most, timeout_s))
        self.end_after(timeout_s)

    def batches(self) -> Iterator[list[Hit]]:
        """Yield the hits as they are found.

        Raises:
            UnknownSessionError: one of the sessions is none.
            OSError: the store cannot be read.
            TimeoutError: it takes too long.
        """
        while (message := self.message()) is not None:
            name, value = message
            if name == "hits":
                yield value
            elif name == "problem":
                self.problems.append(value)
            elif name == "error":
                raise value
            else:
                return
        what = f"longer than {self._timeout_s:g} s" if self.is_late else "no end"
        msg = f"the search takes {what}; a pattern without nested repeats is quicker"
        raise TimeoutError(msg)


def main() -> None:
    """Be the process that searches."""
    answer_with(_answer)


def _answer(question: _Question, send: Send) -> None:
    # While a pattern is tried no thread of this process can end it, where the server has gone.
    seconds = int(question.timeout_s) + 1
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        for hits in _found(question, send):
            send("hits", hits)
        send("end")
    except (OSError, UnknownSessionError) as error:
        send("error", error)


def _found(question: _Question, send: Send) -> Iterator[list[Hit]]:
    from tracectrl_logging.reader import open_store  # noqa: PLC0415 - in the process alone
    from tracectrl_logging.viewer import questions  # noqa: PLC0415 - as above
    from tracectrl_logging.viewer.answers import params_of  # noqa: PLC0415 - as above

    search = questions.search(params_of({"query_string": question.query}))
    store = open_store(question.place, on_damage=lambda damage: send("problem", str(damage)))
    hits = (hit for hit in store.search(search, question.sids) if isinstance(hit, Hit))
    batch: list[Hit] = []
    sent_at = time.monotonic()
    for hit in itertools.islice(hits, question.most):
        batch.append(hit)
        if len(batch) == _BATCH or time.monotonic() - sent_at > _BATCH_S:
            yield batch
            batch, sent_at = [], time.monotonic()
    if batch:
        yield batch
