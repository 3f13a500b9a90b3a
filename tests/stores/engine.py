"""A loopback stand-in for a ClickHouse server: the real engine, chdb, behind enough of its HTTP interface.

``python engine.py DIRECTORY [--user NAME --password TEXT] [--cert FILE --key FILE]`` prints the port that it
listens on. Settings and parameters of a request are the engine's own; each request that is answered is written
to ``DIRECTORY.log``, its SQL and nothing else, for tests of what goes there.
"""

from __future__ import annotations

import argparse
import base64
import email
import gzip
import json
import os
import re
import ssl
import sys
import tempfile
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import lz4.frame
from backports import zstd
from chdb import session

INSERT = re.compile(
    r"\s*INSERT\s+INTO\s+(?P<to>.+?)\s*FORMAT\s+(?P<form>\w+)\s*\Z", re.IGNORECASE | re.DOTALL
)
FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*\Z")
TRANSPORT = frozenset(
    {
        *("query", "database", "default_format", "session_id", "compress", "decompress"),
        *("client_protocol_version", "enable_http_compression", "wait_end_of_query", "user"),
        *("password", "http_headers_progress_interval_ms", "query_id", "session_timeout", "role"),
        *("cancel_http_readonly_queries_on_client_close", "send_progress_in_http_headers"),
    }
)
UNPACK = {"gzip": gzip.decompress, "lz4": lz4.frame.decompress, "zstd": zstd.decompress}
NUMBER = re.compile(r"-?\d+(\.\d+)?")


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer goes in one piece
    disable_nagle_algorithm = True
    engine: Any
    lock = threading.Lock()
    known: tuple[str, str] | None
    log: str

    def do_POST(self) -> None:
        """Answer one request."""
        url = urllib.parse.urlparse(self.path)
        fields = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        body = self._body()
        if self.headers.get("content-type", "").startswith("multipart/form-data"):
            head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
            for part in email.message_from_bytes(head + body).get_payload():  # type: ignore[union-attr]
                name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr]
                fields[name] = part.get_payload(decode=True).decode()  # type: ignore[union-attr, index]
            body = b""
        if url.path == "/ping":
            self._reply(200, b"Ok.\n")
        elif not self._is_known():
            self._reply(403, b"Code: 516. DB::Exception: default: Authentication failed", code=516)
        else:
            self._run(fields, body)

    do_GET = do_POST  # noqa: N815 - as above

    def _run(self, fields: dict[str, str], body: bytes) -> None:
        query = fields.get("query", "")
        if not query:
            head, _, rest = body.partition(b"\n")
            is_insert = INSERT.match(head.decode("utf-8", "replace")) is not None
            query, body = (head.decode(), rest) if is_insert else (body.decode(), b"")
        params = {name[6:]: value for name, value in fields.items() if name.startswith("param_")}
        settings = {
            name: value
            for name, value in fields.items()
            if name not in TRANSPORT and not name.startswith("param_")
        }
        clause = ", ".join(
            f"{name} = {value}" if NUMBER.fullmatch(value) else f"{name} = '{value}'"
            for name, value in settings.items()
        )
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(json.dumps([query, params]) + "\n")
        try:
            insert = INSERT.match(query)
            with self.lock:  # the database of a request is that of the one connection there is
                if fields.get("database"):
                    self.engine.query(f"USE `{fields['database']}`")
                if insert is not None:
                    with tempfile.NamedTemporaryFile() as file:
                        file.write(body)
                        file.flush()
                        said = f" SETTINGS {clause}" if clause else ""
                        self.engine.query(
                            f"INSERT INTO {insert['to']} FROM INFILE '{file.name}'{said} FORMAT {insert['form']}"
                        )
                    self._reply(200, b"")
                    return
                sql = (query + body.decode()).strip().rstrip(";")
                form = FORMAT.search(sql)
                sql = sql[: form.start()] if form else sql
                if clause and re.match(r"\s*\(?\s*(SELECT|WITH)\b", sql, re.IGNORECASE):
                    sql += f"\nSETTINGS {clause}"
                name = form[1] if form else fields.get("default_format", "TabSeparated")
                answer = self.engine.query(sql, name, params=params).bytes()
            self._reply(200, answer, form=name)
        except Exception as error:  # noqa: BLE001 - the engine's errors are the client's
            text = str(error)
            code = re.search(r"Code: (\d+)", text)
            self._reply(500, text.encode(), code=int(code[1]) if code else 1)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
        unpack = UNPACK.get(self.headers.get("content-encoding", ""))
        return body if unpack is None else unpack(body)

    def _is_known(self) -> bool:
        if self.known is None:
            return True
        given = self.headers.get("authorization", "").removeprefix("Basic ")
        user, _, password = base64.b64decode(given).decode().partition(":")
        return (user, password) == self.known

    def _reply(self, status: int, body: bytes, *, code: int = 0, form: str = "") -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-clickhouse-summary", "{}")
        self.send_header("x-clickhouse-timezone", "UTC")
        if code:
            self.send_header("x-clickhouse-exception-code", str(code))
        if form:
            self.send_header("x-clickhouse-format", form)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """One that says nothing where a client has gone."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until killed, or until stdin is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    for name in ("user", "password", "cert", "key"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    Handler.engine = session.Session(given.directory)
    Handler.known = (given.user, given.password or "") if given.user else None
    Handler.log = f"{given.directory}.log"
    server = Server(("127.0.0.1", given.port), Handler)
    if given.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(given.cert, given.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)  # noqa: T201 - for whoever has started it
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
