"""What tools are asked with: the parameters of each, as JSON Schema and as a check that mends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_TYPES: Final = {"string": str, "integer": int, "boolean": bool, "array": list}
_SHOWN: Final = 100


class ToolError(Exception):
    """A tool cannot answer; the message names the value, what it must be, and the mend."""


class Param(NamedTuple):
    """A parameter of a tool."""

    kind: str
    """Its type in JSON: string, integer, boolean, or array, which is one of strings."""
    about: str
    default: Any = None
    """Its value where it is not given, or is ``null``; ``...`` where it has to be given."""
    choices: tuple[str, ...] = ()
    """The strings that it may be; none for any."""
    most: int = 0
    """The greatest that an integer may be; the least is 1."""

    def schema(self) -> dict[str, Any]:
        """Return it as JSON Schema."""
        found: dict[str, Any] = {"type": self.kind, "description": self.about}
        if self.kind == "array":
            found["items"] = {"type": "string"}
        if self.kind == "integer":
            found |= {"minimum": 1, "maximum": self.most}
        if self.choices:
            found["enum"] = list(self.choices)
        if self.default not in (None, ..., []):
            found["default"] = self.default
        return found

    def checked(self, name: str, value: Any) -> Any:
        """Return *value*, given as *name*; the default for none, a list for one string of an array.

        Raises:
            ToolError: it is not what it must be.
        """
        if value is None:
            if self.default is ...:
                msg = f"{name} is missing: {self.about}"
                raise ToolError(msg)
            return self.default
        if self.kind == "array" and isinstance(value, str):
            value = [value]
        is_right = type(value) is _TYPES[self.kind]
        if self.kind == "array":
            is_right = is_right and all(isinstance(each, str) for each in value)
        elif self.kind == "integer":
            is_right = is_right and 1 <= value <= self.most
        elif self.choices:
            is_right = value in self.choices
        if not is_right:
            msg = f"{name} must be {self._wanted()}, got {shortened(value)}"
            raise ToolError(msg)
        return value

    def _wanted(self) -> str:
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind == "integer":
            return f"an integer from 1 to {self.most}"
        return "an array of strings" if self.kind == "array" else f"a {self.kind}"


def schema_of(params: Mapping[str, Param]) -> dict[str, Any]:
    """Return the JSON Schema of an object with *params*."""
    return {
        "type": "object",
        "properties": {name: param.schema() for name, param in params.items()},
        "required": [name for name, param in params.items() if param.default is ...],
        "additionalProperties": False,
    }


def checked(params: Mapping[str, Param], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all *params*, as *given* or by default.

    Raises:
        ToolError: one is not what it must be, or is unknown.
    """
    for name in given:
        if name not in params:
            msg = f"there is no parameter {shortened(name)}; there are {', '.join(params)}"
            raise ToolError(msg)
    return {name: param.checked(name, given.get(name)) for name, param in params.items()}


def shortened(value: Any) -> str:
    """Return *value* for a message, which it may not make long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
