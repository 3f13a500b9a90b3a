"""One session as one file: everything that is stored of it, and nothing of any other.

The ZIP holds the files as they are, but not compressed twice, the timeline in two forms and a
manifest. It is the same, byte for byte, as long as the session is.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import zipfile
from typing import IO, TYPE_CHECKING, Any

from tracectrl.files.names import OVERFLOW_STEM, stem_of
from tracectrl_logging.reader.file_store import FileStore
from tracectrl_logging.reader.files.lines import session_lines
from tracectrl_logging.reader.files.opening import SUFFIX_OF, UNREADABLE, close_all, open_chain
from tracectrl_logging.reader.model import Damage
from tracectrl_logging.reader.timeline.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tracectrl_logging.reader.model import Line, Report

_CHUNK_BYTES = 256 * 1024
_FIRST_YEAR, _LAST_YEAR = 1980, 2107  # what ZIP can say
_PACKED = (".gz", ".zst")
_FORM = 1
_FACTS = ("first_time", "last_time", "logs", "spans", "errors", "error_spans", "services")


def write_zip(
    directory: str,
    sid: str,
    file: IO[bytes],
    report: Report,
    *,
    as_text: Callable[[Line], str],
    as_json: Callable[[Line], bytes],
) -> int:
    """Write the session *sid* of a trace directory into *file* as a ZIP.

    Args:
        directory: the trace directory; no other store has files.
        sid: the session's ID.
        file: written from its start to its end, and never asked where that is: it may be a pipe, a
            device, or a file that is appended to.
        report: hears of damage; the manifest names it, too.
        as_text: a line for people, without its last newline.
        as_json: a line of ``show --json``.

    Returns:
        How many log lines and spans there are.

    Raises:
        UnknownSessionError: there is no such session.
    """
    damages: list[Damage] = []

    def note(damage: Damage) -> None:
        if damage not in damages:  # the files are read more than once
            damages.append(damage)
            report(damage)

    store = FileStore(directory, on_damage=note)
    tally = Tally()
    for line in store.read(sid):
        tally.see(line)
    facts = tally.summary(sid)
    with zipfile.ZipFile(_Once(file), "w", zipfile.ZIP_DEFLATED) as archive:
        packer = _Packer(archive, _date(facts.last_time or ""))
        files = [packer.add(name, chunks) for name, chunks in _stored(store, sid, note)]
        texts = (
            as_text(line).encode("utf-8", "backslashreplace") + b"\n" for line in store.read(sid)
        )
        packer.add("timeline.txt", texts)
        packer.add("timeline.jsonl", (as_json(line) + b"\n" for line in store.read(sid)))
        manifest = {
            "form": _FORM,
            "session_id": sid,
            **{name: getattr(facts, name) for name in _FACTS},
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


def _date(last: str) -> tuple[int, int, int, int, int, int]:
    """Return the time of a session's last line as ZIP writes it."""
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


def _stored(store: FileStore, sid: str, report: Report) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield the session's files, the oldest first: what each is called, and what it holds."""
    for kind, suffix in SUFFIX_OF.items():
        for found in store.files_of(sid):
            if found.stem == OVERFLOW_STEM:
                shared = session_lines((found,), kind, sid, report)
                lines = (line.raw + b"\n" for line in shared)
                first = next(lines, None)
                if first is not None:  # its own lines among those of others
                    stem = sid if sid == OVERFLOW_STEM else f"{stem_of(sid)}.overflow"
                    yield f"files/{stem}{suffix}", itertools.chain([first], lines)
                continue
            files = open_chain(found, kind, report)
            try:
                for file in files:
                    name = os.path.basename(file.path)
                    for packed in _PACKED:
                        name = name.removesuffix(packed)
                    yield f"files/{name}", _content(file.path, file.stream, report)
            finally:
                close_all(files)


def _content(path: str, stream: IO[bytes], report: Report) -> Iterator[bytes]:
    try:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk
    except UNREADABLE as error:
        report(Damage(path, None, f"the file cannot be read to its end: {error}"))
