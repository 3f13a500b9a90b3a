"""The name of the service, as OpenTelemetry finds it."""

from __future__ import annotations

import os
from typing import Any
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


def service_of(resource: Any) -> str | None:
    """Return the ``service.name`` of an OpenTelemetry *resource*, less what the SDK makes up for none."""
    name = None if resource is None else resource.attributes.get("service.name")
    return name if isinstance(name, str) and not name.startswith("unknown_service") else None
