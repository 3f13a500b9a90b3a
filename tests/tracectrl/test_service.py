"""tracectrl.service: the service's name, as OpenTelemetry finds it."""

from __future__ import annotations

import pytest

from tracectrl.service import service_name


@pytest.mark.parametrize(
    ("given", "name", "attributes", "expected"),
    [
        (None, None, None, None),
        (None, "", "", None),
        ("given", "variable", "service.name=resource", "given"),
        ("", "variable", None, "variable"),
        (None, "variable", "service.name=resource", "variable"),
        (None, None, "a=b, service.name = re%20source ,c=d", "re source"),
        (None, None, "service.name=,other", None),
        (None, None, "no pairs,,=,service.namespace=x", None),
    ],
)
def test_the_order_of_the_sources(
    given: str | None,
    name: str | None,
    attributes: str | None,
    expected: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The argument, then OTEL_SERVICE_NAME, then the resource variable; empty counts as unset."""
    if name is not None:
        monkeypatch.setenv("OTEL_SERVICE_NAME", name)
    if attributes is not None:
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", attributes)

    assert expected == service_name(given)
