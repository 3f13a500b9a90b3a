"""tracectrl.files.names: the one mapping between session IDs and file names."""

from __future__ import annotations

import gzip
import io
import json
import os
import string
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tracectrl._json import encode_line
from tracectrl.errors import MissingExtraError
from tracectrl.exporter import FileSpanExporter
from tracectrl.files import log_path, session_id_of, span_path
from tracectrl.files.compression import packing
from tracectrl.files.names import LOG_SUFFIX, id_of_stem, number_of, parse_name, stem_of
from tracectrl.files.write.appender import Appender

ROOT = Path("/r")
PLAIN = string.ascii_letters + string.digits + "._-"
LONGEST_NAME = 255

ATTACKS = [
    "..",
    ".",
    "../x",
    "../../etc/passwd",
    "/etc/passwd",
    "//server/share",
    "a/b",
    "a\\b",
    "..\\x",
    "C:\\x",
    "C:x",
    "~",
    "~root",
    "-rf",
    ".hidden",
    "_x",
    "a\0b",
    "\0",
    "a\nb",
    "con.\nx",
    "a\rb",
    " ",
    "  a  ",
    "a.",
    "%2e%2e%2f",
    "%",
    "%%",
    "%-",
    "%-mfrggzdfmy",
    "%~x.0a1b",
    "%63on",
    "$(reboot)",
    "`id`",
    "*",
    "?",
    "|",
    ";",
    "é",
    "e\u0301",
    "\ufeff",
    "\u202e",
    "\ud800",
    "\udfff\ud800",
    "日本語",
    "😀" * 32,
    "\U0010ffff",
    "x" * 128,
    "x" * 129,
    "x" * 4096,
    "é" * 64,
    "é" * 65,
    "/" * 128,
    "%" * 128,
    "../" * 300,
    "x.logs.jsonl",
    "x.logs.jsonl.1",
    "x.spans.jsonl",
    "x.logs.jsonl.1.gz",
    "com\u00b9",
]
DEVICES = [
    "con.\nx",
    "con",
    "CON",
    "Con.txt",
    "nul",
    "aux.a.b",
    "prn",
    "com0",
    "COM9",
    "lpt1",
    "LPT9.log",
]

ids = st.text(
    st.one_of(
        st.sampled_from(PLAIN + "/\\%~:*\0\n é"),
        st.characters(),
        st.characters(categories=["Cs"]),
    ),
    min_size=1,
    max_size=200,
)


def utf8(sid: str) -> bytes:
    """Return the bytes of *sid*, lone surrogates too."""
    return sid.encode("utf-8", "surrogatepass")


def check_name(path: Path) -> None:
    """Assert that *path* is a file right under the root that any file system can hold."""
    assert ROOT == path.parent
    assert os.path.normpath(path) == str(path)
    name = path.name
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) - set(PLAIN + "%~")
    assert name[0] in string.ascii_letters + string.digits + "%"
    assert LONGEST_NAME >= len(name + ".999.zst")


class TestPlainIds:
    """An ID that can be a file stem is one."""

    @pytest.mark.parametrize(
        "sid",
        [
            "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
            "0",
            "a..b",
            "a.",
            "A-_.z",
            "x" * 128,
            "unknown",
            "console",
            "com",
            "com10",
            "x.con",
            "x.logs.jsonl",
            "x.logs.jsonl.1",
        ],
    )
    def test_is_its_own_stem(self, sid: str) -> None:
        """And comes back from either name."""
        assert ROOT / f"{sid}.logs.jsonl" == log_path(sid, ROOT)
        assert ROOT / f"{sid}.spans.jsonl" == span_path(sid, ROOT)
        assert sid == session_id_of(log_path(sid, ROOT)) == session_id_of(span_path(sid, ROOT))

    @given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True))
    def test_the_rule(self, sid: str) -> None:
        """The contract's rule, except for the names of Windows devices."""
        if sid.partition(".")[0].lower() not in {"con", "prn", "aux", "nul"}:
            assert sid.lower().startswith(("com", "lpt")) or sid == stem_of(sid)


