"""The one mapping between session IDs and file names.

A *plain* ID is its own file stem. Any other ID is encoded, in one of three forms that no plain ID
can look like, because ``%`` is in none:

- ``user%40example.com``: percent-encoded UTF-8, while that is short;
- ``%-mfrggzdfmy``: lower-case base32 of the UTF-8 bytes, for up to 128 of them. Not base64: two
  names may not differ in case alone, or a case-insensitive file system would merge them;
- ``%~prefix.0a1b…``: a readable prefix and the SHA-256 of the UTF-8 bytes, for a longer ID. The ID
  itself is then read back from the file's first line.

Lone surrogates, which UTF-8 cannot hold, are encoded as CPython's ``surrogatepass`` does.

What plain IDs do not need is imported where it is used: the command loads this module each time.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import os
import re
import stat
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TRACE_DIR_ENV = "TRACECTRL_TRACE_DIR"
"""The environment variable that names the root, where no argument does."""

DEFAULT_ROOT = "traces"
"""The root, relative to the working directory, where nothing names one."""

LOG_SUFFIX = ".logs.jsonl"
SPAN_SUFFIX = ".spans.jsonl"
LIVE_SUFFIXES = (LOG_SUFFIX, SPAN_SUFFIX)
"""The ends of the names of the files that are being written."""

OVERFLOW_STEM = "%overflow"
"""The stem of the file that takes the lines of new sessions past a limit; no session's own."""

MAX_BYTES_IN_NAME = 128
"""IDs of up to this many UTF-8 bytes can be read back from the name alone."""

# 255 bytes is the longest name on the file systems in use; this leaves room for
# ".spans.jsonl", a rotation number and a compression suffix.
_MAX_PERCENT_STEM = 200
_MAX_PREFIX = 48

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://", re.ASCII)
_LINES_TO_TRY = 100
_READ_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO must not block
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: with any extension, in any case.
_DEVICE = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)", re.ASCII)
_DIGESTED = re.compile(r"%~[A-Za-z0-9._-]*\.[0-9a-f]{64}", re.ASCII)
_PLAIN = re.compile(rf"(?!{_DEVICE.pattern})[A-Za-z0-9][A-Za-z0-9._-]{{0,127}}", re.ASCII)
# As logrotate (dateext), TimedRotatingFileHandler and their like name backups.
_DATE = (
    r"[0-9]{4}(?P<dash>-?)(?:0[1-9]|1[0-2])(?P=dash)(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:[-_T]?[0-9]{2}(?:[-_:]?[0-9]{2}){0,2}|-[0-9]{9,11})?"  # a time of day, or since the epoch
)
_NAME = re.compile(
    r"(?P<stem>.+)\.(?P<kind>logs|spans)\.jsonl"
    rf"(?:[-.](?P<date>{_DATE}))?(?:\.(?P<backup>0*[1-9][0-9]*))?(?:\.(?P<packed>gz|zst))?",
    re.ASCII | re.DOTALL,
)
_DATE_DIGITS = 20
_PER_DATE = 1000
_FIRST_DATE = 10**_DATE_DIGITS * _PER_DATE

# Two surrogates, each escaped: a parser makes one character of them. No ID holds noncharacters
# except to spite us, and then it holds no lone surrogates as well.
_JOINED = re.compile(rb"(?<!\\)((?:\\\\)*\\ud[89ab][0-9a-f]{2})(?=\\ud[c-f][0-9a-f]{2})")
_BETWEEN = "\ufdd0\ufdef"


class ParsedName(NamedTuple):
    """What a file name says: see :func:`parse_name`."""

    stem: str
    kind: str
    """``"logs"`` or ``"spans"``."""
    backup: int
    """0 for the file being written, 1 for the newest backup, and so on.

    A backup that another program has named by a date counts as older than all with a number: the
    later the date, the smaller this is.
    """
    packed: str | None
    """``"gz"`` or ``"zst"`` for a compressed file."""


def root_path(root: str | os.PathLike[str] | None = None) -> Path:
    """Return the trace directory: *root*, else ``TRACECTRL_TRACE_DIR``, else ``./traces``."""
    from pathlib import Path  # noqa: PLC0415 - see above

    return Path(root_dir(root))


def root_dir(root: str | os.PathLike[str] | None = None) -> str:
    """Return what :func:`root_path` returns as a string, spelt as it was given."""
    if root is None:
        root = os.environ.get(TRACE_DIR_ENV) or DEFAULT_ROOT
    directory = os.fspath(root)
    if not directory:
        msg = "the trace directory cannot be empty; '.' is the working directory"
        raise ValueError(msg)
    if is_address(directory):  # whose password, as a directory's name, everybody would read
        scheme = directory.partition("://")[0]
        msg = f"the trace directory must be a directory, got a URL of {scheme}://; sessions are read from one, and not written to it"
        raise ValueError(msg)
    return directory


