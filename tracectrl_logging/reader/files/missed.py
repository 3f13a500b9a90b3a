"""Files that are gone, and what was read of them: a copy may be found, or the file itself again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracectrl_logging.reader.files.followed import Followed

_KEPT_S = 60.0


class Missed:
    """Remembers files for a minute, by their sessions' stems."""

    def __init__(self) -> None:
        self._files: dict[str, list[tuple[float, Followed]]] = {}
        self._tidy_at = 0.0

    def add(self, file: Followed) -> None:
        """Remember *file*."""
        self._files.setdefault(file.parsed.stem, []).append((time.monotonic(), file))

    def of(self, stem: str) -> Iterator[Followed]:
        """Yield the files of a session, the latest first."""
        return (file for _, file in reversed(self._files.get(stem, ())))

    def remove(self, file: Followed) -> None:
        """Forget *file*, which is there again."""
        files = self._files.get(file.parsed.stem, [])
        files[:] = [item for item in files if item[1] is not file]

    def tidy(self) -> None:
        """Forget what has been here for long."""
        now = time.monotonic()
        if now < self._tidy_at:
            return
        self._tidy_at = now + _KEPT_S / 4
        for stem, files in list(self._files.items()):
            files[:] = [item for item in files if now - item[0] < _KEPT_S]
            if not files:
                del self._files[stem]
