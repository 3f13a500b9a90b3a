"""One session as a ZIP: all of it, nothing else, the same each time."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from tracectrl.files import log_path
from tracectrl.files.retention.compress import compress
from tracectrl.session import session
from tracectrl_logging import SessionFileHandler
from tracectrl_logging.reader.export.zip import write_zip

if TYPE_CHECKING:
    from pathlib import Path


def exported(sid: str, root: Path, damages: list[str] | None = None) -> bytes:
    """Return the ZIP of the session *sid*."""
    file = io.BytesIO()
    write_zip(
        str(root),
        sid,
        file,
        lambda it: damages.append(str(it)) if damages is not None else pytest.fail(str(it)),
        as_text=lambda line: line.time,
        as_json=lambda line: line.raw,
    )
    return file.getvalue()


def content(data: bytes) -> dict[str, bytes]:
    """Return what the files of a ZIP hold."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_content(logger: logging.Logger, file_tracer: trace.Tracer, root: Path) -> None:
    """The files are there as they are, the timeline in two forms, and a manifest that is right."""
    for sid in ("s", "other"):
        with session(sid), file_tracer.start_as_current_span("span") as span:
            logger.error("broken in %s", sid)
            span.set_status(trace.StatusCode.ERROR)
    files = content(exported("s", root))
    assert not any(b"other" in data for data in files.values())
    assert log_path("s", root).read_bytes() == files["files/s.logs.jsonl"]
    assert 2 == files["timeline.txt"].count(b"\n") == files["timeline.jsonl"].count(b"\n")
    manifest = json.loads(files["manifest.json"])
    keys = ("session_id", "logs", "spans", "errors", "error_spans", "services", "damage")
    assert ("s", 1, 1, 1, 1, ["api"], []) == tuple(manifest[key] for key in keys)
    assert {"files/s.logs.jsonl", "files/s.spans.jsonl"} == {
        file["name"] for file in manifest["files"]
    }
    for file in manifest["files"]:
        data = files[file["name"]]
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])


@pytest.mark.parametrize("packed", [None, "gz", "zst"])
def test_rotated(packed: Any, root: Path) -> None:
    """Rotated files are all there, and unpacked; the ZIP is the same each time."""
    handler = SessionFileHandler(root, max_bytes=2000, backup_count=99)
    for index in range(50):
        handler.handle(logging.makeLogRecord({"msg": f"{index}", "session_id": "s"}))
    handler.close()
    if packed is not None:
        compress(root, packed=packed)
    data = exported("s", root)
    assert data == exported("s", root)
    files = content(data)
    assert not any(name.endswith((".gz", ".zst")) for name in files)
    stored = b"".join(files[name] for name in files if name.startswith("files/"))
    assert [str(index) for index in range(50)] == [
        json.loads(line)["message"] for line in stored.splitlines()
    ]
    assert stored == files["timeline.jsonl"]


def test_overflow(root: Path) -> None:
    """Of the file that many sessions share, the session's own lines alone."""
    handler = SessionFileHandler(root, max_sessions_per_minute=1)
    for index in range(4):
        handler.handle(logging.makeLogRecord({"msg": "m", "session_id": f"s{index}"}))
    handler.close()
    files = content(exported("s2", root))
    assert ["files/s2.overflow.logs.jsonl"] == [it for it in files if it.startswith("files/")]
    assert b'"s2"' in files["files/s2.overflow.logs.jsonl"]
    assert not any(b'"s1"' in data for data in files.values())


def test_damage(root: Path) -> None:
    """Damage is in the files as it is, and named once in the manifest, without the machine's paths."""
    root.mkdir()
    log_path("s", root).write_bytes(b'{"message":"m"}\nbad\n')
    damages: list[str] = []
    files = content(exported("s", root, damages))
    assert [f"{log_path('s', root)}: line 2: not JSON"] == damages
    assert ["s.logs.jsonl: line 2: not JSON"] == json.loads(files["manifest.json"])["damage"]
    assert b'{"message":"m"}\nbad\n' == files["files/s.logs.jsonl"]


def test_file_that_is_appended_to(root: Path, tmp_path: Path) -> None:
    """The file is not asked where it is: one that says something else gets the same bytes."""
    root.mkdir()
    log_path("s", root).write_bytes(b'{"message":"m"}\n')
    target = tmp_path / "x.zip"
    target.write_bytes(b"before")
    with target.open("ab") as file:
        write_zip(
            str(root),
            "s",
            file,
            lambda it: pytest.fail(str(it)),
            as_text=lambda line: line.time,
            as_json=lambda line: line.raw,
        )
    assert b"before" + exported("s", root) == target.read_bytes()
    assert "manifest.json" in content(target.read_bytes())
