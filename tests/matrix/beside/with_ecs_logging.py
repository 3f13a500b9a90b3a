"""Its ``StdlibFormatter`` on a handler that prints."""

from __future__ import annotations

import shop

shop.set_up(formatter={"()": "ecs_logging.StdlibFormatter"})
shop.all_orders()
shop.done()
