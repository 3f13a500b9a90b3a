"""One session as one HTML file: what is in it, and what it can never do."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import zlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files import log_path
from tracectrl.redaction import MARKER
from tracectrl_logging.reader import UnknownSessionError, open_store
from tracectrl_logging.reader.json_rows import typed
from tracectrl_logging.viewer import write_html
from tracectrl_logging.viewer.export import bundle

if TYPE_CHECKING:
    from pathlib import Path

_TOP_LEVEL = re.compile(
    r"^(?:export )?(?:async )?(?:function\*?|const|let|class) ([A-Za-z_$][\w$]*)", re.MULTILINE
)
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]></style><img src=x onerror=alert(1)>",
    "a\u2028b\u2029c",
    "\0\x1b[31m\x7f\x85",
    "\u202egnp.exe\u2066",
    "\ud800 \udfff",
    "'\"`${alert(1)}",
)


def written(root: Path, sid: str, *redact: str) -> str:
    """Return the HTML of a session."""
    file = io.BytesIO()
    count = write_html(file, open_store(root), sid, redact=redact)
    text = file.getvalue().decode()
    assert count == len(rows_of(text))
    return text


def rows_of(text: str) -> list[Any]:
    """Return the rows that an HTML file holds, as a browser reads them."""
    pieces = re.findall(r'<script type="text/plain" class="embedded-rows">(.*?)</script>', text)
    packed = b"".join(map(base64.b64decode, pieces))
    lines = zlib.decompress(packed, wbits=31).decode().splitlines() if packed else []
    return [json.loads(line) for line in lines if line]


def raw_of(row: Any) -> str:
    """Return the line of a row, as JSON text."""
    raw = row[10]
    return str(raw if isinstance(raw, str) else raw["text"])


def put(root: Path, sid: str, *lines: dict[str, Any] | str) -> None:
    """Write log lines of a session."""
    root.mkdir(mode=0o700, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    log_path(sid, root).write_text("".join(f"{text}\n" for text in texts))


def test_rows(root: Path) -> None:
    """The rows are those of ``show --json``, in the same order, byte for byte."""
    expected = [typed(line).decode() for line in open_store(root).read("a")]
    assert expected == list(map(raw_of, rows_of(written(root, "a"))))
    assert 3 == len(expected)


def test_unknown_session(root: Path) -> None:
    """A session that is not there is an error, and nothing is written."""
    file = io.BytesIO()
    with pytest.raises(UnknownSessionError):
        write_html(file, open_store(root), "nope")
    assert b"" == file.getvalue()


def test_policy(root: Path) -> None:
    """The file's policy allows its own script and style, by their hashes, and nothing else."""
    text = written(root, "a")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    rules = dict(rule.partition(" ")[::2] for rule in policy[1].split("; "))
    script = re.findall(r'<script type="module">(.*?)</script>', text, re.DOTALL)
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    for name, found in (("script-src", script), ("style-src", style)):
        (only,) = found
        digest = base64.b64encode(hashlib.sha256(only.encode()).digest()).decode()
        assert f"'sha256-{digest}'" == rules[name]
    assert "'none'" == rules["default-src"] == rules["base-uri"] == rules["form-action"]
    assert "connect-src" not in rules
    assert not re.findall(r"<(?:link|img|iframe|object|embed|base)\b(?![^>]*data:)", text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile(tmp_path: Path, text: str) -> None:
    """Whatever a line says, in keys and values, and whatever the session is called, no markup comes of it."""
    sid = text.replace("\0", "")
    line = {"timestamp": "2026-11-30T10:00:00.000000Z", "level": text, "logger": text}
    put(tmp_path / "traces", "s", {**line, "message": text, text: {text: [text]}, "span_id": text})
    put(tmp_path / "traces", sid, {**line, "session_id": sid})
    plain = re.sub(r"<title>.*?</title>", "", written(tmp_path / "traces", "s"))
    page = written(tmp_path / "traces", sid)
    own = re.compile(r"<(?:/?)(\w+)[\s>]")
    assert own.findall(plain) == own.findall(re.sub(r"<title>.*?</title>", "", page))
    (embedded,) = re.findall(r'id="embedded-session">(.*?)</script>', page)
    assert sid == json.loads(embedded)
    (row,) = rows_of(plain)
    assert text == json.loads(raw_of(row))["message"]
    assert "<script" not in row[9].replace("&lt;script", "")


def test_exact_numbers(tmp_path: Path) -> None:
    """Numbers keep all digits, with and without redaction."""
    line = '{"message":"m","n":123456789012345678901234567890.10,"e":1E400,"secret":1.50,"k":{"Secret":[1]}}'
    put(tmp_path / "traces", "s", line)
    (row,) = rows_of(written(tmp_path / "traces", "s"))
    assert raw_of(row) == f'{{"type":"log",{line[1:]}'
    (row,) = rows_of(written(tmp_path / "traces", "s", "secret"))
    said = raw_of(row)
    assert '"n":123456789012345678901234567890.10,"e":1E400' in said
    assert f'"secret":"{MARKER}"' in said
    assert f'"Secret":"{MARKER}"' in said


def test_redaction(tmp_path: Path) -> None:
    """What is redacted is nowhere in the file: not in the line, nor in what is shown of it."""
    secret = "hunter2-7f3a"  # noqa: S105 - it is to be found nowhere
    deep: Any = secret
    for _ in range(900):
        deep = {"x": deep}
    put(
        tmp_path / "traces",
        "s",
        {"msg": "sent", "levelname": "INFO", "headers": [["Authorization", secret], ["a", "b"]]},
        {"message": "m", "user": {"email": secret, "id": 1}, "email": secret},
        {"msg": secret, "level": "INFO"},
        {"message": "deep", "email": deep},
    )
    text = written(tmp_path / "traces", "s", "AUTHORIZATION", "email")
    assert 1 == json.dumps(rows_of(text)).count(secret) // 2  # the line and what is shown of it
    text = written(tmp_path / "traces", "s", "AUTHORIZATION", "email", "message")
    assert secret not in json.dumps(rows_of(text))
    assert ["b", 1] == [
        json.loads(raw_of(rows_of(text)[0]))["headers"][1][1],
        json.loads(raw_of(rows_of(text)[1]))["user"]["id"],
    ]


def test_long_line(tmp_path: Path) -> None:
    """A line of megabytes is in the file as a whole, and its row shows the beginning."""
    message = "x" * 3_000_000 + "end"
    put(tmp_path / "traces", "s", {"message": message})
    (row,) = rows_of(written(tmp_path / "traces", "s"))
    assert message == json.loads(raw_of(row))["message"]
    assert len(row[9]) < 2000


def test_size(tmp_path: Path) -> None:
    """A file is smaller than one and a half times the JSON in it and 200 KB, whatever the lines are of."""
    noise = hashlib.shake_256(b"noise").hexdigest(300_000)
    for sid, lines in (
        ("empty", [{"message": ""}]),
        ("words", [{"message": f"line {n}", "n": n} for n in range(5000)]),
        ("noise", [{"message": noise[n * 60 : n * 60 + 60]} for n in range(10_000)]),
        ("long", [{"message": base64.b85encode(bytes.fromhex(noise)).decode()}]),
    ):
        put(tmp_path / "traces", sid, *lines)
        text = written(tmp_path / "traces", sid)
        held = sum(len(raw_of(row)) for row in rows_of(text))
        assert len(text) < 1.5 * held + 200_000, sid


def test_script() -> None:
    """The modules are one script: no import is left, no name is there twice, and it holds no end of a script."""
    text = bundle()
    assert [] == re.findall(r"^\s*(?:import|export)\b", text, re.MULTILINE)
    assert [] == re.findall(r"</script|<!--", text, re.IGNORECASE)
    modules = files("tracectrl_logging.viewer") / "static"
    names = [
        name
        for module in modules.iterdir()
        if module.name.endswith(".js")
        for name in _TOP_LEVEL.findall(module.read_text("utf-8"))
    ]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.one_python
def test_memory(tmp_path: Path) -> None:
    """Writing takes little more memory than reading does, however many lines there are."""
    line = {"timestamp": "2026-11-30T10:00:00.000000Z", "level": "INFO", "message": "m" * 500}
    put(tmp_path / "traces", "s", *([line] * 60_000))
    program = """
import resource, sys
from tracectrl_logging.reader import open_store
from tracectrl_logging.viewer import write_html
store = open_store(sys.argv[1])
if sys.argv[2] == "read":
    for _ in store.read("s"):
        pass
else:
    write_html(open("/dev/null", "wb"), store, "s")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

    def peak_kb(what: str) -> int:
        command = [sys.executable, "-c", program, str(tmp_path / "traces"), what]
        return int(subprocess.check_output(command, text=True))

    assert peak_kb("write") - peak_kb("read") < 40_000
