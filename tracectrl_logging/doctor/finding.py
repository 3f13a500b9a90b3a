"""What a check hands out."""

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
    """One thing that was found."""

    severity: Severity
    """Lines are lost or wrong, or may be; something worth knowing; or nothing wrong."""
    check: str
    """The name of the check."""
    subject: str
    """What it is about: a logger, a handler, a file."""
    message: str
    mend: str = ""
    """What to do."""
    count: int = 1
    """How often."""
    positions: tuple[str, ...] = ()
    """Where, at most :data:`MOST_POSITIONS` of them."""

    @property
    def is_problem(self) -> bool:
        """Whether something is wrong."""
        return self.severity in ("error", "warning")

    def row(self) -> dict[str, Any]:
        """Return the finding as a dictionary that JSON can hold."""
        return {**asdict(self), "positions": list(self.positions)}
