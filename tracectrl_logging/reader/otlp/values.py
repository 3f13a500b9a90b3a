"""Values that OTLP/JSON spells (``AnyValue``, ``KeyValue``): what they hold, and whether two are the same.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

from typing import Any


def plain(value: dict[str, Any] | None) -> Any:
    """Return what the ``AnyValue`` *value* holds.

    Bytes are their base64, infinities and NaN their names: JSON has no form for them.

    Raises:
        ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError: *value*
            is something else.
    """
    for kind, held in (value or {}).items():
        if kind == "intValue":
            return int(held)
        if kind == "doubleValue":
            return held if isinstance(held, str) else float(held)
        if kind == "arrayValue":
            return [plain(item) for item in held.get("values") or ()]
        if kind == "kvlistValue":
            return plain_attributes(held.get("values"))
        return held
    return None


def plain_attributes(attributes: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Return what a list of ``KeyValue`` holds; of a key that is there twice, the last value.

    Raises:
        ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError:
            *attributes* is something else.
    """
    return {_checked(item["key"]): plain(item.get("value")) for item in attributes or ()}


def are_same_values(stored: dict[str, Any] | None, ours: dict[str, Any] | None) -> bool:
    """Tell whether two ``AnyValue`` say the same; an integer may be a number or its digits."""
    if stored == ours or not (stored and ours):
        return (stored or {}) == (ours or {})
    if stored.keys() != ours.keys() or len(stored) != 1:
        return False
    ((kind, one),) = stored.items()
    other = ours[kind]
    if kind == "intValue":
        return bool(str(one) == other)
    if kind == "kvlistValue":
        return are_same_attributes(one.get("values") or [], other["values"])
    if kind == "arrayValue":
        items, others = one.get("values") or [], other["values"]
        return len(items) == len(others) and all(map(are_same_values, items, others))
    return False


def are_same_attributes(stored: list[dict[str, Any]], ours: list[dict[str, Any]]) -> bool:
    """Tell whether two lists of ``KeyValue`` say the same, in whatever order; *ours* has no key twice."""
    if stored == ours:
        return True
    if len(stored) != len(ours):
        return False
    values = {item["key"]: item["value"] for item in ours}
    return {item["key"] for item in stored} == values.keys() and all(
        item.keys() <= {"key", "value"} and are_same_values(item.get("value"), values[item["key"]])
        for item in stored
    )


def _checked(key: object) -> str:
    if not isinstance(key, str):
        msg = f"a key must be a str, got {type(key).__name__}"
        raise TypeError(msg)
    return key
