"""Values as OTLP/JSON spells them (``AnyValue``, ``KeyValue``), and back.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tracectrl._json import encode_line

if TYPE_CHECKING:
    from typing import Final

_INT64: Final = range(-(2**63), 2**63)
_MAX_DEPTH: Final = 24  # OTLP takes three messages for one level, and many readers take 100 in all


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


def any_value(value: Any, depth: int = 0) -> dict[str, Any]:
    """Return *value*, which is *depth* levels down, as an ``AnyValue``.

    An integer that OTLP has no room for becomes text, and so does what is nested too deeply.
    """
    if isinstance(value, (dict, list)):
        if depth >= _MAX_DEPTH:
            return {"stringValue": text(value)}
        if isinstance(value, dict):
            return {"kvlistValue": {"values": key_values(value, depth + 1)}}
        return {"arrayValue": {"values": [any_value(item, depth + 1) for item in value]}}
    return {} if value is None else _scalar(value)


def key_values(values: Any, depth: int = 0) -> list[dict[str, Any]]:
    """Return the object *values* as a list of ``KeyValue``; anything else has none."""
    if not isinstance(values, dict):
        return []
    return [{"key": key, "value": any_value(value, depth)} for key, value in values.items()]


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


def text(value: Any) -> str:
    """Return *value* as text: a string as it is, nothing as none, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return encode_line({"": value})[4:-2].decode()


def _scalar(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and value in _INT64:
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else _NAMES[str(value)]}
    return {"stringValue": str(value)}


_NAMES: Final = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}


def _checked(key: object) -> str:
    if not isinstance(key, str):
        msg = f"a key must be a str, got {type(key).__name__}"
        raise TypeError(msg)
    return key
