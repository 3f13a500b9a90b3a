"""One session as one file: everything that is stored of it, and nothing of any other.

The ZIP holds the files as they are, but not compressed twice, the timeline in two forms and a
manifest. It is the same, byte for byte, as long as the session is.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from typing import IO, TYPE_CHECKING, Any

from tracectrl.files.names import LOG_SUFFIX, SPAN_SUFFIX
from tracectrl_logging.reader.files.lines import time_of
from tracectrl_logging.reader.files.opening import UNREADABLE, close_all, open_chain
from tracectrl_logging.reader.model import Damage
from tracectrl_logging.reader.timeline.order import merged
from tracectrl_logging.reader.timeline.tally import ERROR_LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tracectrl_logging.reader.files.listing import SessionFiles
    from tracectrl_logging.reader.model import Kind, Line, Report

_KINDS: dict[Kind, str] = {"log": LOG_SUFFIX, "span": SPAN_SUFFIX}
_CHUNK_BYTES = 256 * 1024
_FIRST_YEAR, _LAST_YEAR = 1980, 2107  # what ZIP can say
_PACKED = (".gz", ".zst")
_FORM = 1


def write_zip(
    found: SessionFiles,
    sid: str,
    file: IO[bytes],
    report: Report,
    *,
    as_text: Callable[[Line], str],
    as_json: Callable[[Line], bytes],
) -> int:
    """Write the session *sid*, whose files are *found*, into *file* as a ZIP.

    Args:
        found: the session's files.
        sid: its ID.
        file: written from its start to its end, and never asked where that is: it may be a pipe, a
            device, or a file that is appended to.
        report: hears of damage; the manifest names it, too.
        as_text: a line for people, without its last newline.
        as_json: a line of ``show --json``.

    Returns:
        How many log lines and spans there are.
    """
    damages: list[Damage] = []

    def note(damage: Damage) -> None:
        if damage not in damages:  # the files are read more than once
            damages.append(damage)
            report(damage)

    facts = _Facts()
    for line in merged(found, sid, note):
        facts.see(line)
    with zipfile.ZipFile(_Once(file), "w", zipfile.ZIP_DEFLATED) as archive:
        packer = _Packer(archive, facts.date())
        files = [packer.add(name, chunks) for name, chunks in _stored(found, note)]
        texts = (
            as_text(line).encode("utf-8", "backslashreplace") + b"\n"
            for line in merged(found, sid, note)
        )
        packer.add("timeline.txt", texts)
        packer.add("timeline.jsonl", (as_json(line) + b"\n" for line in merged(found, sid, note)))
        manifest = {
            "form": _FORM,
            "session_id": sid,
            **facts.as_dict(),
            "files": files,
            "damage": [
                str(Damage(os.path.basename(it.path), it.line, it.reason)) for it in damages
            ],
        }
        text = json.dumps(manifest, indent=2) + "\n"
        packer.add("manifest.json", [text.encode()])
    return facts.logs + facts.spans


class _Once(io.RawIOBase):
    """A file that is written once, from the start to the end, whatever it could do itself."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)

    def flush(self) -> None:
        if not self.closed:
            self._file.flush()


class _Facts:
    """What the manifest says of a session's lines."""

    def __init__(self) -> None:
        self.logs = self.spans = self.errors = 0
        self.first: str | None = None
        self.last: str | None = None
        self.services: set[str] = set()

    def see(self, line: Line) -> None:
        if line.kind == "log":
            self.logs += 1
            level = line.row.get("level")
            self.errors += isinstance(level, str) and level in ERROR_LEVELS
        else:
            self.spans += 1
        service = line.row.get("service")
        if isinstance(service, str):
            self.services.add(service)
        times = [time for time in (line.time, time_of(line.row.get("end_time"))) if time]
        if times:
            self.first = min(times if self.first is None else [self.first, *times])
            self.last = max(times if self.last is None else [self.last, *times])

    def as_dict(self) -> dict[str, Any]:
        return {
            "first_time": self.first,
            "last_time": self.last,
            "logs": self.logs,
            "spans": self.spans,
            "errors": self.errors,
            "services": sorted(self.services),
        }

    def date(self) -> tuple[int, int, int, int, int, int]:
        """Return the session's end as ZIP writes it."""
        last = self.last or ""
        year = int(last[:4] or 0)
        if not _FIRST_YEAR <= year <= _LAST_YEAR:
            return (_FIRST_YEAR, 1, 1, 0, 0, 0)
        month, day, hour, minute, second = (int(last[at : at + 2]) for at in (5, 8, 11, 14, 17))
        return (year, month, day, hour, minute, second)


class _Packer:
    """Adds files to a ZIP, all with one date."""

    def __init__(self, archive: zipfile.ZipFile, date: tuple[int, int, int, int, int, int]) -> None:
        self._archive, self._date = archive, date

    def add(self, name: str, chunks: Iterable[bytes]) -> dict[str, Any]:
        """Add a file; return what the manifest says of it."""
        info = zipfile.ZipInfo(name, self._date)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        info.create_system = 3  # Unix, wherever it is made
        digest = hashlib.sha256()
        size = 0
        with self._archive.open(info, "w", force_zip64=True) as target:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
        return {"name": name, "bytes": size, "sha256": digest.hexdigest()}


def _stored(found: SessionFiles, report: Report) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield the session's files, the oldest first: what each is called, and what it holds."""
    for kind, suffix in _KINDS.items():
        files = open_chain(found, kind, report)
        try:
            for file in files:
                name = os.path.basename(file.path)
                for packed in _PACKED:
                    name = name.removesuffix(packed)
                yield f"files/{name}", _content(file.path, file.stream, report)
        finally:
            close_all(files)
        if found.overflow is not None:
            lines = _shared(found, kind, report)
            first = next(lines, None)
            if first is not None:  # its own lines among those of others
                yield f"files/{found.stem}.overflow{suffix}", _again(first, lines)


def _content(path: str, stream: IO[bytes], report: Report) -> Iterator[bytes]:
    try:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk
    except UNREADABLE as error:
        report(Damage(path, None, f"the file cannot be read to its end: {error}"))


def _shared(found: SessionFiles, kind: Kind, report: Report) -> Iterator[bytes]:
    if found.overflow is not None:
        for _, stored in found.overflow.sources(found.stem, kind, report):
            for _, raw, _ in stored:
                yield raw + b"\n"


def _again(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others
