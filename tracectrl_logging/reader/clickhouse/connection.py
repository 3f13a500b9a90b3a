"""A connection to a ClickHouse server: questions that read alone, and errors of one line."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl.errors import require
from tracectrl_logging.reader.model import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Final, TypeAlias

    from tracectrl_logging.reader.clickhouse.address import Address

    Params: TypeAlias = Mapping[str, Any]

MOST_S: Final = 600
"""How many seconds a question may take, the reading of its answer included."""

_CONNECT_S: Final = 10
_MOST_BYTES: Final = 4_000_000_000
_MOST_ROWS: Final = 1_000_000_000
_BOUNDS: Final = {
    "readonly": 1,
    "max_execution_time": MOST_S,
    "max_result_rows": _MOST_ROWS,
    "result_overflow_mode": "throw",
    "max_memory_usage": _MOST_BYTES,
    "max_bytes_before_external_sort": _MOST_BYTES // 4,
    "max_bytes_before_external_group_by": _MOST_BYTES // 4,
    "output_format_json_quote_64bit_integers": 1,
}
_ONE_BLOCK: Final = {
    "insert_deduplicate": 1,
    "async_insert": 0,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "input_format_parallel_parsing": 0,
    "max_insert_block_size": 10_000_000,
    "min_insert_block_size_bytes": 0,
}
"""What makes of the same rows the same block, which is there whole or not at all."""
_UNHEARD: Final = logging.NullHandler()
"""Keeps what the client logs, which the error says, too, off the stderr of a program that handles no records."""
_LATER: Final = frozenset({202, 203, 209, 210, 236, 242, 252, 279, 285, 319, 394, 425, 439, 999})
"""The codes of errors that may be gone later: too much at once, no leader, a shutdown."""
_REFUSED: Final = frozenset({192, 193, 194, 195, 497, 516})
_HEAD: Final = re.compile(r".*?Code: \d+\.\s*(?:DB::Exception:\s*)*", re.DOTALL)
_TAIL: Final = re.compile(
    r"(?:\s*\((?:[A-Z_]+|version [^()]*(?:\([^()]*\))?|for url [^()]*)\))+\s*\Z"
)


class ServerError(StoreError):
    """What the server said to a question.

    Args:
        text: it, in one line.
        code: its number.
    """

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class Answer(NamedTuple):
    """What the server says to a question."""

    columns: list[tuple[str, Any]]
    """The names of the columns, each with the client's type."""
    rows: Iterator[tuple[Any, ...]]
    end: Callable[[], None]
    """Ends it, from any thread."""


class Connection:
    """Questions to the server at *address*; it is reached when the first is asked.

    Every question is read-only for the server, and bounded in time, rows and memory. What comes from
    outside goes as a parameter, beside the SQL and never in it. ``setup`` and ``ship`` alone change what
    the server has.

    Raises:
        MissingExtraError: the client is not installed.
    """

    def __init__(self, address: Address) -> None:
        require("a store in ClickHouse", "clickhouse", "clickhouse_connect")
        self._address = address
        self._client: Any = None

    def rows(
        self, sql: str, params: Params | None = None, settings: Params | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that *sql* gives, as they come; to close it ends the question.

        Raises:
            StoreError: the server refuses, or cannot be reached.
        """
        return self.answer(sql, params, settings).rows

    def answer(
        self, sql: str, params: Params | None = None, settings: Params | None = None
    ) -> Answer:
        """Return what *sql* gives, with its columns.

        Raises:
            StoreError: as :meth:`rows`.
        """
        try:
            stream = self._opened().query_rows_stream(
                sql,
                parameters={name: _sendable(it) for name, it in params.items()} if params else None,
                settings={**_BOUNDS, **(settings or {})},
            )
        except Exception as error:  # noqa: BLE001 - of the client's, or of what it stands on
            raise self._error(error) from None
        source = stream.source
        columns = list(zip(source.column_names, source.column_types, strict=True))
        return Answer(columns, self._streamed(stream), source.close)

    def run(self, statement: str) -> None:
        """Run *statement*, which changes what the server has.

        Raises:
            StoreError: as :meth:`rows`.
        """
        try:
            self._opened().command(statement)
        except Exception as error:  # noqa: BLE001 - as above
            raise self._error(error) from None

    def insert(self, table: str, rows: bytes, token: str) -> None:
        """Put *rows*, lines of JSON, into *table*, as one block; one whose *token* is known is there already.

        Raises:
            StoreError: as :meth:`rows`; of a :class:`StoreUnavailableError`, they may be there.
        """
        try:
            self._opened().raw_insert(
                table,
                insert_block=rows,
                fmt="JSONEachRow",
                settings={"insert_deduplication_token": token, **_ONE_BLOCK},
            )
        except Exception as error:  # noqa: BLE001 - as above
            raise self._error(error) from None

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _streamed(self, stream: Any) -> Iterator[tuple[Any, ...]]:
        try:
            with stream:
                yield from stream
        except Exception as error:  # noqa: BLE001 - of the client's, or of what it stands on
            raise self._error(error) from None

    def _opened(self) -> Any:
        if self._client is None:
            # Half a second, which only those pay who have such a store.
            import clickhouse_connect  # noqa: PLC0415

            logging.getLogger(clickhouse_connect.__name__).addHandler(_UNHEARD)
            at = self._address
            # The scheme of a DSN is ignored by the client: what is to go through TLS is said here.
            self._client = clickhouse_connect.get_client(
                interface="https" if at.is_secure else "http",
                secure=at.is_secure,
                host=at.host,
                port=at.port,
                username=at.user or None,
                password=at.password,
                database=at.database,
                ca_cert=at.ca,
                client_cert=at.cert,
                client_cert_key=at.key,
                connect_timeout=_CONNECT_S,
                send_receive_timeout=MOST_S,
                client_name="tracectrl-logs",
                autogenerate_session_id=False,
                form_encode_query_params=True,
                query_retries=0,
            )
        return self._client

    def _error(self, error: Exception) -> StoreError:
        """Return what *error*, of the client's, means to whoever asks: one line, and no password."""
        at = self._address
        code = getattr(error, "code", None)
        text = " ".join(str(error).split())
        if at.password:
            text = text.replace(at.password, "***")
        if code in _REFUSED:
            return StoreError(f"{at.name} refuses the user or the password, or lets it not read")
        if code is None:
            said = _reason(error)
            if said is None and isinstance(error, (TypeError, ValueError, LookupError)):
                return StoreError(f"{at.name} cannot be asked: {text}")  # nor later
            text = text if said is None else said
            return StoreUnavailableError(f"{at.name} cannot be reached: {text}")
        said = _TAIL.sub("", _HEAD.sub("", text, count=1))
        if code in _LATER:
            return StoreUnavailableError(f"{at.name} cannot answer now: {said}")
        return ServerError(f"{at.name}: {said}", code)


def _reason(error: BaseException) -> str | None:
    """Return what the system said below *error*, of the client's; ``None`` where that is not known."""
    waiting: list[Any] = [error]
    seen: set[int] = set()
    said = None
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, OSError):
            said = getattr(one, "verify_message", None) or one.strerror or said
            said = f"certificate: {said}" if hasattr(one, "verify_message") else said
        waiting += (one.__context__, one.__cause__, getattr(one, "reason", None), *one.args)
    return said


def _sendable(value: Any) -> Any:
    """Return *value* with what UTF-8 does not have in its texts as the escape that is stored for it."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return [_sendable(item) for item in value] if isinstance(value, list) else value