def is_address(root: object) -> bool:
    """Tell whether *root* is the URL of a store of many machines, and no directory."""
    return isinstance(root, str) and _SCHEME.match(root) is not None


def log_path(sid: str, root: str | os.PathLike[str] | None = None) -> Path:
    """Return the path of the log file of the session *sid* under *root*.

    Raises:
        TypeError: *sid* is not a string.
        ValueError: *sid* is empty.
    """
    return root_path(root) / (stem_of(sid) + LOG_SUFFIX)


def span_path(sid: str, root: str | os.PathLike[str] | None = None) -> Path:
    """Return the path of the span file of the session *sid* under *root*; see :func:`log_path`."""
    return root_path(root) / (stem_of(sid) + SPAN_SUFFIX)


def session_id_of(path: str | os.PathLike[str], *, dir_fd: int | None = None) -> str:
    """Return the session ID whose lines the file at *path* holds; rotated and compressed ones too.

    The file is opened only where its name holds no more than a digest of a long ID. A relative
    *path* is one in the directory that is open as *dir_fd*, where that is given.

    Raises:
        ValueError: *path* is not named as a session's file, or its first line does not hold the
            ID that its name is the digest of.
        OSError: the file had to be read and could not be, or is a symbolic link or no regular file.
    """
    name = parse_name(path)
    if name is None:
        msg = f"not the name of a session's file (SESSION{LOG_SUFFIX} or SESSION{SPAN_SUFFIX}): {os.fspath(path)!r}"
        raise ValueError(msg)
    sid = id_of_stem(name.stem)
    if sid is None:
        sid = _id_in_first_line(path, name, dir_fd)
        if sid is None:
            msg = f"no line at the start of {os.fspath(path)!r} holds the session ID that its name abbreviates"
            raise ValueError(msg)
    return sid


def parse_name(path: str | os.PathLike[str]) -> ParsedName | None:
    """Return the parts of a session file's name, ``None`` for a file of another kind."""
    match = _NAME.fullmatch(os.path.basename(path))
    if match is None:
        return None
    backup = int(match["backup"] or 0)
    if match["date"]:
        digits = "".join(filter(str.isdigit, match["date"])).ljust(_DATE_DIGITS, "0")
        backup += _FIRST_DATE - int(digits) * _PER_DATE
    return ParsedName(match["stem"], match["kind"], backup, match["packed"])


@functools.lru_cache(maxsize=4096)
def parsed_suffix(suffix: str) -> ParsedName:
    """Return the meaning of *suffix*, the end of a session file's name behind its stem.

    Raises:
        ValueError: no session's file ends so.
    """
    parsed = parse_name(f"x{suffix}")
    if parsed is None:
        msg = f"not the end of a session file's name: {suffix!r}"
        raise ValueError(msg)
    return parsed


def live_suffix(suffix: str) -> str:
    """Return the suffix of the file being written of which *suffix* is a backup's."""
    return LOG_SUFFIX if parsed_suffix(suffix).kind == "logs" else SPAN_SUFFIX


def number_of(suffix: str) -> int:
    """Return the number by which rotation has named the file that ends in *suffix*.

    0 is that of the file being written, -1 that of a backup which another program has named.
    """
    _, kind, backup, packed = parsed_suffix(suffix)
    ours = f".{kind}.jsonl.{backup}" if backup else f".{kind}.jsonl"
    return backup if suffix == (f"{ours}.{packed}" if packed else ours) else -1


def stem_of(sid: str) -> str:
    """Return the file stem for *sid*: ASCII letters, digits and ``._-%~`` only."""
    if not isinstance(sid, str):
        msg = f"a session ID must be a str, got {type(sid).__name__} {sid!r}"
        raise TypeError(msg)
    if type(sid) is not str:
        sid = str.__str__(sid)  # an enum's, whose own __format__ may say anything
    if _PLAIN.fullmatch(sid):
        return sid
    if not sid:
        msg = "a session ID cannot be empty"
        raise ValueError(msg)
    data = sid.encode("utf-8", "surrogatepass")
    percent = _percent(sid)
    if len(data) > MAX_BYTES_IN_NAME:
        quote, _, sha256 = encoders()
        prefix = quote(percent[:_MAX_PREFIX], safe="").replace("%25", "_").replace("%", "_")
        return f"%~{prefix}.{sha256(data).hexdigest()}"
    if len(percent) <= _MAX_PERCENT_STEM:
        return percent
    _, b32encode, _ = encoders()
    return "%-" + b32encode(data).decode("ascii").rstrip("=").lower()


