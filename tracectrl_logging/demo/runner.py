"""Starts the demo's agents, asks them, and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from typing import IO, TYPE_CHECKING

import httpx

from tracectrl.propagation import SESSION_HEADER
from tracectrl_logging.demo.agents import PLANNER, RESEARCHER

if TYPE_CHECKING:
    from collections.abc import Iterator

_READY_TIMEOUT_S = 30.0
_ANSWER_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0
_POLL_S = 0.05

_QUESTIONS = (
    "Where is my order?",
    "Which plan fits a team of five?",
    "Why did the import fail?",
    "What changed since Monday?",
    "Who approved the refund?",
)


class AgentError(RuntimeError):
    """An agent did not start, or did not answer."""


def run_sessions(root: str, count: int) -> list[str]:
    """Have two agents serve *count* sessions at once, each with one question; return their IDs.

    Raises:
        AgentError: an agent does not start, or does not answer.
    """
    with _agent(RESEARCHER, root) as researcher, _agent(PLANNER, root, researcher.url) as planner:
        researcher.wait_until_ready()
        planner.wait_until_ready()
        return asyncio.run(_ask_all(planner.url, count))


class _Agent:
    """An agent in a process of its own."""

    def __init__(
        self, name: str, url: str, process: subprocess.Popen[bytes], said: IO[bytes]
    ) -> None:
        self.url = url
        self._name = name
        self._process = process
        self._said = said

    def wait_until_ready(self) -> None:
        """Return once the agent answers; raise AgentError where it ends or takes too long."""
        deadline = time.monotonic() + _READY_TIMEOUT_S
        with httpx.Client(base_url=self.url, trust_env=False, timeout=1) as client:
            while time.monotonic() < deadline and self._process.poll() is None:
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/health").is_success:
                        return
                time.sleep(_POLL_S)
        self._said.seek(0)
        said = self._said.read().decode("utf-8", "replace").strip()
        msg = f"the agent {self._name!r} did not start: {said or f'silent for {_READY_TIMEOUT_S:g} s'}"
        raise AgentError(msg)

    def end(self) -> None:
        """End the agent's process: by the end of its input, else by force."""
        try:
            self._process.communicate(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


@contextlib.contextmanager
def _agent(name: str, root: str, *urls: str) -> Iterator[_Agent]:
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryFile() as said:
        fd, port = listener.fileno(), listener.getsockname()[1]
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "tracectrl_logging.demo.agents", name, str(fd), root, *urls],
            stdin=subprocess.PIPE,  # the agent ends when it does, however this process ends
            stdout=subprocess.DEVNULL,
            stderr=said,
            pass_fds=[fd],
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for us: we end the agents
        )
        agent = _Agent(name, f"http://127.0.0.1:{port}", process, said)
        try:
            listener.close()
            yield agent
        finally:
            agent.end()


def _environment() -> dict[str, str]:
    """Return ours, less what would send every session elsewhere or into one."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "TRACECTRL_"))
    }


async def _ask_all(url: str, count: int) -> list[str]:
    # Not new_session(): with TRACECTRL_SESSION_ID set, all would be one.
    ids = [str(uuid.uuid4()) for _ in range(count)]
    async with httpx.AsyncClient(
        base_url=url, trust_env=False, timeout=_ANSWER_TIMEOUT_S
    ) as client:
        answers = await asyncio.gather(
            *(
                client.post(
                    "/ask",
                    json={"number": number, "question": _QUESTIONS[number % len(_QUESTIONS)]},
                    headers={SESSION_HEADER: sid},
                )
                for number, sid in enumerate(ids)
            ),
            return_exceptions=True,
        )
    for answer in answers:
        if isinstance(answer, BaseException):
            msg = f"the agent {PLANNER!r} did not answer: {answer!r}"
            raise AgentError(msg) from answer
        if not answer.is_success:
            msg = f"the agent {PLANNER!r} answered {answer.status_code}: {answer.text}"
            raise AgentError(msg)
    return ids
