"""One session as one HTML file: the page itself, with the rows in it, which opens without a network.

The modules of the page stand one after the other in one inline script, the styles in one inline style;
a Content-Security-Policy names both by their hashes and forbids everything else. The rows are data: they
are compressed, and spelt in letters that no HTML is made of.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
import re
import secrets
import zlib
from importlib.resources import files
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from tracectrl.redaction import Redactor
from tracectrl.schema import ALIASES
from tracectrl_logging.reader.parsing import row_of
from tracectrl_logging.viewer.fragments import line_rows, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import IO, Final

    from tracectrl_logging.reader.model import Line
    from tracectrl_logging.reader.store import Store

_FIRST: Final = "main.js"
_STYLES: Final = ("style.css", "session.css")
_IMPORT: Final = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:function|const|class)\b)", re.MULTILINE)
_COMMENT: Final = re.compile(
    r"^[ \t]*(?:/\*(?:[^*]|\*(?!/))*\*/|//[^\n]*)[ \t]*\n|/\*\* @(?:[^*]|\*(?!/))*\*/ ?|^[ \t]+|\n(?=\n)",
    re.MULTILINE,
)
_BODY: Final = re.compile(r"<body>\n(.*)</body>", re.DOTALL)
_ICON: Final = re.compile(r'<link rel="icon"[^>]*>')

_BATCH_LINES: Final = 500
_BATCH_BYTES: Final = 1024 * 1024
_PIECE_BYTES: Final = 768 * 1024  # of base64 in one element; three bytes are four letters
_TITLE: Final = 200


class _Page(NamedTuple):
    """What is the same in all files."""

    icon: str
    body: str
    style: str
    script: str
    policy: str


def write_html(file: IO[bytes], store: Store, sid: str, *, redact: Collection[str] = ()) -> int:
    """Write the session *sid* into *file* as one HTML page that needs nothing else.

    It shows the rows of ``show --json``. Memory is bounded, whatever the size of the session.

    Args:
        file: written from its start to its end.
        store: where the session is read from.
        sid: the session's ID.
        redact: keys whose values are left out, at any depth, compared without case. One of our keys
            means what other writers call it, too.

    Returns:
        How many log lines and spans there are.

    Raises:
        UnknownSessionError: there is no such session.
    """
    lines = store.read(sid)
    if redact:
        lines = map(_redaction(redact), lines)
    first = list(islice(lines, 1))  # raises where there is no such session
    page = _page()
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{page.policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(shown(sid, _TITLE))}</title>\n{page.icon}\n"
        f"<style>{page.style}</style>\n</head>\n<body>\n{page.body}"
        f'<script type="application/json" id="embedded-session">{_json_in_html(sid)}</script>\n'
    )
    file.write(head.encode())
    count = 0

    def encoded() -> Iterator[bytes]:
        nonlocal count
        for batch in _batches(chain(first, lines)):
            count += len(batch)
            yield from (orjson.dumps(row) + b"\n" for row in line_rows(batch, whole=True)["rows"])

    for piece in _compressed(encoded()):
        text = base64.b64encode(piece)
        file.write(b'<script type="text/plain" class="embedded-rows">%s</script>\n' % text)
    file.write(f'<script type="module">{page.script}</script>\n</body>\n</html>\n'.encode())
    return count


@functools.lru_cache(maxsize=1)
def _page() -> _Page:
    """Return the parts of the page, made of its own files."""
    shell = _text("shell.html")
    body, icon = _BODY.search(shell), _ICON.search(shell)
    script = bundle()
    style = _COMMENT.sub("", "".join(map(_text, _STYLES)))
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types tracectrl",
        )
    )
    return _Page(icon[0] if icon else "", body[1] if body else "", style, script, policy)


@functools.lru_cache(maxsize=1)
def bundle() -> str:
    """Return the modules of the page as one, each behind those that it imports; comments are left out."""
    parts: dict[str, str] = {}

    def take(name: str) -> None:
        if name in parts:
            return
        parts[name] = ""  # modules may import each other
        text = _text(name)
        for imported in _IMPORT.findall(text):
            take(imported)
        del parts[name]  # so that it stands behind them
        parts[name] = _EXPORT.sub("", _COMMENT.sub("", _IMPORT.sub("", text)))

    take(_FIRST)
    return "".join(parts.values())


def _text(name: str) -> str:
    return (files("tracectrl_logging.viewer") / "static" / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json_in_html(value: str) -> str:
    r"""Return *value* as JSON of ASCII letters, without ``<``: lone surrogates, too, come through."""
    return json.dumps(value).replace("<", "\\u003c")


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Yield *lines* in lists that are neither long nor large."""
    batch: list[Line] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line.raw)
        if len(batch) == _BATCH_LINES or size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield *chunks* as one gzip stream, in pieces that base64 spells without a gap between them."""
    packer = zlib.compressobj(wbits=31)
    waiting = bytearray()
    for chunk in chunks:
        for start in range(0, len(chunk), _BATCH_BYTES):
            waiting += packer.compress(chunk[start : start + _BATCH_BYTES])
            while len(waiting) >= _PIECE_BYTES:
                yield bytes(waiting[:_PIECE_BYTES])
                del waiting[:_PIECE_BYTES]
    waiting += packer.flush()
    for start in range(0, len(waiting), _PIECE_BYTES):
        yield bytes(waiting[start : start + _PIECE_BYTES])


def _redaction(redact: Collection[str]) -> Callable[[Line], Line]:
    """Return what takes the values of the keys *redact* out of a line; other values stay as they are written."""
    names = {name.lower() for name in redact}
    names |= {alias for alias, key in ALIASES.items() if key in names}
    redactor = Redactor(names)
    # Numbers go through as texts that nobody can have written, so that they keep all their digits.
    sign = f"\0{secrets.token_hex(8)}:"
    number = re.compile(rf'"{re.escape(json.dumps(sign)[1:-1])}([^"]*)"')

    def redacted(line: Line) -> Line:
        repeated = False

        def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            nonlocal repeated
            found = dict(pairs)
            repeated = repeated or len(found) < len(pairs)
            return found

        try:
            row: dict[str, Any] = json.loads(
                line.raw,
                parse_int=sign.__add__,
                parse_float=sign.__add__,
                object_pairs_hook=unique,
            )
        except RecursionError:
            row = orjson.loads(line.raw)
        clean = redactor(row)
        if (
            clean == row and not repeated
        ):  # of a key that stands twice, the first value is hidden only here
            return line
        text = number.sub(r"\1", json.dumps(clean, separators=(",", ":")))
        raw = text.encode()
        return line._replace(raw=raw, row=row_of(line.kind, raw))

    return redacted
