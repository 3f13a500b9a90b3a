"""Queries that are asked for often, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tracectrl.schema import ERROR

if TYPE_CHECKING:
    from typing import Final


class Ready(NamedTuple):
    """A query with a name."""

    sql: str
    about: str


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
}
"""The ready-made queries by their names."""
