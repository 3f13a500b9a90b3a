"""structlog and stdlib logging through one handler: rendered once, the same keys for both."""

import logging

import structlog

from tracectrl.session import session
from tracectrl_logging import SessionFileHandler, SessionJSONRenderer, add_session_context

SHARED = [structlog.contextvars.merge_contextvars, add_session_context]

handler = SessionFileHandler(service_name="shop")
handler.setFormatter(
    structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[SessionJSONRenderer(service_name="shop")],
    )
)
logging.basicConfig(level=logging.INFO, handlers=[handler])
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *SHARED,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)


def main() -> None:
    """Log the same event from both worlds."""
    with session("both-worlds"):
        structlog.get_logger("shop").warning("sold out", article="map", left=0)
        logging.getLogger("shop").warning("sold out", extra={"article": "map", "left": 0})


if __name__ == "__main__":
    main()
