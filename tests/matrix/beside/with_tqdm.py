"""Its ``logging_redirect_tqdm()`` around a progress bar on stderr."""

from __future__ import annotations

import sys

import shop
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

shop.set_up()
with logging_redirect_tqdm(tqdm_class=tqdm), shop.session():
    for order in tqdm(shop.ORDERS, file=sys.stderr, bar_format="{n_fmt}/{total_fmt}"):
        shop.work(order)
shop.done()
