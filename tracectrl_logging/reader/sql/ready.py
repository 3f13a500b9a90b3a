"""Queries that are asked for often, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tracectrl.schema import ERROR_NAMES

if TYPE_CHECKING:
    from typing import Final


class Ready(NamedTuple):
    """A query with a name."""

    sql: str
    about: str


_LEVELS = ", ".join(f"'{level}'" for level in sorted(ERROR_NAMES))

READY: Final[dict[str, Ready]] = {
    "errors": Ready(
        f"""\
SELECT count(*) AS lines, count(DISTINCT session_id) AS sessions, max(timestamp) AS last_time,
  min(session_id) AS session_id, logger, exception.type AS exception, message
FROM logs WHERE level IN ({_LEVELS})
GROUP BY logger, exception.type, message
ORDER BY lines DESC, last_time DESC, message LIMIT 50""",  # noqa: S608 - of our own constants
        "The most frequent errors by logger, exception and message, each with a session to look at.",
    ),
    "slow": Ready(
        """\
SELECT duration_ns / 1e6 AS duration_ms, status, start_time, session_id, service, name
FROM spans ORDER BY duration_ns DESC, start_time LIMIT 50""",
        "The slowest spans.",
    ),
}
"""The ready-made queries by their names."""
