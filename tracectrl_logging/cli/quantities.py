"""Ages and sizes as people write and read them."""

from __future__ import annotations

import click

from tracectrl_logging.retention import age_s, size_bytes

_DAY_S = 86_400
_THOUSAND = 1000
_UNITS = ("kB", "MB", "GB", "TB")


def age(text: str) -> float:
    """Return the age *text*, like ``7d``, in seconds; the type of an option."""
    try:
        return age_s(text, "it")
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def size(text: str) -> int:
    """Return the size *text*, like ``10GB``, in bytes; the type of an option."""
    try:
        return size_bytes(text, "it")
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def days(text: str) -> int:
    """Return the age *text*, like ``30d``, in days; the type of an option."""
    number, rest = divmod(age(text), _DAY_S)
    if rest or number < 1:
        msg = f"it must be whole days, like 30d, got {text!r}"
        raise click.BadParameter(msg)
    return int(number)


def readable(size_b: int) -> str:
    """Return *size_b* bytes in the unit that reads best, in powers of 1000."""
    if size_b < _THOUSAND:
        return f"{size_b} B"
    number: float = size_b
    for unit in _UNITS:
        number /= _THOUSAND
        if number < _THOUSAND or unit == _UNITS[-1]:
            break
    return f"{number:.1f} {unit}"