@functools.cache
def encoders() -> tuple[Callable[..., str], Callable[[bytes], bytes], Callable[[bytes], Any]]:
    """Return what stems are encoded by: percent-encoding, base32, SHA-256.

    A writer asks once before its first line: after ``chroot``, and at the interpreter's end, nothing
    can be imported any more.
    """
    import base64  # noqa: PLC0415 - see above
    import hashlib  # noqa: PLC0415 - see above
    from urllib.parse import quote  # noqa: PLC0415 - see above

    return quote, base64.b32encode, hashlib.sha256


def id_of_stem(stem: str) -> str | None:
    """Return the ID that *stem* encodes, ``None`` where it holds only a digest of it.

    Raises:
        ValueError: no ID has this stem.
    """
    sid: str | None
    if _PLAIN.fullmatch(stem):
        return stem
    if _DIGESTED.fullmatch(stem):
        return None
    try:
        if stem.startswith("%-"):
            import base64  # noqa: PLC0415 - see above

            text = stem[2:].upper()
            data = base64.b32decode(text + "=" * (-len(text) % 8))
        else:
            from urllib.parse import unquote_to_bytes  # noqa: PLC0415 - see above

            data = unquote_to_bytes(stem)
        sid = data.decode("utf-8", "surrogatepass")
        if stem_of(sid) == stem:
            return sid
    except ValueError:
        pass
    msg = f"no session ID is encoded as {stem!r}"
    raise ValueError(msg)


def is_stem(stem: str) -> bool:
    """Tell whether *stem* is that of a session's files, or of the file of many sessions' lines."""
    if stem == OVERFLOW_STEM:
        return True
    try:
        id_of_stem(stem)
    except ValueError:
        return False
    return True


def _percent(sid: str) -> str:
    quote, _, _ = encoders()
    encoded = quote(sid, safe="", errors="surrogatepass").replace("~", "%7E")
    if encoded[0] in "._-" or _DEVICE.match(sid):
        return f"%{ord(encoded[0]):02X}{encoded[1:]}"
    return encoded


def _id_in_first_line(
    path: str | os.PathLike[str], name: ParsedName, dir_fd: int | None
) -> str | None:
    """Return the ID of the first line that holds the one *name* abbreviates.

    That is the file's first line, unless a crash tore it.
    """
    import zlib  # noqa: PLC0415 - see above

    try:
        with _open_lines(path, name.packed, dir_fd) as lines:
            for line in itertools.islice(lines, _LINES_TO_TRY):
                for sid in _ids_in_line(line):
                    if stem_of(sid) == name.stem:
                        return sid
    except (EOFError, zlib.error):  # a truncated or damaged gzip file
        pass
    return None


def _ids_in_line(line: bytes) -> Iterator[str]:
    """Yield the IDs that *line* holds: as parsers read it, and with its lone surrogates kept apart."""
    found = list(_ids_in(line))
    yield from found
    apart = _JOINED.sub(rb"\1" + _BETWEEN.encode(), line)
    if found and apart != line:
        yield from (sid.replace(_BETWEEN, "") for sid in _ids_in(apart))


def _ids_in(line: bytes) -> Iterator[str]:
    """Yield the ID of a flat *line*, or those of the attributes in one of OTLP/JSON."""
    import json  # noqa: PLC0415 - see above

    with contextlib.suppress(ValueError, RecursionError):
        row = json.loads(line)
        if isinstance(row, dict) and (sid := row.get("session_id")) and isinstance(sid, str):
            yield sid
        waiting: list[Any] = [row]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                held = value.get("value")
                if value.get("key") == "session.id" and isinstance(held, dict):
                    sid = held.get("stringValue", held.get("string_value"))
                    if sid and isinstance(sid, str):
                        yield sid
                waiting.extend(value.values())
            elif isinstance(value, list):
                waiting.extend(value)


def _open_lines(path: str | os.PathLike[str], packed: str | None, dir_fd: int | None) -> IO[bytes]:
    """Open the file at *path*, which its name says is *packed*, for reading lines.

    Raises:
        OSError: the file cannot be opened, or is a symbolic link or no regular file.
        MissingExtraError: nothing that is installed can read it.
    """
    raw = open(os.open(path, _READ_FLAGS, dir_fd=dir_fd), "rb")  # noqa: SIM115 - the caller closes it
    try:
        if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))  # noqa: TRY301 - closed below
        if packed is None:
            return raw
        from tracectrl.files.compression import unpacked  # noqa: PLC0415 - only for a compressed file

        return unpacked(raw, packed)
    except BaseException:
        raw.close()
        raise
