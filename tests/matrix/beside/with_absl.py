"""``absl.logging``, within ``app.run()``; its handler prints."""

from __future__ import annotations

import sys

import shop
from absl import app, logging


def main(_: list[str]) -> None:
    """Set up, and work."""
    shop.add_ours_first()
    logging.use_absl_handler()
    logging.get_absl_handler().python_handler.stream = sys.stdout
    logging.set_verbosity(logging.INFO)
    shop.add_ours_last()
    shop.all_orders(logging.get_absl_logger())
    shop.done()


app.run(main)
