"""How many tokens were used, and what they cost."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl_logging.reader.genai import names
from tracectrl_logging.reader.genai.values import count, first, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal
    from typing import Final, TypeAlias

    Key: TypeAlias = tuple[str, str]

_MOST_LINKS: Final = 200_000


class Usage(NamedTuple):
    """Tokens, as the provider counts them: those that were cached, or are of reasoning, are among them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0
    reasoning_tokens: int = 0


class Totals(NamedTuple):
    """What the models of a session have done."""

    model_calls: int = 0
    usage: Usage = Usage()
    cost_usd: float | None = None
    """What those calls cost whose models have a known price, in US dollars; ``None`` where none has."""


def kind_of(attributes: Mapping[str, Any]) -> names.CallKind | None:
    """Return what a span with these *attributes* is of; ``None`` for neither of the three."""
    is_said = False
    for name, kinds in names.KINDS.items():
        value = attributes.get(name)
        if isinstance(value, str):
            if value in kinds:
                return kinds[value]
            is_said = True
    return None if is_said or model_of(attributes) == "" else "model"


def usage_of(attributes: Mapping[str, Any]) -> Usage | None:
    """Return the tokens that *attributes* count; ``None`` where they count none."""
    found = {name: count(first(attributes, many)) for name, many in names.COUNTS.items()}
    if all(number is None for number in found.values()):
        return None
    return Usage(**{name: number or 0 for name, number in found.items()})


def model_of(attributes: Mapping[str, Any]) -> str:
    """Return the name of the model that answered, else of the one that was asked; ``""`` for none."""
    return text(first(attributes, names.RESPONSE_MODEL)) or text(
        first(attributes, names.REQUEST_MODEL)
    )


def key_of(row: Mapping[str, Any], name: str = "span_id") -> Key | None:
    """Return what a span is told from all others by, as the line *row* says under *name*."""
    span_id = row.get(name)
    return (text(row.get("trace_id")), span_id) if isinstance(span_id, str) else None


class Links:
    """Who called whom, of the latest spans; memory is bounded."""

    def __init__(self) -> None:
        self._above: dict[Key, Key] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Take note of the span line *row*."""
        parent, key = key_of(row, "parent_span_id"), key_of(row)
        if parent is None or key is None:
            return
        if len(self._above) >= _MOST_LINKS:
            del self._above[next(iter(self._above))]
        self._above[key] = parent

    def above(self, key: Key, until: set[Key]) -> list[Key]:
        """Return the spans above *key*, the nearest first, up to one of *until*; all are put there."""
        found = []
        here = self._above.get(key)
        while here is not None and here not in until:
            until.add(here)
            found.append(here)
            here = self._above.get(here)
        return found


class _Counted(NamedTuple):
    """What a span counts."""

    is_model: bool
    usage: Usage
    provider: str
    model: str


class UsageSum:
    """Sums what the models of a session have used, by its spans in any order.

    Frameworks repeat on a span what the calls below it have used, and two instrumentations may record
    one call, one inside the other: a span above another that counts is left out.
    """

    def __init__(self) -> None:
        self._links = Links()
        self._counted: dict[object, _Counted] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Count the span line *row*."""
        self._links.add(row)
        attributes = row.get("attributes")
        if not isinstance(attributes, dict) or names.MARKS.isdisjoint(attributes):
            return
        usage, is_model = usage_of(attributes), kind_of(attributes) == "model"
        if usage is None and not is_model:
            return
        provider = text(first(attributes, names.PROVIDER))
        key = key_of(row) or len(self._counted)
        self._counted[key] = _Counted(is_model, usage or Usage(), provider, model_of(attributes))

    def totals(self) -> Totals:
        """Return the sums."""
        calls = self._leaves(lambda span: span.is_model)
        used = self._leaves(lambda span: any(span.usage))
        costs = [
            cost for it in used if (cost := price(it.provider, it.model, it.usage)) is not None
        ]
        return Totals(
            len(calls),
            Usage(*map(sum, zip(*(it.usage for it in used), strict=True))) if used else Usage(),
            round(float(sum(costs)), 10) if costs else None,
        )

    def _leaves(self, is_meant: Callable[[_Counted], bool]) -> list[_Counted]:
        """Return what is meant and has nothing that is meant below it."""
        meant = {key: span for key, span in self._counted.items() if is_meant(span)}
        above: set[Key] = set()
        for key in meant:
            if isinstance(key, tuple):
                self._links.above(key, above)
        return [span for key, span in meant.items() if key not in above]


def price(provider: str, model: str, usage: Usage) -> Decimal | None:
    """Return what *usage* of a *model* costs, in US dollars.

    Returns:
        ``None`` where the package ``genai-prices`` is missing, or does not know the model.
    """
    if not model or not any(usage):
        return None
    return _price(provider, model, usage)


@functools.lru_cache(maxsize=4096)
def _price(provider: str, model: str, usage: Usage) -> Decimal | None:
    calculate = _calculator()
    if calculate is None:
        return None
    # Some record what a provider says that counts cached tokens beside the others.
    cached = usage.cache_read_tokens + usage.cache_creation_tokens
    if cached > usage.input_tokens:
        usage = usage._replace(input_tokens=usage.input_tokens + cached)
    try:
        return calculate(usage, model, provider or None)
    except Exception:  # noqa: BLE001 - a table of others, asked about anything
        return None


@functools.cache
def _calculator() -> Callable[[Usage, str, str | None], Decimal] | None:
    try:
        from genai_prices import Usage as Priced  # noqa: PLC0415 - an extra, and it takes a while
        from genai_prices import calc_price  # noqa: PLC0415 - as above
    except Exception:  # noqa: BLE001 - it is not there, or cannot be loaded
        return None

    def calculate(usage: Usage, model: str, provider: str | None) -> Decimal:
        priced = Priced(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_creation_tokens,
        )
        return calc_price(priced, model_ref=model, provider_id=provider).total_price

    return calculate
