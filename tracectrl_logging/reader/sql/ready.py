"""Queries that are asked for often, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tracectrl.schema import ERROR
from tracectrl_logging.reader.genai import names

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final


class Ready(NamedTuple):
    """A query with a name."""

    sql: str
    about: str


def _first(found: Iterable[str], form: str = "VARCHAR") -> str:
    """Return the expression for the first of the attributes *found* that a span has."""
    return f"coalesce({', '.join(f'TRY_CAST({_attribute(name)} AS {form})' for name in found)})"


def _attribute(name: str) -> str:
    return f"""(attributes->>'$."{name}"')"""


def _kind() -> str:
    """Return the expression for what a span is of, as :func:`~tracectrl_logging.reader.genai.usage.kind_of` says."""
    cases = [
        f"CASE {_attribute(name)} "
        + " ".join(f"WHEN '{value}' THEN '{kind}'" for value, kind in kinds.items())
        + " END"
        for name, kinds in names.KINDS.items()
    ]
    said = _first(names.KINDS)
    return f"coalesce({', '.join(cases)}, CASE WHEN {said} IS NULL AND {_MODEL} <> '' THEN 'model' END)"


_MODEL: Final = _first((*names.RESPONSE_MODEL, *names.REQUEST_MODEL))
_SEEN: Final = " OR ".join(
    f"attributes::VARCHAR LIKE '%\"{name}\"%'" for name in sorted(names.MARKS)
)

READY: Final[dict[str, Ready]] = {
    "errors": Ready(
        f"""\
SELECT count(*) FILTER (is_log) AS lines, count(*) FILTER (NOT is_log) AS spans,
  count(DISTINCT session_id) AS sessions, max(time) AS last_time, min(session_id) AS session_id,
  logger, exception, message
FROM (
  SELECT true AS is_log, timestamp AS time, session_id, logger, exception.type AS exception, message
  FROM logs WHERE severity_number >= {ERROR}
  UNION ALL
  SELECT false, end_time, session_id, scope, NULL, concat_ws(': ', name, status_message)
  FROM spans WHERE status = 'ERROR'
) GROUP BY is_log, logger, exception, message
ORDER BY count(*) DESC, last_time DESC, message LIMIT 50""",  # noqa: S608 - of our own constants
        "The most frequent errors, in log lines and of spans, each with a session to look at.",
    ),
    "slow": Ready(
        """\
SELECT duration_ns / 1e6 AS duration_ms, status, start_time, session_id, service, name
FROM spans ORDER BY duration_ns DESC, start_time LIMIT 50""",
        "The slowest spans.",
    ),
    "tokens": Ready(
        f"""\
WITH RECURSIVE links AS (SELECT trace_id, span_id, parent_span_id FROM spans),
seen AS (
  SELECT trace_id, span_id, parent_span_id, session_id, duration_ns, {_kind()} = 'model' AS is_call,
    {_first(names.PROVIDER)} AS provider, {_MODEL} AS model,
    {", ".join(f"{_first(found, 'BIGINT')} AS {name}" for name, found in names.COUNTS.items())}
  FROM spans WHERE {_SEEN}
),
above AS (
  SELECT trace_id, parent_span_id AS span_id, false AS of_tokens FROM seen WHERE is_call
  UNION SELECT trace_id, parent_span_id, true FROM seen
    WHERE coalesce(input_tokens, 0) > 0 OR coalesce(output_tokens, 0) > 0
  UNION SELECT links.trace_id, links.parent_span_id, of_tokens FROM above JOIN links USING (trace_id, span_id)
),
calls AS (SELECT * FROM seen ANTI JOIN (FROM above WHERE NOT of_tokens) USING (trace_id, span_id) WHERE is_call),
used AS (SELECT * FROM seen ANTI JOIN (FROM above WHERE of_tokens) USING (trace_id, span_id)),
counted AS (
  SELECT provider, model, session_id, 1 AS calls, duration_ns, {", ".join(f"0 AS {name}" for name in names.COUNTS)} FROM calls
  UNION ALL
  SELECT provider, model, session_id, 0, NULL, {", ".join(names.COUNTS)} FROM used
)
SELECT provider, model, sum(calls)::BIGINT AS calls, count(DISTINCT session_id) AS sessions,
  {", ".join(f"coalesce(sum({name}), 0)::BIGINT AS {name}" for name in names.COUNTS)},
  quantile_cont(duration_ns, 0.5) / 1e6 AS median_ms, min(session_id) AS session_id
FROM counted GROUP BY provider, model
HAVING sum(calls) > 0 OR sum(input_tokens) > 0 OR sum(output_tokens) > 0
ORDER BY coalesce(sum(input_tokens), 0) + coalesce(sum(output_tokens), 0) DESC, sum(calls) DESC, model LIMIT 50""",  # noqa: S608 - of our own constants
        "The models that were called, their tokens and how long they took; what a span repeats counts once.",
    ),
    "tools": Ready(
        f"""\
SELECT tool, count(*) AS calls, count(*) FILTER (status = 'ERROR') AS errors,
  count(DISTINCT session_id) AS sessions, quantile_cont(duration_ns, 0.5) / 1e6 AS median_ms,
  max(duration_ns) / 1e6 AS longest_ms, min(session_id) AS session_id
FROM (
  SELECT coalesce({_first(names.TOOL)}, name) AS tool, status, session_id, duration_ns
  FROM spans WHERE ({_SEEN}) AND {_kind()} = 'tool'
) GROUP BY tool ORDER BY calls DESC, tool LIMIT 50""",  # noqa: S608 - as above
        "The tools that agents called, how often they failed and how long they took.",
    ),
}
"""The ready-made queries by their names."""
