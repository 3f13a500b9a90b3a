"""Values as OTLP/JSON spells them (``AnyValue``, ``KeyValue``).

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


def any_value(value: Any, depth: int = 0) -> dict[str, Any]:
    """Return *value*, which is *depth* levels down, as an ``AnyValue``.

    An integer that OTLP has no room for becomes text, and so does what is nested too deeply.
    """
    if isinstance(value, (dict, list, tuple)):
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