class TestOtherIds:
    """Any other ID is encoded."""

    @pytest.mark.parametrize("sid", [*ATTACKS, *DEVICES])
    def test_never_outside_the_root(self, sid: str) -> None:
        """One component, right under the root, of harmless characters."""
        check_name(log_path(sid, ROOT))
        check_name(span_path(sid, ROOT))

    @given(sid=ids)
    @example("é" * 200)
    def test_never_outside_the_root_whatever_the_id(self, sid: str) -> None:
        """The same for arbitrary text."""
        check_name(log_path(sid, ROOT))

    @pytest.mark.parametrize("sid", [s for s in ATTACKS if len(utf8(s)) <= 128] + DEVICES)
    def test_comes_back_from_the_name(self, sid: str) -> None:
        """Up to 128 UTF-8 bytes, without a file."""
        for path_of in (log_path, span_path):
            assert utf8(sid) == utf8(session_id_of(path_of(sid, ROOT)))

    @given(sid=ids.filter(lambda sid: len(utf8(sid)) <= 128))
    def test_comes_back_from_the_name_whatever_the_id(self, sid: str) -> None:
        """The same for arbitrary text, in rotated and compressed files too."""
        path = log_path(sid, ROOT)
        for suffix in ("", ".1", ".12", ".1.gz", ".3.zst", ".gz"):
            assert utf8(sid) == utf8(session_id_of(f"{path}{suffix}"))

    @pytest.mark.parametrize("sid", DEVICES)
    def test_no_windows_device(self, sid: str) -> None:
        """With an extension they are devices still, in any case."""
        stem = log_path(sid, ROOT).name.partition(".")[0]

        assert stem.startswith("%")

    @pytest.mark.parametrize(
        ("sid", "error"), [("", ValueError), (None, TypeError), (7, TypeError)]
    )
    def test_what_cannot_be_an_id(self, sid: Any, error: type[Exception]) -> None:
        """It has no file."""
        for path_of in (log_path, span_path):
            with pytest.raises(error):
                path_of(sid, ROOT)


class TestNoTwoIdsInOneFile:
    """Distinct IDs have distinct names, also where the file system ignores case."""

    def check(self, sids: list[str]) -> None:
        """Assert that no two of *sids* share a name, unless they differ in case alone."""
        owners: dict[str, str] = {}
        for sid in sids:
            owner = owners.setdefault(log_path(sid, ROOT).name.casefold(), sid)
            if owner != sid:
                assert owner.casefold() == sid.casefold(), ascii((owner, sid))
        exact = {log_path(sid, ROOT).name for sid in sids}
        assert len(set(sids)) == len(exact)

    def test_the_attacks(self) -> None:
        """And what they are encoded as, given as IDs themselves."""
        sids = [*ATTACKS, *DEVICES]
        self.check([*sids, *(stem_of(sid) for sid in sids)])

    @given(sids=st.lists(ids, unique=True, min_size=2, max_size=8))
    def test_arbitrary_ids(self, sids: list[str]) -> None:
        """With the stems that they get as further IDs."""
        self.check(list({*sids, *(stem_of(sid) for sid in sids)}))

    @given(sid=st.binary(min_size=45, max_size=128))
    def test_bytes_that_need_the_dense_encoding(self, sid: bytes) -> None:
        """IDs that are short enough to come back but too long percent-encoded."""
        text = sid.decode("latin-1")[:60]
        self.check([text, text + "\0", text.swapcase(), text[:-1]])

    def test_long_ids(self) -> None:
        """A shared prefix is not enough to merge them."""
        self.check([f"{'x' * 500}{number}" for number in range(100)])


