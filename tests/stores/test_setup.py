"""``setup`` adds what is missing, says what, and a second time has nothing to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result


def described(client: Any) -> dict[str, list[Any]]:
    """Return the columns, indexes and settings of the tables."""
    where = "WHERE database = currentDatabase()"
    return {
        name: client.query(f"SELECT {fields} FROM system.{name} {where} ORDER BY ALL").result_rows  # noqa: S608
        for name, fields in {
            "columns": "table, name, type, default_expression",
            "data_skipping_indices": "table, name, type_full",
            "tables": "name, engine_full",
        }.items()
    }


@pytest.mark.parametrize("fixture", ["database", "otel"])
def test_twice(
    fixture: str, request: pytest.FixtureRequest, client: Any, command: Callable[..., Result]
) -> None:
    """What ``--print`` shows is what is run, on tables that are there and where there are none; once."""
    url = request.getfixturevalue(fixture)
    before = described(client)
    shown = command("setup", "--to", url, "--print")
    assert before == described(client)
    first = command("setup", "--to", url)
    assert (0, shown.stdout, "") == (first.exit_code, first.stdout, first.stderr)
    assert "CREATE TABLE" in first.stdout or fixture == "otel"
    after = described(client)
    again = command("setup", "--to", url)
    assert (0, "", f"nothing to do in {url}\n") == (again.exit_code, again.stdout, again.stderr)
    assert after == described(client)
    kept = {row for row in before["columns"] if row[0].startswith("otel_")}
    assert kept <= set(after["columns"])


def test_ttl(set_up: str, client: Any, command: Callable[..., Result]) -> None:
    """Rows are kept for as many days as is said, and for others where others are said."""
    command("setup", "--to", set_up)
    for days in (30, 7):
        done = command("setup", "--to", set_up, "--ttl", f"{days}d")
        assert 2 == done.stdout.count(
            f"MODIFY TTL toDateTime(Timestamp) + toIntervalDay({days})"
        ), done.output
        again = command("setup", "--to", set_up, "--ttl", f"{days}d")
        assert "nothing to do" in again.stderr
    assert 2 == sum("toIntervalDay(7)" in full for _, full in described(client)["tables"])


def test_older_server(
    database: str, command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server from before text indexes gets bloom filters."""
    newer = command("setup", "--to", database, "--print").stdout
    monkeypatch.setattr("tracectrl_logging.shipping.tables.TEXT_SINCE", (99, 1))
    older = command("setup", "--to", database, "--print").stdout
    assert ("text(tokenizer" in newer, "text(tokenizer" in older) == (True, False)
    assert "SessionId TYPE bloom_filter(0.001) GRANULARITY 1" in older
    assert 0 == command("setup", "--to", database).exit_code


def test_wrong(command: Callable[..., Result]) -> None:
    """A directory, and a URL of something else, are no stores; a time is whole days."""
    for args in (
        ("--to", "traces"),
        ("--to", "s3://b"),
        ("--to", "clickhouse://h", "--ttl", "36h"),
    ):
        result = command("setup", *args)
        assert (args, 2) == (args, result.exit_code)
    assert "Missing option '--to'" in command("setup").stderr
