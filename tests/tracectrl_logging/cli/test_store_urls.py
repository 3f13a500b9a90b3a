"""Stores by their URLs, as the command takes them: one line for what goes wrong, without a password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

SECRET = "s3cr3t"  # noqa: S105 - of nobody


@pytest.mark.parametrize(
    "url", [f"s3://me:{SECRET}@bucket/x", f"clickhouse://me:{SECRET}@h:port/otel"]
)
@pytest.mark.parametrize("args", [("sessions",), ("tail", "-f"), ("query", "errors")])
def test_wrong(url: str, args: tuple[str, ...], command: Callable[..., Result]) -> None:
    """A URL that cannot be understood is one line."""
    result = command(*args, "--root", url)
    assert (2, "", 1) == (result.exit_code, result.stdout, result.stderr.count("\n"))
    assert "a store" in result.stderr
    assert SECRET not in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("prune", "--keep", "1"),
        ("compress",),
        ("run", "x.py"),
        ("demo",),
    ],
)
def test_about_files(args: tuple[str, ...], command: Callable[..., Result]) -> None:
    """A command that is about files says so, and names those that are not."""
    result = command(args[0], "--root", f"clickhouse://me:{SECRET}@ch.example/otel", *args[1:])
    assert 2 == result.exit_code
    assert "a store of many machines is read by sessions, show" in result.stderr
    assert "s3cr3t" not in result.stderr


def test_environment(
    command: Callable[..., Result], write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``TRACECTRL_STORE`` is for those who read, where no ``--root`` is given; ``prune`` asks the directory."""
    path = write("order-1.logs.jsonl", b'{"message":"x"}')
    monkeypatch.setenv("TRACECTRL_STORE", f"clickhouse://me:{SECRET}@127.0.0.1:1/otel")
    away = command("sessions")
    assert (2, "") == (away.exit_code, away.stdout)
    assert "clickhouse://me@127.0.0.1:1/otel cannot be reached: Connection refused" in away.stderr
    assert "s3cr3t" not in away.stderr
    assert 0 == command("sessions", "--root", str(path.parent)).exit_code
    assert 0 == command("prune", "--keep", "0", "--dry-run").exit_code


def test_no_client(command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the client is missing, one line says how to install it."""

    def find_spec(name: str, *args: Any) -> Any:
        del args
        return None if name == "clickhouse_connect" else object()

    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    result = command("sessions", "--root", "clickhouse://ch.example/otel")
    assert (2, 1) == (result.exit_code, result.stderr.count("\n"))
    assert "pip install 'clickhouse-connect" in result.stderr
