"""tracectrl.workers.celery: what needs no worker; the matrix has the rest."""

from __future__ import annotations

import sys
import uuid
from typing import Any

import pytest

from tracectrl.errors import MissingExtraError
from tracectrl.session import current_session_id, session
from tracectrl.workers.celery import install


def test_without_celery(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "celery", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'tracectrl-logging\[celery\]'"):
        install()


class TestSignals:
    """The signals that tasks go through, sent by hand."""

    @pytest.fixture(autouse=True)
    def _installed(self) -> Any:
        self.signals = pytest.importorskip("celery.signals", reason="it is what is tested")
        self.undo = install()
        yield
        self.undo()

    def run(self, **request: Any) -> list[str | None]:
        """Return the session in a task that came with *request*, and afterwards."""

        class Task:
            pass

        task: Any = Task()
        task.request = Task()
        vars(task.request).update(request)
        self.signals.task_prerun.send(task, task_id="1", task=task)
        inside = current_session_id()
        self.signals.task_postrun.send(task, task_id="1", task=task)
        return [inside, current_session_id()]

    def sent(self) -> dict[str, Any]:
        """Return the headers of a message that is sent now."""
        headers: dict[str, Any] = {"id": "1", "timelimit": [None, None]}
        self.signals.before_task_publish.send("name", headers=headers, body=())
        return headers

    def test_from_sender_to_worker(self) -> None:
        """And what was current in the worker comes back."""
        with session("s\u00e9"):
            headers = self.sent()
        assert ["s\u00e9", None] == self.run(**headers)

    def test_from_no_session(self) -> None:
        """A task of nobody's session has one of its own; two have two."""
        first, second = self.run(**self.sent()), self.run(**self.sent())

        assert first == [str(uuid.UUID(first[0])), None]
        assert first != second

    def test_the_end_of_an_unknown_task(self) -> None:
        """A task that was never begun here ends without a word."""
        self.signals.task_postrun.send(None, task_id="never", task=None)

    def test_undone(self) -> None:
        """Nothing is carried any more; installing twice is installing once."""
        again = install()
        again()
        with session("s"):
            assert {"id", "timelimit"} == set(self.sent())
        assert [None, None] == self.run()
