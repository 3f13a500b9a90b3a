"""``doctor`` on a root: each kind of trouble has its finding, a healthy root has none."""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files.names import stem_of
from tracectrl.session import session
from tracectrl_logging.doctor import Finding, examine_files

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    from opentelemetry import trace

    Write = Callable[..., Path]


@pytest.fixture
def write(root: Path) -> Write:
    """Return the function that writes rows, or bytes as they are, to a file of ``root``."""

    def to(name: str, *lines: dict[str, Any] | bytes) -> Path:
        root.mkdir(exist_ok=True, mode=0o700)
        data = b"".join(
            (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n"
            for line in lines
        )
        path = root / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        path.chmod(0o600)
        return path

    return to


def log(sid: str, **more: Any) -> dict[str, Any]:
    """Return a log line of the session *sid*."""
    return {
        "timestamp": "2026-01-01T00:00:00.000000Z",
        "level": "INFO",
        "message": "m",
        "session_id": sid,
        **more,
    }


def span(name: str, parent: str | None, service: str, start: str) -> dict[str, Any]:
    """Return a span line, which starts at a second of a minute."""
    row = {"session_id": "a", "span_id": name, "service": service}
    if parent is not None:
        row["parent_span_id"] = parent
    return {**row, "start_time": f"2026-01-01T00:00:{start}Z", "end_time": "2026-01-01T00:01:00Z"}


def problems(root: Path) -> list[Finding]:
    """Return what is found wrong."""
    return [finding for finding in examine_files(root) if finding.is_problem]


def one(root: Path, check: str) -> Finding:
    """Return the only thing that is found wrong."""
    found = problems(root)
    assert [check] == [finding.check for finding in found]
    assert found[0].mend
    return found[0]


def test_healthy(root: Path, logger: logging.Logger, write: Write, tracer: trace.Tracer) -> None:
    """Lines in and outside of sessions, compressed ones, and strange IDs are all right."""
    for sid in ("a", "users/ann@example.com", "x" * 300):
        with session(sid), tracer.start_as_current_span("s"):
            logger.info("hello")
    logger.info("outside")
    write("old.logs.jsonl.1.gz", log("old"))
    write("a.spans.jsonl", span("1", None, "web", "01"), span("2", "1", "db", "01.5"))
    ok, *others = examine_files(root)
    assert [] == others
    assert ("ok", "files", 7) == (ok.severity, ok.check, ok.count)


def test_root(tmp_path: Path) -> None:
    """A root that is not there, or no directory, is an error."""
    assert "does not exist" in one(tmp_path / "nowhere", "root").message
    (tmp_path / "file").write_text("")
    assert "no directory" in one(tmp_path / "file", "root").message


def test_damaged_lines(root: Path, write: Write) -> None:
    """Damaged lines are counted, with their places."""
    path = write("a.logs.jsonl", log("a"), b"nonsense", log("a"), b"{", b"[]")
    found = {finding.message: finding for finding in problems(root)}
    assert {"damaged-lines"} == {finding.check for finding in found.values()}
    assert 3 == sum(finding.count for finding in found.values())
    places = {place for finding in found.values() for place in finding.positions}
    assert {f"{path}:2", f"{path}:4", f"{path}:5"} == places


def test_truncated_file(root: Path, write: Write) -> None:
    """A compressed file that is cut off is found."""
    path = write("a.logs.jsonl.1.gz", *[log("a", number=number) for number in range(100)])
    path.write_bytes(path.read_bytes()[:-20])
    assert str(path) in one(root, "unreadable-files").subject


def test_scrubbed_session(root: Path, write: Write) -> None:
    """A session that a redaction tool has replaced is an error, whatever it left there."""
    for number, text in enumerate(("[redacted]", "***", "[Filtered]", "<REDACTED>")):
        write(f"s{number}.logs.jsonl", log(text))
    found = problems(root)
    assert {"scrubbed-session"} == {finding.check for finding in found}
    assert {"[redacted]", "***", "[Filtered]", "<REDACTED>"} == {it.subject for it in found}
    assert {"error"} == {finding.severity for finding in found}


def test_mismatch(root: Path, write: Write) -> None:
    """A line of another session than its file's is found."""
    path = write("a.logs.jsonl", log("a"), log("b"))
    assert (f"{path}:2",) == one(root, "session-mismatch").positions


def test_clock_skew(root: Path, write: Write) -> None:
    """A child span, or a line, before its parent tells by how much two clocks differ."""
    write("a.spans.jsonl", span("2", "1", "db", "01"), span("1", None, "web", "03.5"))
    write("a.logs.jsonl", log("a", span_id="1", service="db"))
    found = one(root, "clock-skew")
    assert ("web, db", 2) == (found.subject, found.count)
    assert "3.500 s" in found.message


def test_unknown_only(root: Path, write: Write) -> None:
    """Where no line has a session, that is said."""
    write("unknown.logs.jsonl", log("unknown"))
    assert 1 == one(root, "unknown-session").count


def test_lost_lines(root: Path, write: Write) -> None:
    """Lines that say how many are missing are summed."""
    write("a.logs.jsonl", *[log("a", logger="tracectrl", lost=number) for number in (2, 3)])
    assert 5 == one(root, "lost-lines").count


def test_modes(root: Path, write: Write) -> None:
    """Files and directories that others may read are found."""
    path = write("a.logs.jsonl", log("a"))
    path.chmod(0o644)
    root.chmod(0o755)
    assert ["modes", "modes"] == [finding.check for finding in problems(root)]
    path.chmod(0o600)
    assert [] == problems(root)


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_planted(kind: str, root: Path, write: Write) -> None:
    """What stands at the place of a session's file and is none is an error."""
    write("a.logs.jsonl", log("a"))
    path = root / "b.logs.jsonl"
    if kind == "link":
        path.symlink_to("a")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert "b.logs.jsonl" == one(root, "planted").subject


def limited(root: Path, limit: str) -> Finding:
    """Return the only thing that a process with one *limit*, ``NOFILE, 64`` say, finds wrong."""
    name, number = limit.split(", ")
    hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1]
    source = (
        "import resource; from tracectrl_logging.cli import main;"
        f"resource.setrlimit(resource.RLIMIT_{name}, ({number}, {hard})); main()"
    )
    command = [sys.executable, "-c", source, "doctor", "--json", "--root", str(root)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert 1 == done.returncode, done.stderr
    found = [Finding(**json.loads(line)) for line in done.stdout.splitlines()]
    problem, *others = (finding for finding in found if finding.is_problem)
    assert [] == others
    return problem


@pytest.mark.parametrize(
    "name", [b"%ZZ", b"%", b"\x1b[31m", b"\xff", b"a b", b"%41", b"x" * 129, b"caf\xc3\xa9"]
)
@pytest.mark.parametrize("end", [b".logs.jsonl", b".spans.jsonl.2.gz"])
def test_names_of_no_session(name: bytes, end: bytes, root: Path, write: Write) -> None:
    """A file that no command reads, for its name is no session's, is a problem; others are none."""
    write("a.logs.jsonl", log("a"))
    write("%C3%A9.logs.jsonl", log("é"))
    write(f"{stem_of('long' * 100)}.logs.jsonl", log("long" * 100))
    (root / os.fsdecode(name + end)).touch(0o600)
    (finding,) = (it for it in examine_files(root) if it.check == "names")
    assert (os.fsdecode(name + end), 1, True) == (
        finding.subject,
        finding.count,
        finding.is_problem,
    )


def test_few_descriptors(root: Path, write: Write) -> None:
    """A low limit on open files is said, with the number."""
    write("a.logs.jsonl", log("a"))
    finding = limited(root, "NOFILE, 64")
    assert ("descriptors", "RLIMIT_NOFILE") == (finding.check, finding.subject)
    assert "64 files" in finding.message


def test_file_size(root: Path, write: Write) -> None:
    """A file that is close to the size that a process may write is named; others are not."""
    write("small.logs.jsonl", log("small"))
    path = write("large.logs.jsonl", *[log("large")] * 10)
    finding = limited(root, f"FSIZE, {path.stat().st_size + 10}")
    assert ("file-size", path.name, 1) == (finding.check, finding.subject, finding.count)


@pytest.mark.parametrize(("mode", "word"), [(0o500, "written to"), (0o300, "read")])
def test_no_permission(mode: int, word: str) -> None:
    """A root that this user may not write to, or not read, is an error."""
    with tempfile.TemporaryDirectory(prefix="tracectrl-doctor-") as directory:
        os.chmod(directory, mode)
        if not os.geteuid():
            os.chown(directory, 65534, 65534)
        reader, writer = os.pipe()
        child = os.fork()  # who gives up its rights does not get them back
        if not child:
            found: list[str] = []
            try:
                if not os.geteuid():
                    os.setuid(65534)
                found = [it.message for it in examine_files(directory) if it.check == "root"]
            finally:
                os.write(writer, json.dumps(found).encode())
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as pipe:
            found = json.loads(pipe.read())
        os.waitpid(child, 0)
        os.chmod(directory, 0o700)
    assert [f"cannot be {word} by this user"] == found


def test_no_locks(root: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without ``flock``, which is not to be had here: prune and compress are blind."""

    def refuse(_fd: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    write("a.logs.jsonl", log("a"))
    monkeypatch.setattr(fcntl, "flock", refuse)
    finding = one(root, "flock")
    assert (str(root), True) == (finding.subject, "--idle" in finding.mend)


def test_missing_extra(root: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that needs a package that is not installed says which."""
    write("b.logs.jsonl", log("b"))
    (root / "a.logs.jsonl.1.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    (root / "a.logs.jsonl.1.zst").chmod(0o600)
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "pip install 'backports-zstd" in one(root, "missing-extra").mend


def test_leftovers(root: Path, write: Write) -> None:
    """What a killed compress has left is found, once it is old."""
    write("a.logs.jsonl", log("a"))
    path = write(".compressing-0123456789abcdef")
    assert [] == problems(root)
    os.utime(path, (time.time() - 7200,) * 2)
    assert path.name == one(root, "leftovers").subject


def test_second_distribution(
    root: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another distribution that ships the same package is an error."""
    write("a.logs.jsonl", log("a"))
    info = tmp_path / "site" / "tracectrl-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tracectrl\nVersion: 0.1\n")
    (info / "top_level.txt").write_text("tracectrl\n")
    (info / "RECORD").write_text("tracectrl/__init__.py,,\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(info.parent)])
    assert "tracectrl" == one(root, "second-distribution").subject


def test_files_that_are_none_of_ours(root: Path, write: Write) -> None:
    """Nearly a session's name is a problem; another file is worth knowing, a temporary one is not."""
    write("s.logs.jsonl", log("s"))
    for name in (".s.logs.jsonl.swp", "S.LOGS.JSONL", "s.logs.jsonl~", "s.logs.json", "notes.txt"):
        (root / name).touch(0o600)
    (root / ".running").mkdir()
    found = {it.check: it for it in examine_files(root) if it.severity != "ok"}
    assert {"names": 4, "other-files": 1} == {name: it.count for name, it in found.items()}
    assert ("notes.txt", False) == (found["other-files"].subject, found["other-files"].is_problem)


def test_files_that_nobody_reads(root: Path, write: Write) -> None:
    """Backups in a form that is not read are named; those by date are read."""
    write("s.logs.jsonl", log("s"))
    write("s.logs.jsonl-20260201.gz", log("s"))
    write("s.logs.jsonl.1.xz", b"")
    finding = one(root, "unread-files")
    assert ("s.logs.jsonl.1.xz", 1) == (finding.subject, finding.count)
    assert ".xz" in finding.message