class TestLongIds:
    """More than 128 UTF-8 bytes: a prefix and a digest; the file's first line has the ID."""

    @pytest.mark.parametrize("sid", ["x" * 129, "é" * 65, "../" * 100, "\ud800" * 50])
    def test_from_a_log_file(self, sid: str, root: Path) -> None:
        """Its lines hold the ID."""
        path = log_path(sid, root)
        root.mkdir()
        path.write_text(json.dumps({"session_id": sid}) + "\n")

        assert utf8(sid) == utf8(session_id_of(path))

    def test_the_name_begins_readably(self) -> None:
        """A person finds it."""
        assert log_path("order 7 " * 50, ROOT).name.startswith("%~order_207_20")

    def test_from_rotated_and_compressed_files(self, root: Path) -> None:
        """Whichever file of the session is asked."""
        sid = "x" * 300
        path = log_path(sid, root)
        root.mkdir()
        line = json.dumps({"session_id": sid}).encode() + b"\n"
        Path(f"{path}.1").write_bytes(line)
        Path(f"{path}.2.gz").write_bytes(gzip.compress(line))

        assert sid == session_id_of(f"{path}.1") == session_id_of(f"{path}.2.gz")

    @pytest.mark.parametrize("format", ["flat", "otlp"])
    def test_from_a_span_file(self, format: Any, root: Path) -> None:  # noqa: A002
        """Written by the exporter, in both formats."""
        sid = "é" * 200
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(root, format=format)))
        attributes: dict[str, str | int] = {"first": 1, "session.id": sid}
        provider.get_tracer("t").start_span("span", attributes=attributes).end()
        provider.shutdown()

        assert sid == session_id_of(span_path(sid, root))

    @pytest.mark.parametrize("format", ["flat", "otlp", "log"])
    @pytest.mark.parametrize(
        "sid",
        [
            "\ud83d\ude00" * 40,
            "\ud83d\ude00😀" * 30,
            "\\ud83d\\ude00" * 40,
            "\\\ud83d\ude00" * 40,
            "\udcff" * 200,
            "x" * 129 + "\ud800",
            "\ud83d\ud83d\ude00\ude00" * 20,
        ],
        ids=ascii,
    )
    def test_lone_surrogates_in_a_long_id(self, sid: str, format: Any, root: Path) -> None:  # noqa: A002
        """Two of them are not taken for the character that a parser makes of such a pair."""
        if format == "log":
            path = log_path(sid, root)
            Appender(root, LOG_SUFFIX).append(sid, encode_line({"session_id": sid}))
        else:
            path = span_path(sid, root)
            span = ReadableSpan("x", attributes={"session.id": sid})
            FileSpanExporter(root, format=format).export([span])

        assert ascii(sid) == ascii(session_id_of(path))  # a report cannot hold surrogates

    def test_behind_a_torn_first_line(self, root: Path) -> None:
        """A crash may have torn the first line; the next one holds the ID."""
        sid = "x" * 300
        path = log_path(sid, root)
        root.mkdir()
        line = json.dumps({"session_id": sid}).encode() + b"\n"
        path.write_bytes(line[:50] + b"\n" + b'{"session_id": null}\n[1]\n\xff\n"text"\n' + line)

        assert sid == session_id_of(path)

    @pytest.mark.parametrize(
        "content", [b"", b"{", b'{"session_id": "other"}\n', b'{"resourceSpans": []}\n']
    )
    def test_a_file_that_does_not_say(self, content: bytes, root: Path) -> None:
        """ValueError names the file."""
        path = log_path("x" * 300, root)
        root.mkdir()
        path.write_bytes(content)

        with pytest.raises(ValueError, match=r"%~xxx"):
            session_id_of(path)

    def test_a_file_that_is_not_there(self) -> None:
        """The OSError of the system."""
        with pytest.raises(FileNotFoundError):
            session_id_of(log_path("x" * 300, ROOT))

    @pytest.mark.parametrize("cut", [5, 40])
    def test_a_truncated_compressed_file(self, cut: int, root: Path) -> None:
        """OSError or ValueError, as the docstring says; nothing of the decompressor's own."""
        path = Path(f"{log_path('x' * 300, root)}.1.gz")
        root.mkdir()
        packed = gzip.compress(os.urandom(300))
        path.write_bytes(packed[:cut])

        with pytest.raises((OSError, ValueError)):
            session_id_of(path)

    def test_a_corrupt_compressed_file(self, root: Path) -> None:
        """The same for bytes in the middle that are not right."""
        path = Path(f"{log_path('x' * 300, root)}.1.gz")
        root.mkdir()
        packed = bytearray(gzip.compress(b"some text " * 100))
        packed[12:20] = b"\xff" * 8
        path.write_bytes(packed)

        with pytest.raises((OSError, ValueError)):
            session_id_of(path)

    def test_zstandard(self, root: Path) -> None:
        """A long ID is read from a ``.zst`` file, too; a damaged one is as damaged as any."""
        path = Path(f"{log_path('x' * 300, root)}.1.zst")
        root.mkdir()
        packed = io.BytesIO()
        with packing(packed, "zst", 3, 0) as stream:
            stream.write(b'{"session_id":"%s"}\n' % (b"x" * 300))
        path.write_bytes(packed.getvalue())
        assert "x" * 300 == session_id_of(path)

        for damaged in (packed.getvalue()[:20], b"garbage"):
            path.write_bytes(damaged)
            with pytest.raises((OSError, ValueError)):
                session_id_of(path)

    def test_zstandard_that_nothing_here_can_read(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """MissingExtraError says what to install."""
        path = Path(f"{log_path('x' * 300, root)}.1.zst")
        root.mkdir()
        path.write_bytes(b"")
        monkeypatch.setitem(sys.modules, "compression.zstd", None)
        monkeypatch.setitem(sys.modules, "backports.zstd", None)
        with pytest.raises(MissingExtraError, match="zstd"):
            session_id_of(path)


class TestSessionIdOf:
    """What is no session's file."""

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "x",
            "x.jsonl",
            "x.log.jsonl",
            ".logs.jsonl",
            "x.logs.jsonl.0",
            "x.logs.jsonl.bak",
            "x.logs.jsonl.1.bz2",
            "x.logs.jsonl-20261301",
            "x.logs.jsonl-20260100",
            "x.logs.jsonl-2026-0201",
            "x.logs.jsonl.2026-02-01_123",
            "x.logs.jsonl.1.2",
            "x.logs.jsonl~",
            "x.logs.jsonl\n",
            "x.LOGS.JSONL",
        ],
    )
    def test_another_name(self, name: str) -> None:
        """ValueError; parse_name answers None."""
        assert parse_name(name) is None
        with pytest.raises(ValueError, match="session's file"):
            session_id_of(ROOT / name)

    @pytest.mark.parametrize(
        "stem",
        [
            "..",
            ".x",
            "-x",
            "con",
            "NUL.x",
            "a b",
            "é",
            "a%2fb",
            "%61",
            "a%41",
            "%zz",
            "%",
            "%-",
            "%-1",
            "%-MFRGGZDFMY",
            "%-mfrggzdfmy",
            "x" * 129,
            "%ff",
            "x~",
        ],
    )
    def test_a_stem_that_no_id_has(self, stem: str) -> None:
        """One file, one ID: only the canonical encoding counts."""
        with pytest.raises(ValueError, match="no session ID"):
            session_id_of(f"{stem}.logs.jsonl")

    def test_takes_strings_and_paths(self) -> None:
        """In any directory."""
        assert "x" == session_id_of("x.logs.jsonl") == session_id_of(Path("/a/b/x.spans.jsonl"))

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("x.logs.jsonl", ("x", "logs", 0, None)),
            ("x.spans.jsonl.12", ("x", "spans", 12, None)),
            ("x.logs.jsonl.1.gz", ("x", "logs", 1, "gz")),
            ("x.logs.jsonl.2.zst", ("x", "logs", 2, "zst")),
            ("x.logs.jsonl.logs.jsonl", ("x.logs.jsonl", "logs", 0, None)),
        ],
    )
    def test_the_parts_of_a_name(self, name: str, expected: tuple[Any, ...]) -> None:
        """Stem, kind, number of the backup, compression."""
        assert expected == parse_name(name)


