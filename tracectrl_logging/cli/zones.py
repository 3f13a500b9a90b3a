"""Time zones as people and systems name them."""

from __future__ import annotations

import io
import os
import re
import struct
from datetime import datetime, timezone, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from typing import Final

_LOCALTIME: Final = "/etc/localtime"
_USUAL_RULES: Final = ",M3.2.0,M11.1.0"
"""When summer is where a zone has a summer time and does not say: as in the C library."""

_RULE: Final = re.compile(r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)[+-]?\d.*", re.ASCII)
"""How a zone begins that says its own rules: a name, and an offset."""


def zone_named(name: str) -> tzinfo:
    """Return the time zone *name*: ``UTC``, ``local``, or what the variable ``TZ`` may hold.

    That is a name like ``Europe/Berlin``, the path of a file of it, or rules such as
    ``CET-1CEST,M3.5.0,M10.5.0/3``:
    https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap08.html#tag_08_03

    Raises:
        LookupError: there is no such zone.
        ValueError: there can be none.
        OSError: its file cannot be read.
    """
    if name.upper() in {"UTC", "Z"}:
        return timezone.utc
    if name.lower() != "local":
        return _of_variable(name)
    value = os.environ.get("TZ")
    if value is not None:
        return _of_variable(value)
    try:
        return _of_file(_LOCALTIME)
    except OSError:
        return datetime.now(timezone.utc).astimezone().tzinfo or timezone.utc


def _of_variable(value: str) -> tzinfo:
    name = value.removeprefix(":")
    if not name:
        return timezone.utc
    if name.startswith("/"):
        return _of_file(name)
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError):
        if _RULE.fullmatch(name) is None:
            raise
        try:
            return _of_rules(name)
        except ValueError:
            if "," in name:
                raise
            return _of_rules(name + _USUAL_RULES)


def _of_file(path: str) -> tzinfo:
    with open(path, "rb") as file:
        return ZoneInfo.from_file(file, key="local")


def _of_rules(rules: str) -> tzinfo:
    """Return the zone with *rules*, which stand at the end of a zone's file (RFC 8536, 3.3)."""
    header = struct.pack(">4sc15x6L", b"TZif", b"2", 0, 0, 0, 0, 1, 4)
    block = struct.pack(">lBB4s", 0, 0, 0, b"UTC")
    data = (header + block) * 2 + f"\n{rules}\n".encode()
    return ZoneInfo.from_file(io.BytesIO(data), key=rules)
