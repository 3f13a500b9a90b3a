"""Stored lines as OTLP/JSON, as an OpenTelemetry Collector's ``otlpjsonfile`` receiver reads it.

Each line of the output is one batch, of log records or of spans. A record comes from where the first
span of its service does, if one begins before the record's batch is full; a line that was stored as
OTLP/JSON says itself where it comes from.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Any

from tracectrl._json import encode_line, for_terminal
from tracectrl.schema import OTLP_KEY, OTLP_SIGNS, SESSION_ATTRIBUTE, UNKNOWN
from tracectrl.spans.values import any_value
from tracectrl_logging.reader.otlp import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Line

BATCH_LINES: Final = 500
BATCH_BYTES: Final = 256 * 1024
"""A batch ends at whichever comes first: the Collector's default is to cut lines of 1 MiB."""

_OTLP: Final = re.compile(b'"(?:%b)"' % "|".join(OTLP_SIGNS["log"]).encode())
_NAMES: Final[dict[Kind, tuple[str, str, str]]] = {
    "log": ("resourceLogs", "scopeLogs", "logRecords"),
    "span": ("resourceSpans", "scopeSpans", "spans"),
}


def write_otlp(lines: Iterable[Line], sid: str, file: IO[bytes]) -> int:
    """Write *lines*, which are the session *sid*, into *file*; return how many they are."""
    waiting: dict[Kind, list[Line]] = {"log": [], "span": []}
    sizes: dict[Kind, int] = {"log": 0, "span": 0}
    resources: dict[Any, dict[str, Any]] = {}
    count = 0

    def write(kind: Kind) -> None:
        if waiting[kind]:
            file.write(for_terminal(_batch(kind, waiting[kind], sid, resources)))
            waiting[kind] = []
            sizes[kind] = 0

    for line in lines:
        count += 1
        kind = line.kind
        if kind == "span" and isinstance(service := line.row.get("service"), str):
            resources.setdefault(service, encode.resource_of(line.row))
        if sizes[kind] + len(line.raw) > BATCH_BYTES:
            write(kind)
        waiting[kind].append(line)
        sizes[kind] += len(line.raw)
        if len(waiting[kind]) >= BATCH_LINES:
            write(kind)
    write("span")
    write("log")
    return count


def message(
    line: Line, sid: str, resources: Mapping[Any, dict[str, Any]] | None = None
) -> encode.Message:
    """Return *line* as a message of OTLP/JSON.

    Args:
        line: the line.
        sid: the session of one that carries none.
        resources: where the services of log lines are, if that is known.
    """
    row = line.row
    if line.kind == "span":
        made = encode.span(row)
    else:
        service = row.get("service")
        resource = resources.get(service) if resources and isinstance(service, str) else None
        if resource is not None and _OTLP.search(line.raw) is not None:
            resource = None
        made = encode.record(row, line.time, resource)
    made = encode.merged(made, row.get(OTLP_KEY))
    own = row.get("session_id")
    session_id = own if isinstance(own, str) and own else sid
    attributes = encode.dicts(made.item.get("attributes"))
    if session_id != UNKNOWN and not any(_is_session(each) for each in attributes):
        named = {"key": SESSION_ATTRIBUTE, "value": any_value(session_id)}
        made.item["attributes"] = [*attributes, named]
    if "links" in made.item:  # one without IDs links to nothing
        made.item["links"] = [
            link for link in encode.dicts(made.item["links"]) if "traceId" in link
        ]
    return made


def _is_session(attribute: dict[str, Any]) -> bool:
    return attribute.get("key") == SESSION_ATTRIBUTE


def _batch(
    kind: Kind, lines: list[Line], sid: str, resources: Mapping[Any, dict[str, Any]]
) -> bytes:
    """Return *lines* as one request, together by where they come from."""
    origins, scopes, items = _NAMES[kind]
    found: dict[bytes, dict[str, Any]] = {}
    below: dict[bytes, list[Any]] = {}
    for line in lines:
        origin, scope, item = message(line, sid, resources)
        key = encode_line(origin)
        if key not in found:
            found[key] = {**origin, scopes: []}
        inner = key + encode_line(scope)
        if inner not in below:
            below[inner] = []
            found[key][scopes].append({**scope, items: below[inner]})
        below[inner].append(item)
    return encode_line({origins: list(found.values())})