class TestRoot:
    """Where the files are."""

    def test_the_argument_then_the_variable_then_the_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An empty variable counts as unset."""
        assert Path("traces/s.logs.jsonl") == log_path("s")
        monkeypatch.setenv("TRACECTRL_TRACE_DIR", "")
        assert Path("traces/s.spans.jsonl") == span_path("s")
        monkeypatch.setenv("TRACECTRL_TRACE_DIR", "/var/traces")
        assert Path("/var/traces/s.logs.jsonl") == log_path("s")
        assert Path("other/s.logs.jsonl") == log_path("s", "other")
        assert Path("other/s.logs.jsonl") == log_path("s", Path("other"))


class TestRotatedByOthers:
    """The names that other programs give to backups."""

    @pytest.mark.parametrize(
        "end",
        [
            "-20260201",
            "-2026020113",
            "-20260201-1769904000",
            "-2026-02-01",
            ".2026-02-01",
            ".2026-02-01_13",
            ".2026-02-01_13-45",
            ".2026-02-01_13-45-59",
            ".20260201",
            ".01",
            "-20260201.1",
        ],
    )
    @pytest.mark.parametrize("packed", [None, "gz", "zst"])
    def test_their_names(self, end: str, packed: str | None) -> None:
        """A name by date or with zeros in front is that of a backup, compressed or not."""
        name = parse_name(f"a.b.spans.jsonl{end}{f'.{packed}' if packed else ''}")
        assert name is not None
        assert ("a.b", "spans", packed) == (name.stem, name.kind, name.packed)
        assert name.backup > 0

    def test_the_oldest_first(self) -> None:
        """Dates go before numbers, the earliest first; then the highest number."""
        ends = ["-20251231", "-20260201.2", ".2026-02-01.1", "-20260201", "-2026020113", ".007"]
        ends += [".6", ".1.gz", ""]
        names = [parse_name(f"s.logs.jsonl{end}") for end in ends]
        assert sorted(names, key=lambda it: 0 if it is None else -it.backup) == names

    def test_which_rotation_moves(self) -> None:
        """Rotation moves what it has named itself, and nothing else."""
        ends = ["", ".gz", ".1", ".12.zst", ".01", "-20260201", ".2026-02-01.1.gz"]
        assert [0, 0, 1, 12, -1, -1, -1] == [number_of(f".logs.jsonl{end}") for end in ends]


@pytest.mark.parametrize(
    "stem", ["%~a", "%~a\x01b", "%~a\n." + "0" * 64, "%~a." + "0" * 63, "%~é." + "0" * 64]
)
def test_no_digest(stem: str) -> None:
    """A name that only begins as that of a long ID's file is nobody's."""
    with pytest.raises(ValueError, match="no session ID"):
        id_of_stem(stem)
