"""``newrelic-admin run-program``, developer mode, a background task; its log events are kept."""

from __future__ import annotations

import newrelic.agent
import shop

newrelic.agent.register_application(timeout=10)
shop.set_up()


@newrelic.agent.background_task(name="orders")
def main() -> None:
    """Work, and keep what the agent has taken of the lines."""
    shop.all_orders()
    for event in newrelic.agent.current_transaction()._log_events.samples:
        shop.emit({"message": event.message, "level": event.level, "attributes": event.attributes})


main()
shop.done()
