"""Ten orders at once, logged through a queue: ``python app.py dict|logging.json|logging.yaml``."""

import asyncio
import json
import logging
import logging.config
import sys
import warnings
from pathlib import Path
from typing import Any

from logging_config import CONFIG

from tracectrl.session import session

log = logging.getLogger("orders")
ORDERS = 10
PRICES = dict.fromkeys(range(ORDERS - 1), 5)


def load(name: str) -> dict[str, Any]:
    """Return the set-up called *name*."""
    if name == "dict":
        return CONFIG
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    if name.endswith(".json"):
        return json.loads(text)
    import yaml  # noqa: PLC0415 - for this one only

    return yaml.safe_load(text)


async def handle(number: int) -> None:
    """Handle an order, in a session of its own."""
    with session(f"order-{number}"):
        order_log = logging.LoggerAdapter(log, {"order": number})
        order_log.info("received")
        await asyncio.sleep(0)
        warnings.warn(f"order {number} uses an old form", stacklevel=1)
        try:
            price = PRICES[number]
        except LookupError:
            order_log.exception("refused")
        else:
            await asyncio.to_thread(order_log.info, "packed for %d", price)


async def main() -> None:
    """Handle all orders at once."""
    await asyncio.gather(*(handle(number) for number in range(ORDERS)))


if __name__ == "__main__":
    logging.config.dictConfig(load(sys.argv[1] if len(sys.argv) > 1 else "dict"))
    logging.captureWarnings(capture=True)
    warnings.simplefilter("always")
    asyncio.run(main())
