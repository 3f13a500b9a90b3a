"""JSON for whatever a line may hold, lone surrogates included; and the parameters of an address, as well."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson
from starlette.datastructures import QueryParams
from starlette.responses import Response

from tracectrl_logging.reader.model import UnsupportedError
from tracectrl_logging.viewer.questions import UnclearError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.types import Scope


def json_bytes(value: Any) -> bytes:
    """Return *value* as JSON; what UTF-8 cannot hold stands in it as an escape, so that it says exactly that."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that is *value* as JSON."""
    return Response(json_bytes(value), status, headers, "application/json")


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that says why there is no other."""
    return answer({"message": message}, status, headers)


def params_of(scope: Scope) -> QueryParams:
    """Return the parameters of the address; a lone surrogate is percent-encoded as UTF-8 would have it.

    Raises:
        UnicodeDecodeError: they are not UTF-8.
    """
    text = scope["query_string"].decode("latin-1")
    return QueryParams(parse_qsl(text, keep_blank_values=True, errors="surrogatepass"))


def clear(function: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Any]]:
    """Return *function* with an answer to questions that cannot be understood, or read."""

    async def clear_answer(request: Request) -> Any:
        try:
            return await function(request)
        except (UnclearError, UnicodeDecodeError) as error:
            return refusal(400, str(error))
        except UnsupportedError as error:
            return refusal(501, str(error))
        except OSError as error:
            return refusal(503, f"the store cannot be read: {error.strerror or error}")

    return clear_answer
