"""Its ``EliotHandler`` within an action; a destination keeps its messages."""

from __future__ import annotations

import eliot
import shop

eliot.add_destinations(shop.emit)
shop.set_up({"class": "eliot.stdlib.EliotHandler"})
with eliot.start_action(action_type="orders"):
    shop.all_orders()
shop.done()
