"""The engine of ClickHouse for each run of these tests, a database for each test.

- ``database``: the URL of a database of the test's own, without tables; ``client`` is connected to it.
- ``otel``: the same, with the exporter's tables; ``set_up`` has what ``setup`` adds to them.
- ``command``: runs the command in this process.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tracectrl_logging.reader import open_store
from tracectrl_logging.shipping.rows import blocks_of, stamp
from tracectrl_logging.shipping.tables import missing
from tracectrl_logging.shipping.target import connected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

    from tracectrl_logging.reader import Line

reason = "the engine, chdb, cannot be installed here"
pytest.importorskip("chdb", reason=reason)
clickhouse_connect = pytest.importorskip("clickhouse_connect", reason=reason)

ENGINE = Path(__file__).with_name("engine.py")
_numbers = itertools.count(1)


class Engine:
    """A process with the engine, on a port of loopback."""

    def __init__(self, directory: Path, *args: str, port: int = 0) -> None:
        self.log = Path(f"{directory}.log")
        self._command = [sys.executable, str(ENGINE), str(directory), *args]
        self.port = port
        self.start()

    def start(self) -> None:
        """Start it, on the port that it had."""
        self.process = subprocess.Popen(
            [*self._command, "--port", str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        """Kill it, as the machine would."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Run the engine; it lets anybody in."""
    engine = Engine(tmp_path_factory.mktemp("engine") / "data")
    yield engine
    engine.kill()


@pytest.fixture
def database(engine: Engine) -> str:
    """Make a database, and return its URL."""
    name = f"db{next(_numbers)}"
    with contextlib.closing(
        clickhouse_connect.get_client(port=engine.port, host="127.0.0.1")
    ) as it:
        it.command(f"CREATE DATABASE {name}")
    return f"clickhouse://127.0.0.1:{engine.port}/{name}"


@pytest.fixture
def client(engine: Engine, database: str) -> Iterator[Any]:
    """Connect to that database."""
    name = database.rpartition("/")[2]
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=engine.port, database=name, autogenerate_session_id=False
    )
    yield client
    client.close()


def statements(url: str) -> Iterator[str]:
    """Return what ``setup`` runs there."""
    connection, address = connected(url)
    return missing(connection, address.database)


@pytest.fixture
def otel(client: Any, database: str) -> str:
    """Make the exporter's tables in that database; nobody sets them up."""
    for statement in list(statements(database)):
        if statement.startswith("CREATE TABLE"):
            client.command(statement)
    return database


@pytest.fixture
def set_up(client: Any, database: str) -> str:
    """Make tables in which lines are whole."""
    for statement in list(statements(database)):
        client.command(statement)
    return database


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[Callable[..., tuple[Engine, str, Any]]]:
    """Return what runs an engine that may be killed: it, the URL of its tables, and a client."""
    with contextlib.ExitStack() as stack:

        def own(
            *args: str, url: str = "clickhouse://{at}/default", **client_args: Any
        ) -> tuple[Engine, str, Any]:
            engine = Engine(tmp_path / "own", *args)
            stack.callback(engine.kill)
            client = clickhouse_connect.get_client(
                host="127.0.0.1", port=engine.port, autogenerate_session_id=False, **client_args
            )
            stack.callback(client.close)
            url = url.format(at=f"127.0.0.1:{engine.port}")
            for statement in list(statements(url)):
                client.command(statement)
            return engine, url, client

        yield own


@pytest.fixture(name="put")
def put_fixture() -> Callable[..., None]:
    """Return :func:`put`."""
    return put


@pytest.fixture
def load(
    client: Any, database: str, tmp_path: Path, command: Callable[..., Result]
) -> Callable[..., None]:
    """Return what puts the lines under a root into the tables: by ``ship``, or with columns alone."""

    def loaded(root: Path, *, as_written: bool = True) -> None:
        if not as_written:
            put(client, list(written(root)), as_written=False)
            return
        state = str(tmp_path / "ship.json")
        args = ("--root", str(root), "--to", database, "--once", "--state", state, "--host", "h1")
        result = command("ship", *args)
        assert (0, "") == (result.exit_code, result.output)

    return loaded


@pytest.fixture
def command() -> Callable[..., Result]:
    """Return what runs the command with arguments."""
    from tracectrl_logging.cli.group import group  # noqa: PLC0415 - needs click

    return lambda *args: CliRunner().invoke(group, args, prog_name="tracectrl-logs")


# --- rows -----------------------------------------------------------------------------------------


def put(
    client: Any, lines: list[Line], *, as_written: bool = True, first: int = 1, seen_ns: int = 0
) -> None:
    """Put *lines* into the tables as ``ship`` does, or with columns alone, as another sender would."""
    for block in blocks_of(lines, first, "h1"):
        body = b"".join(
            b'{"TracectrlSeen":"%s",%s\n' % (stamp(seen_ns).encode(), row)
            if as_written
            else without_ours(row)
            for row in block.rows
        )
        client.raw_insert(block.table, insert_block=body, fmt="JSONEachRow")


def without_ours(row: bytes) -> bytes:
    """Return *row* with what the exporter's columns hold."""
    columns = json.loads(b"{" + row)
    del (
        columns["TracectrlLine"],
        columns["TracectrlUid"],
        columns["ResourceAttributes"]["host.name"],
    )
    return json.dumps(columns, ensure_ascii=False).encode() + b"\n"


def written(root: Path) -> Iterator[Line]:
    """Yield the lines under *root*."""
    store = open_store(root)
    for sid in sorted(store.ids()):
        yield from store.read(sid)
