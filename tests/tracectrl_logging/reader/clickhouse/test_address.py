"""The URL of a store: what it means, and that its password is shown to nobody."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tracectrl.files.names import root_dir
from tracectrl_logging import SessionFileHandler, configure, reader
from tracectrl_logging.reader.clickhouse.address import address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "s3cr3t-p%40ss"  # noqa: S105 - of nobody
SAID = "s3cr3t-p@ss"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"clickhouse://me:{SECRET}@ch.example/otel", "clickhouse://me@ch.example/otel"),
        (f"clickhouse://me:{SECRET}@ch.example:9000/otel", "clickhouse://me@ch.example:9000/otel"),
        ("clickhouses://ch.example", "clickhouses://ch.example/default"),
        ("clickhouses://a%40b@[::1]:8443/x", "clickhouses://a%40b@[::1]/x"),
    ],
)
def test_name(url: str, name: str) -> None:
    """A store is named by its URL without the password, which its text does not show either."""
    address = address_of(url)
    assert (name, name) == (address.name, reader.open_store(url).name)
    assert SAID not in f"{address}{address!r}"


def test_password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The password is that of the URL, else of the environment, else of the file that this names."""
    file = tmp_path / "password"
    file.write_text("of a file\n", encoding="utf-8")
    url = "clickhouse://me@ch.example/otel"
    found = [address_of(url).password]
    monkeypatch.setenv("TRACECTRL_STORE_PASSWORD_FILE", str(file))
    found.append(address_of(url).password)
    monkeypatch.setenv("TRACECTRL_STORE_PASSWORD", "of the environment")
    found += [address_of(url).password, address_of(url.replace("@", f":{SECRET}@")).password]
    assert ["", "of a file", "of the environment", SAID] == found


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            f"s3://me:{SECRET}@bucket/x",
            "a store must be a directory or a URL of clickhouse:// or clickhouses://, got s3://",
        ),
        (f"clickhouse://me:{SECRET}@/otel", "whose host or port cannot be understood"),
        (f"clickhouse://me:{SECRET}@h:port/otel", "whose host or port cannot be understood"),
        (f"clickhouse://me:{SECRET}@[h/otel", "whose host or port cannot be understood"),
        (
            f"clickhouses://me:{SECRET}@h/otel?verify=0",
            "must have no options but ca, cert and key, got 'verify'",
        ),
        (f"clickhouse://me:{SECRET}@h/otel?ca=x", "must be clickhouses:// to have the options"),
    ],
)
def test_wrong(url: str, message: str) -> None:
    """A URL that cannot be understood is a ValueError, which does not quote it."""
    with pytest.raises(ValueError, match=message.replace("?", r"\?")) as caught:
        reader.open_store(url)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "write",
    [
        root_dir,
        SessionFileHandler,
        lambda url: configure(root=url),
    ],
)
def test_no_writer(write: Callable[[str], object]) -> None:
    """Whoever writes takes no URL: it would become a directory with the password in its name."""
    with pytest.raises(
        ValueError, match="must be a directory, got a URL of clickhouse://"
    ) as caught:
        write(f"clickhouse://me:{SECRET}@ch.example/otel")
    assert "s3cr3t" not in str(caught.value)


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """Listen on a port, and keep what is said there; nothing is answered."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    heard.append(connection.recv(65536))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.parametrize("scheme", ["clickhouses", "CLICKHOUSES"])
def test_never_in_the_clear(scheme: str, listener: tuple[int, list[bytes]]) -> None:
    """What a client of ``clickhouses://`` says first is the greeting of TLS, whoever listens; and that alone."""
    port, heard = listener
    store = reader.open_store(f"{scheme}://me:{SECRET}@127.0.0.1:{port}/otel")
    with pytest.raises(reader.StoreUnavailableError) as caught:
        list(store.ids())
    assert "s3cr3t" not in str(caught.value)
    handshake, major = 22, 3  # https://www.rfc-editor.org/rfc/rfc8446#section-5.1
    assert heard
    assert {(handshake, major)} == {(said[0], said[1]) for said in heard}
    assert not any(word in said for said in heard for word in (b"HTTP", b"s3cr3t", b"Basic"))
