"""structlog straight to the session files: no stdlib logging in between."""

import asyncio

import structlog

from tracectrl.session import session
from tracectrl_logging import SessionFileLoggerFactory, SessionJSONRenderer, add_session_context

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        add_session_context,
        SessionJSONRenderer(service_name="shop"),
    ],
    wrapper_class=structlog.make_filtering_bound_logger("info"),
    logger_factory=SessionFileLoggerFactory(),
    cache_logger_on_first_use=True,
)
log = structlog.get_logger("shop")


async def visit(number: int) -> None:
    """Log a visit, in a session of its own."""
    with session(f"visit-{number}"):
        visitor = log.bind(visitor=number)
        visitor.info("came in")
        visitor.debug("not written: below the level")
        await visitor.ainfo("looked around", shelves=["books", "maps"])
        try:
            {}["wallet"]
        except KeyError:
            visitor.exception("cannot pay")


async def main() -> None:
    """Have five visitors at once."""
    await asyncio.gather(*(visit(number) for number in range(5)))


if __name__ == "__main__":
    asyncio.run(main())
