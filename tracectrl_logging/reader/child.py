"""A process of its own that answers one question: started, listened to, ended at any moment.

What it does may use all memory, take for ever, or hold the interpreter's lock meanwhile, as a regular
expression does: SIGKILL and the kernel's limits hold whatever that is.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

from tracectrl_logging.reader.model import Closing

if TYPE_CHECKING:
    from collections.abc import Callable

    Send = Callable[..., None]


class Child(Closing):
    """A process that answers *question*; :meth:`close` ends it, from any thread.

    Args:
        module: its function ``main`` is what runs there, by :func:`answer_with`.
        question: can be pickled.
    """

    def __init__(self, module: str, question: Any) -> None:
        self.is_late = False
        """Whether it was ended by :meth:`end_after`."""
        self._timer: threading.Timer | None = None
        program = f"import sys; sys.path[:] = sys.argv[1:]; from {module} import main; main()"
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with what it imports
            [sys.executable, "-I", "-c", program, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for whoever asks, who then ends this
        )
        stream = self._process.stdin
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended: message() says so
                stream.write(pickle.dumps(question))
                stream.flush()

    def message(self) -> tuple[str, Any] | None:
        """Return the next of what it sends, a name and a value; ``None`` where it has ended."""
        try:
            message: tuple[str, Any] = pickle.load(self._process.stdout)  # type: ignore[arg-type] # noqa: S301 - from a process that this one has started
        except (EOFError, pickle.UnpicklingError, ValueError):  # the last where it was closed
            return None
        return message

    def end_after(self, seconds: float) -> None:
        """End the process where it is still there after so many seconds."""

        def end() -> None:
            self.is_late = True
            self._process.kill()

        self._timer = threading.Timer(seconds, end)
        self._timer.daemon = True
        self._timer.start()

    def status(self) -> int:
        """Wait for its end and return its exit status."""
        return self._process.wait()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._timer is not None:
            self._timer.cancel()
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                if stream is not None:
                    stream.close()


def answer_with(
    answer: Callable[[Any, Send], None], *, at_end: Callable[[Any], None] = lambda _: None
) -> None:
    """Be the process: answer the question that stdin holds, on stdout; stdin's end ends it.

    Args:
        answer: called with the question and with what sends a name and a value.
        at_end: called with the question where whoever has asked ends first.
    """
    stdin = sys.stdin.buffer
    question = pickle.load(stdin)  # noqa: S301 - from the process that has started this one
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    ending = threading.Thread(target=_end_with, args=(stdin, question, at_end), daemon=True)
    ending.start()

    def send(name: str, value: object = None) -> None:
        pickle.dump((name, value), out, pickle.HIGHEST_PROTOCOL)
        out.flush()

    status = 1
    try:
        answer(question, send)
        status = 0
    except BrokenPipeError:  # nobody listens any more
        pass
    finally:
        os._exit(status)


def _end_with(stream: IO[bytes], question: Any, at_end: Callable[[Any], None]) -> None:
    """End this process where whoever has started it ends."""
    stream.read()
    at_end(question)
    os._exit(1)
