"""gRPC: ``grpc_row.py HOW SESSION...``, a server and a client of it in one process, sync or aio, by metadata."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
from cell import Meeting, threads, tracer, work

from tracectrl.context import inject_trace_headers, remote_session
from tracectrl.session import session

METHOD = "/matrix.Stock/LookUp"
how, *ids = sys.argv[1:]
meeting = Meeting(len(ids))


def metadata() -> list[tuple[str, str]]:
    """Return what a call carries; gRPC wants the names in lower case."""
    return [(name.lower(), value) for name, value in inject_trace_headers().items()]


def look_up(request: bytes, context: Any) -> bytes:
    """Answer on a thread of the server's, while seven others do."""
    with remote_session(context.invocation_metadata()):
        work("grpc", request.decode())
        threads.wait()
        work("grpc", request.decode())
    return request


async def look_up_async(request: bytes, context: Any) -> bytes:
    """Answer on the event loop, while all others do."""
    with remote_session(context.invocation_metadata()):
        work("grpc", request.decode())
        await meeting.join()
        work("grpc", request.decode())
    return request


def handlers(method: Any) -> tuple[Any]:
    """Return the one handler of the server."""
    handler = grpc.unary_unary_rpc_method_handler(method)
    return (grpc.method_handlers_generic_handler("matrix.Stock", {"LookUp": handler}),)


def ask_all() -> None:
    """Serve and ask on threads."""
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers(handlers(look_up))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(METHOD)

        def ask(sid: str) -> None:
            with session(sid), tracer.start_as_current_span("ask"):
                assert sid.encode() == call(sid.encode(), metadata=metadata(), timeout=120)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(ask, ids))
    server.stop(None).wait()


async def ask_all_async() -> None:
    """Serve and ask on the event loop."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(handlers(look_up_async))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(METHOD)

        async def ask(sid: str) -> None:
            with session(sid), tracer.start_as_current_span("ask"):
                assert sid.encode() == await call(sid.encode(), metadata=metadata(), timeout=120)

        await asyncio.gather(*map(ask, ids))
    await server.stop(None)


if how == "aio":
    asyncio.run(ask_all_async())
else:
    ask_all()
