"""A search in a process of its own: on a line that a stranger wrote, a pattern may take for ever.

:mod:`re` lets no other thread run meanwhile, and cannot be interrupted; a process can be ended.
"""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from tracectrl_logging.reader.filters.search import Hit
from tracectrl_logging.reader.model import Closing, UnknownSessionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[1:]\n"
    "from tracectrl_logging.viewer.searching import main; main()"
)
_BATCH: Final = 50
_BATCH_S: Final = 0.2


class Searching(Closing):
    """What one search finds; :meth:`close` ends it, from any thread.

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
        self._is_late = False
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with what it imports
            [sys.executable, "-I", "-c", _PROGRAM, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the server, which then ends this
        )
        self._timer = threading.Timer(timeout_s, self._end_late)
        self._timer.daemon = True
        self._timer.start()
        stream = self._process.stdin
        if stream is not None:
            try:
                pickle.dump((place, query, list(sids), most), stream)
                stream.close()
            except BrokenPipeError:  # it has ended: the next hits say so
                pass

    def batches(self) -> Iterator[list[Hit]]:
        """Yield the hits as they are found.

        Raises:
            UnknownSessionError: one of the sessions is none.
            OSError: the store cannot be read.
            TimeoutError: it takes too long.
        """
        while True:
            try:
                name, value = pickle.load(self._process.stdout)  # type: ignore[arg-type] # noqa: S301 - from our own process
            except (EOFError, pickle.UnpicklingError, ValueError) as error:
                what = f"longer than {self._timeout_s:g} s" if self._is_late else "no end"
                msg = f"the search takes {what}; a pattern without nested repeats is quicker"
                raise TimeoutError(msg) from error
            if name == "hits":
                yield value
            elif name == "problem":
                self.problems.append(value)
            elif name == "error":
                raise value
            else:
                return

    def close(self) -> None:
        """End it, whatever it is doing."""
        self._timer.cancel()
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _end_late(self) -> None:
        self._is_late = True
        self._process.kill()


def main() -> None:
    """Be the process that searches."""
    place, query, sids, most = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the server

    def send(name: str, value: Any = None) -> None:
        pickle.dump((name, value), sys.stdout.buffer)
        sys.stdout.buffer.flush()

    try:
        for hits in _found(place, query, sids, most, send):
            send("hits", hits)
        send("end")
    except (OSError, UnknownSessionError) as error:
        send("error", error)


def _found(place: str, query: bytes, sids: list[str], most: int, send: Any) -> Iterator[list[Hit]]:
    from tracectrl_logging.reader import open_store  # noqa: PLC0415 - in the process alone
    from tracectrl_logging.viewer import questions  # noqa: PLC0415 - as above
    from tracectrl_logging.viewer.answers import params_of  # noqa: PLC0415 - as above

    search = questions.search(params_of({"query_string": query}))
    store = open_store(place, on_damage=lambda damage: send("problem", str(damage)))
    found = (hit for hit in store.search(search, sids) if isinstance(hit, Hit))
    batch: list[Hit] = []
    sent_at = time.monotonic()
    for hit in itertools.islice(found, most):
        batch.append(hit)
        if len(batch) == _BATCH or time.monotonic() - sent_at > _BATCH_S:
            yield batch
            batch, sent_at = [], time.monotonic()
    if batch:
        yield batch
