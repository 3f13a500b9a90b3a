"""tracectrl.workers.celery: what needs no worker; the matrix has the rest."""

from __future__ import annotations

import sys
import uuid
from typing import Any

import pytest
from opentelemetry import context as otel_context

from tracectrl.errors import MissingExtraError
from tracectrl.session import current_session_id, session
from tracectrl.workers.celery import install


def test_without_celery(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "celery", None)

    with pytest.raises(MissingExtraError, match="pip install 'celery"):
        install()


class TestSignals:
    """The signals that tasks go through, sent by hand."""

    @pytest.fixture(autouse=True)
    def _installed(self) -> Any:
        self.signals = pytest.importorskip("celery.signals", reason="it is what is tested")
        self.undo = install()
        yield
        self.undo()

    def begin(self, request: dict[str, Any]) -> Any:
        """Return a task that came with *request* and has begun."""

        class Task:
            pass

        task: Any = Task()
        task.request = Task()
        vars(task.request).update(request)
        self.signals.task_prerun.send(task, task_id="1", task=task)
        return task

    def end(self, task: Any) -> None:
        """End what :meth:`begin` has begun."""
        self.signals.task_postrun.send(task, task_id="1", task=task)

    def run(self, **request: Any) -> list[str | None]:
        """Return the session in a task that came with *request*, and afterwards."""
        task = self.begin(request)
        inside = current_session_id()
        self.end(task)
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

    def test_one_task_inside_of_another(self) -> None:
        """A retry that is run eagerly has the ID of the task that it is run in."""
        with session("outer"):
            outer = self.sent()
        with session("inner"):
            inner = self.sent()
        task = self.begin(outer)
        again = self.begin(inner)
        assert "inner" == current_session_id()
        self.end(again)
        assert "outer" == current_session_id()
        self.end(task)
        assert None is current_session_id()

    @pytest.mark.parametrize("name", ["task_prerun", "task_postrun"])
    def test_around_what_others_do(self, name: str) -> None:
        """Whoever is connected to the signals, before or after us, is called in the session."""
        seen = []

        def receiver(**_: Any) -> None:
            seen.append(current_session_id())

        self.undo()
        signal = getattr(self.signals, name)
        signal.connect(receiver, weak=False, dispatch_uid="before")
        self.undo = install()
        signal.connect(receiver, weak=False, dispatch_uid="after")
        try:
            with session("s"):
                headers = self.sent()
            assert ["s", None] == self.run(**headers)
        finally:
            signal.disconnect(dispatch_uid="before")
            signal.disconnect(dispatch_uid="after")
        assert ["s", "s"] == seen

    def test_what_an_instrumentation_puts_back(self) -> None:
        """It ends with the context that it found, which must not outlive the task."""
        tokens = []

        def begin(**_: Any) -> None:
            tokens.append(otel_context.attach(otel_context.set_value("its", 1)))

        def end(**_: Any) -> None:
            otel_context.detach(tokens.pop())

        with session("s"):
            headers = self.sent()
        self.signals.task_prerun.connect(begin, weak=False)
        self.signals.task_postrun.connect(end, weak=False)
        try:
            assert ["s", None] == self.run(**headers)
            assert {} == otel_context.get_current()
        finally:
            self.signals.task_prerun.disconnect(begin)
            self.signals.task_postrun.disconnect(end)

    def test_undone(self) -> None:
        """Nothing is carried any more; installing twice is installing once."""
        again = install()
        again()
        with session("s"):
            assert {"id", "timelimit"} == set(self.sent())
        assert [None, None] == self.run()
