"""One finding of a check, for people and as a row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from typing import TypeAlias

Severity: TypeAlias = Literal["error", "warning", "info", "ok"]

MOST_POSITIONS = 20
"""How many places a finding names; its count counts them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding: how bad it is, what it is about, and the mend."""

    severity: Severity
    """error and warning: lines are, or may be, lost or wrong. info: worth knowing. ok: nothing wrong."""
    check: str
    """The name of the check."""
    subject: str
    """The logger, handler or file in question."""
    message: str
    mend: str = ""
    """The command or setting that mends it."""
    count: int = 1
    """The number of records, lines or files that are meant."""
    positions: tuple[str, ...] = ()
    """The first places, at most :data:`MOST_POSITIONS`."""

    @property
    def is_problem(self) -> bool:
        """Whether the severity is error or warning."""
        return self.severity in ("error", "warning")

    def row(self) -> dict[str, Any]:
        """Return the finding as a dictionary that JSON can hold."""
        return {**asdict(self), "positions": list(self.positions)}
