"""Where lines go: a connection to the store, what it has to have, and the place of what is known of it."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING

from tracectrl_logging.reader.clickhouse.address import address_of
from tracectrl_logging.reader.clickhouse.connection import Connection
from tracectrl_logging.reader.clickhouse.tables import tables_of
from tracectrl_logging.reader.model import StoreError, StoreUnavailableError
from tracectrl_logging.shipping.tables import missing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from tracectrl_logging.reader.clickhouse.address import Address

_WAIT_S: Final = 2.0


def connected(url: str) -> tuple[Connection, Address]:
    """Return a connection to the store at *url*, and its address.

    Raises:
        ValueError: the URL is not understood; the message does not quote it.
        MissingExtraError: the client is not installed.
    """
    address = address_of(url)
    return Connection(address), address


def wait_until_ready(
    connection: Connection, address: Address, say: Callable[[str], object] | None
) -> None:
    """Return when the store can be reached; *say* is called once where it cannot, ``None`` for not to wait.

    Raises:
        StoreError: ``setup`` has something to do, or the store cannot be read.
    """
    was_away = False
    while True:
        try:
            tables_of(connection, address.database)
            if next(missing(connection, address.database), None) is not None:
                msg = f"{address.name} is not ready for lines; tracectrl-logs setup --to URL makes it so"
                raise StoreError(msg)
        except StoreUnavailableError as error:
            if say is None:
                raise
            if not was_away:
                say(f"{error}; lines wait in their files")
            was_away = True
            time.sleep(_WAIT_S)
        else:
            return


def default_state(directory: str, address: Address) -> str:
    """Return the path of the state of what goes from *directory* to the store at *address*."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    whose = f"{os.path.realpath(directory)}\0{address.name}"
    name = hashlib.sha256(os.fsencode(whose)).hexdigest()[:16]
    return os.path.join(home, "tracectrl", f"ship-{name}.json")
