"""A call in a process of its own: a pattern on a stranger's line may take for ever, and is ended then."""

from __future__ import annotations

import contextlib
import resource
from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl_logging.mcp.params import ToolError
from tracectrl_logging.reader.child import Child, answer_with

if TYPE_CHECKING:
    from typing import Final

    from tracectrl_logging.reader.child import Send

TIMEOUT_S: Final = 60
_MESSAGE_CHARS: Final = 2000


class _Question(NamedTuple):
    root: str | None
    tool: str
    given: dict[str, Any]


class Call(Child):
    """A call of a tool.

    Args:
        root: the store, as :func:`tracectrl_logging.reader.open_store` takes it.
        tool: its name.
        given: the values of its parameters, as they came.
    """

    def __init__(self, root: str | None, tool: str, given: dict[str, Any]) -> None:
        super().__init__(__name__, _Question(root, tool, given))
        self._tool = tool
        self.end_after(TIMEOUT_S)

    def answer(self) -> str:
        """Wait for the answer and return it.

        Raises:
            ToolError: it cannot be given.
        """
        name, value = self.message() or ("error", None)
        if name == "answer":
            return str(value)
        if value is None:
            what = f"took longer than {TIMEOUT_S} s" if self.is_late else "ended without an answer"
            value = f"{self._tool} {what}; ask for less: since, level, where or a simpler pattern"
        raise ToolError(value)


def main() -> None:
    """Be the process that answers."""
    answer_with(_answer)


def _answer(question: _Question, send: Send) -> None:
    # While a pattern is tried no thread of this process can end it, where the server has gone.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (TIMEOUT_S, TIMEOUT_S))
    from tracectrl.errors import MissingExtraError  # noqa: PLC0415 - in the process alone
    from tracectrl.files.names import TRACE_DIR_ENV  # noqa: PLC0415 - as above
    from tracectrl_logging.console import on_one_line  # noqa: PLC0415 - as above
    from tracectrl_logging.mcp.tools import TOOLS  # noqa: PLC0415 - as above
    from tracectrl_logging.reader import open_store  # noqa: PLC0415 - as above
    from tracectrl_logging.reader.model import StoreError  # noqa: PLC0415 - as above

    problems: list[str] = []
    try:
        store = open_store(question.root, on_damage=lambda damage: problems.append(str(damage)))
        next(store.ids(limit=1), None)
        send("answer", TOOLS[question.tool].answer(store, question.given, problems))
    except (ToolError, StoreError, MissingExtraError, ValueError) as error:
        send("error", on_one_line(str(error)[:_MESSAGE_CHARS]))  # it may quote what was logged
    except OSError as error:
        mend = f"tracectrl-logs mcp --root DIR or {TRACE_DIR_ENV} names another"
        send("error", f"cannot read {store.name!r}: {error.strerror or error}; {mend}")
