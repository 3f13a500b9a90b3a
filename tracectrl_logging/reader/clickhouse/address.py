"""The address of a ClickHouse server, from a URL; the password stays out of all that is shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

if TYPE_CHECKING:
    from typing import Final

PASSWORD_ENV: Final = "TRACECTRL_STORE_PASSWORD"  # noqa: S105 - the name of the variable
PASSWORD_FILE_ENV: Final = "TRACECTRL_STORE_PASSWORD_FILE"  # noqa: S105 - as above

_PORTS: Final = {"clickhouse": 8123, "clickhouses": 8443}
_FILES: Final = ("ca", "cert", "key")
_DATABASE: Final = "default"


class Address(NamedTuple):
    """Where a server listens to HTTP, who asks, and which database is meant."""

    scheme: str
    host: str
    port: int
    user: str
    password: str
    database: str
    ca: str | None = None
    """The file of the authorities that the server's certificate is checked by; ``None`` for the system's."""
    cert: str | None = None
    """The file of the certificate that stands for the user."""
    key: str | None = None

    @property
    def is_secure(self) -> bool:
        """Whether all that is said goes through TLS."""
        return self.scheme == "clickhouses"

    @property
    def name(self) -> str:
        """The URL, without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        return f"{self.scheme}://{user}{host}{port}/{quote(self.database, safe='')}"

    def __repr__(self) -> str:
        return f"Address({self.name!r})"


def address_of(url: str) -> Address:
    """Return the address that *url* means: ``clickhouse://user@host:port/database?ca=FILE``.

    ``clickhouses`` is the scheme for TLS. A password comes from the URL, else from
    ``TRACECTRL_STORE_PASSWORD``, else from the file that ``TRACECTRL_STORE_PASSWORD_FILE`` names.

    Raises:
        ValueError: it means none; the message does not quote the URL.
        OSError: the file of the password cannot be read.
    """
    scheme = url.partition("://")[0].lower()
    if scheme not in _PORTS:
        msg = f"a store must be a directory or a URL of clickhouse:// or clickhouses://, got {scheme}://"
        raise ValueError(msg)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # which quotes a part of the URL
        host = port = None
        parts = urlsplit(f"{scheme}://")
    if not host:
        msg = f"a store's URL must be {scheme}://USER@HOST:PORT/DATABASE, got one whose host or port cannot be understood"
        raise ValueError(msg)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in options:
        if name not in _FILES:
            msg = f"a store's URL must have no options but ca, cert and key, got {name!r}"
            raise ValueError(msg)
    if options and scheme != "clickhouses":
        msg = "a store's URL must be clickhouses:// to have the options ca, cert and key"
        raise ValueError(msg)
    return Address(
        scheme,
        host,
        port or _PORTS[scheme],
        unquote(parts.username or ""),
        unquote(parts.password) if parts.password is not None else _password(),
        unquote(parts.path.strip("/")) or _DATABASE,
        *(options.get(name) or None for name in _FILES),
    )


def _password() -> str:
    given = os.environ.get(PASSWORD_ENV)
    path = os.environ.get(PASSWORD_FILE_ENV)
    if given is not None or not path:
        return given or ""
    with open(path, encoding="utf-8") as file:
        return file.read().rstrip("\r\n")
