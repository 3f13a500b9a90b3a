"""The name of the service, as OpenTelemetry finds it."""

from __future__ import annotations

import os
from urllib.parse import unquote


def service_name(given: str | None = None) -> str | None:
    """Return *given*, else ``OTEL_SERVICE_NAME``, else ``service.name`` of the resource variable.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """
    if given or (given := os.environ.get("OTEL_SERVICE_NAME")):
        return given
    for item in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, _, value = item.partition("=")
        if key.strip() == "service.name" and value.strip():
            return unquote(value.strip())
    return None
