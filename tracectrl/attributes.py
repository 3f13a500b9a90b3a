"""What a session knows of itself: names and values of its attributes, and how they travel.

The names are OpenTelemetry's where it has one: https://opentelemetry.io/docs/specs/semconv/registry/attributes/
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from tracectrl._json import encode_line, well_formed
from tracectrl.schema import (
    ANCESTORS_KEY,
    LOG_KEYS,
    PARENT_KEY,
    PREVIOUS_KEY,
    SESSION_ATTRIBUTE,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

USER_ATTRIBUTE: Final = "user.id"
TAGS_ATTRIBUTE: Final = "session.tags"

ATTRIBUTES_HEADER: Final = "X-TraceCtrl-Attributes"
"""Where the attributes travel: a header, and a key of what ``pack`` writes."""

MOST_ATTRIBUTES: Final = 64
MOST_CHARACTERS: Final = 8192
"""What is taken over from a message, a header or an environment; more than that is left there."""

_KIN: Final = frozenset({PARENT_KEY, ANCESTORS_KEY, PREVIOUS_KEY})
_MOST_CHARACTERS_OF_NAME: Final = 256
_LEAVES: Final = (str, bool, int, float)
_INT64: Final = range(-(2**63), 2**63)

# A line has keys of these names, or a log record has attributes of them, as for logging's ``extra=``.
_TAKEN: Final = frozenset(
    {
        *(*LOG_KEYS, SESSION_ATTRIBUTE, "message", "asctime"),
        *vars(logging.LogRecord("", 0, "", 0, "", (), None)),
    }
)

described: Final[list[bool]] = []
"""Empty for as long as no session of this process has had an attribute: a line looks here first."""


class SessionState(dict[str, Any]):
    """The attributes of one session, shared by all contexts that are copied from where it began.

    They are those of the session :attr:`sid` alone: whoever finds the state in a context asks which
    session is current there.
    """

    __slots__ = ("sid",)

    sid: str

    def describe(self, attributes: Mapping[str, Any]) -> None:
        """Take *attributes* over, whose names and values are checked; ``None`` takes one away."""
        if not attributes:
            return
        if not described:
            described.append(True)
        self.update({name: value for name, value in attributes.items() if value is not None})
        for name, value in attributes.items():
            if value is None:
                self.pop(name, None)


class HeaderState(SessionState):
    """That of a session which headers have made current in a context, and nobody since."""

    __slots__ = ()


def state_for(
    sid: str,
    attributes: Mapping[str, Any] | None = None,
    kind: type[SessionState] = SessionState,
) -> SessionState:
    """Return a new state of the session *sid*, with *attributes* that are checked."""
    state = kind()
    state.sid = sid
    if attributes:
        state.describe(attributes)
    return state


def checked_attributes(
    user_id: object, tags: object, attributes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the attributes by their names, with values that OpenTelemetry has.

    *user_id* and *tags* are left out where they are ``...``; ``None`` stays what it is.

    Raises:
        TypeError: a name is taken, empty, or begins with an underscore; *tags* is no list of texts.
    """
    checked: dict[str, Any] = {}
    if user_id is not ...:
        checked[USER_ATTRIBUTE] = None if user_id is None else _text(value_of(user_id))
    if tags is not ...:
        checked[TAGS_ATTRIBUTE] = None if tags is None else _checked_tags(tags)
    for name, value in attributes.items():
        if not is_free(name):
            msg = (
                "the name of a session's attribute must be text that is no key of a line, no "
                f"attribute of a log record and begins with no underscore, got {name!r}"
            )
            raise TypeError(msg)
        checked[name] = None if value is None else value_of(value)
    return checked


def is_free(name: object) -> bool:
    """Tell whether an attribute can have this *name*."""
    return (
        isinstance(name, str)
        and name not in _TAKEN
        and name[:1] not in ("", "_")
        and len(name) <= _MOST_CHARACTERS_OF_NAME
    )


def value_of(value: Any) -> Any:
    """Return *value* as an attribute's: text, a number, a truth value, or several of one of these.

    Any other value becomes the text that a line shows of it.
    """
    kind = type(value)
    if kind is int:
        return value if value in _INT64 else str(value)
    if kind in _LEAVES:
        return _well_formed(value) if kind is str else value
    if isinstance(value, (list, tuple)):
        items = tuple(value)
        kinds = {*map(type, items)}
        is_plain = len(kinds) <= 1 and kinds.issubset(_LEAVES)
        if is_plain and all(type(item) is not int or item in _INT64 for item in items):
            return tuple(map(_well_formed, items)) if str in kinds else items
    shown = json.loads(encode_line({"": value}))[""]
    return shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)


def text_of(sid: str, attributes: Mapping[str, Any]) -> str | None:
    """Return the *attributes* of the session *sid* as a header's value; ``None`` for none or too many.

    That is JSON in visible ASCII and spaces, which names the session: nobody takes the attributes for
    those of another.
    """
    if not 0 < len(attributes) <= MOST_ATTRIBUTES:
        return None
    named = {SESSION_ATTRIBUTE: sid, **attributes}
    text = json.dumps(named, separators=(",", ":")).replace("\x7f", "\\u007f")
    return text if len(text) <= MOST_CHARACTERS else None


def attributes_in(text: object, sid: str | None) -> dict[str, Any]:
    """Return the attributes of the session *sid* that *text* carries, which may come from anybody.

    There are none where it carries those of another session, more than :data:`MOST_ATTRIBUTES`, or is
    longer than :data:`MOST_CHARACTERS`. A name or value that no attribute can have is left out.
    """
    if not isinstance(text, str) or len(text) > MOST_CHARACTERS:
        return {}
    try:
        carried = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(carried, dict) or len(carried) > MOST_ATTRIBUTES + 1:
        return {}
    if sid is None or carried.pop(SESSION_ATTRIBUTE, None) != sid:
        return {}
    return {
        name: value_of(value)
        for name, value in carried.items()
        if is_free(name) and value is not None and not isinstance(value, dict)
    }


def of_child(parent: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a session that the session *parent* began, of which *known* is known."""
    above = (*known.get(ANCESTORS_KEY, ()), *filter(None, [known.get(PARENT_KEY)]))
    own = {PARENT_KEY: parent, **({ANCESTORS_KEY: above} if above else {})}
    return {**{name: it for name, it in known.items() if name not in _KIN}, **own}


def _checked_tags(tags: object) -> tuple[str, ...]:
    if isinstance(tags, (list, tuple, set, frozenset)) and all(isinstance(it, str) for it in tags):
        return tuple(map(_text, sorted(tags) if isinstance(tags, (set, frozenset)) else tags))
    msg = f"tags must be a list of str, got {type(tags).__name__} {tags!r}"
    raise TypeError(msg)


def _text(value: Any) -> str:
    return _well_formed(value) if isinstance(value, str) else json.dumps(value)


def _well_formed(text: str) -> str:
    return well_formed(str.__str__(text))
