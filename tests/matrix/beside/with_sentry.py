"""``sentry_sdk.init()`` with traces and logs; the transport keeps the envelopes."""

from __future__ import annotations

import sentry_sdk
import shop
from sentry_sdk.transport import Transport


class Offline(Transport):
    """Keeps what would be sent."""

    def capture_envelope(self, envelope: sentry_sdk.envelope.Envelope) -> None:
        """Keep each item."""
        for item in envelope.items:
            shop.emit({"type": item.headers.get("type"), **(item.payload.json or {})})


sentry_sdk.init(
    "http://key@127.0.0.1:9/1",
    transport=Offline,
    traces_sample_rate=1.0,
    enable_logs=True,
    auto_enabling_integrations=False,
)
shop.set_up()
with shop.session(), sentry_sdk.start_transaction(name="orders"):
    shop.all_orders()
sentry_sdk.flush()
shop.done()
