"""What a model's answer costs, to the last digit.

Nothing here rounds. Prices are decimal dollars per million tokens, token counts are whole numbers, and the arithmetic
runs in a context that raises where it would have to round.
"""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

# A float cannot hold 0.1: a sum over prices read as floats would drift from the bill.
_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])

ServiceTier = Literal["standard", "batch", "flex", "priority"]

WIRE_NAMES: Mapping[ServiceTier, str] = MappingProxyType(
    {"standard": "default", "flex": "flex", "priority": "priority"},
)
"""`service_tier` as it stands on the wire. `batch` has no name there: it is an endpoint of its own."""

TIERS_BY_WIRE_NAME: Mapping[str, ServiceTier] = MappingProxyType({name: tier for tier, name in WIRE_NAMES.items()})
"""The other way. `auto` is not in it: which tier that becomes is known only when the answer says so."""


def format_usd(amount: Decimal) -> str:
    """Dollars as a plain decimal string: no exponent, no trailing zeros, "0" for zero.

    Raises ValueError for what is not a number.
    """
    if not amount.is_finite():
        raise ValueError(f"not an amount of money: {amount}")
    if not amount:
        return "0"
    digits = format(amount, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _refuse_float(value: object) -> object:
    if isinstance(value, (bool, float)):
        # pydantic turns a ValueError into its ValidationError; a TypeError would pass it by.
        raise ValueError('must be a decimal string such as "0.25", never a float')  # noqa: TRY004
    return value


_PLAIN = PlainSerializer(format_usd, return_type=str, when_used="json")

Usd = Annotated[Decimal, BeforeValidator(_refuse_float), _PLAIN]
"""Dollars. In JSON a plain decimal string."""

# The constraints stand first, on the Decimal itself: behind a validator of ours pydantic would check them in Python,
# which doubles the time that the catalogue takes to load.
UsdPerMillion = Annotated[
    Decimal,
    Field(ge=0, max_digits=20, decimal_places=12),
    BeforeValidator(_refuse_float),
    _PLAIN,
]
"""Dollars per million tokens. The digits are bounded so that any cost fits the 38 digits of a DynamoDB number."""

Tokens = Annotated[int, Field(ge=0)]


class Usage(BaseModel):
    """The tokens of one answer, as the provider counts them.

    Cached and cache-write tokens are parts of the input, reasoning tokens are a part of the output. Raises ValueError
    (pydantic's ValidationError) when a part is larger than its whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_tokens: Tokens
    cached_input_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    output_tokens: Tokens
    reasoning_tokens: Tokens = 0

    @model_validator(mode="after")
    def _parts_fit_their_wholes(self) -> Self:
        if self.cached_input_tokens + self.cache_write_tokens > self.input_tokens:
            raise ValueError("cached_input_tokens + cache_write_tokens exceed input_tokens, of which they are parts")
        if self.reasoning_tokens > self.output_tokens:
            raise ValueError("reasoning_tokens exceed output_tokens, of which they are a part")
        return self

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


class Price(BaseModel):
    """One row of a price list: what a million tokens cost in one service tier, from a date on.

    `above_input_tokens` is 0 for the ordinary row. A row with 272000 there prices the whole request, input and output,
    once the request holds more than 272,000 input tokens.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1)]
    tier: ServiceTier
    effective_from: date
    above_input_tokens: Tokens = 0
    input: UsdPerMillion
    cached_input: UsdPerMillion | None = None
    cache_write: UsdPerMillion | None = None
    output: UsdPerMillion

    @property
    def cached_input_or_input(self) -> Decimal:
        """What a cached token costs: where no price is published for it, as much as any other input token."""
        return self.input if self.cached_input is None else self.cached_input

    @property
    def cache_write_or_input(self) -> Decimal:
        """What a token written to the cache costs: as with `cached_input_or_input`, at least the input price."""
        return self.input if self.cache_write is None else self.cache_write

    @property
    def dearest_input(self) -> Decimal:
        """The most that one million input tokens can cost under this row, whatever becomes of them in the cache."""
        return max(self.input, self.cached_input_or_input, self.cache_write_or_input)


def price_id(model: str, tier: ServiceTier, effective_from: date, above_input_tokens: int = 0) -> str:
    """The name under which a price row is recorded with a cost, e.g. `gpt-5.6-luna/standard/2026-07-30/above-272k`."""
    row = f"{model}/{tier}/{effective_from.isoformat()}"
    if not above_input_tokens:
        return row
    thousands, rest = divmod(above_input_tokens, 1000)
    return f"{row}/above-{above_input_tokens if rest else f'{thousands}k'}"


def price_date(price_id: str) -> str:
    """The day from which the row that has this id is in force, as it stands in the id."""
    # A model's name may hold slashes of its own.
    found = re.search(r"/(\d{4}-\d{2}-\d{2})(/above-[^/]*)?$", price_id)
    return found[1] if found else ""


class Cost(BaseModel):
    """What one answer cost, in dollars, by part.

    `input_usd` is the input that neither came from the cache nor went into it. `total_usd` is the sum of input, cached
    input, cache write, output and tools. `reasoning_usd` says how much of `output_usd` was thinking: it is not added
    again. `tools_usd` is nothing, since no tool that has a fee is admitted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_usd: Usd
    cached_input_usd: Usd
    cache_write_usd: Usd
    output_usd: Usd
    reasoning_usd: Usd
    tools_usd: Usd = Decimal(0)
    total_usd: Usd
    price_id: str

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        parts = (self.input_usd, self.cached_input_usd, self.cache_write_usd, self.output_usd, self.tools_usd)
        if self.total_usd != exact_sum(*parts):
            raise ValueError("total_usd is not the sum of its parts")
        if self.reasoning_usd > self.output_usd:
            raise ValueError("reasoning_usd exceeds output_usd, of which it is a part")
        return self


def exact_sum(*amounts: Decimal) -> Decimal:
    """The sum without rounding. Raises decimal.Inexact where 100 digits do not hold it."""
    total = Decimal(0)
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


def tokens_usd(tokens: int, usd_per_million: Decimal) -> Decimal:
    """What that many tokens cost at that price, without rounding. Raises decimal.Inexact as `exact_sum` does."""
    return _EXACT.scaleb(_EXACT.multiply(Decimal(tokens), usd_per_million), -6)


def cost(usage: Usage, price: Price) -> Cost:
    """What these tokens cost under this row. The caller chooses the row: see `Model.price`."""
    plain_tokens = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    input_usd = tokens_usd(plain_tokens, price.input)
    cached_input_usd = tokens_usd(usage.cached_input_tokens, price.cached_input_or_input)
    cache_write_usd = tokens_usd(usage.cache_write_tokens, price.cache_write_or_input)
    output_usd = tokens_usd(usage.output_tokens, price.output)
    return Cost(
        input_usd=input_usd,
        cached_input_usd=cached_input_usd,
        cache_write_usd=cache_write_usd,
        output_usd=output_usd,
        reasoning_usd=tokens_usd(usage.reasoning_tokens, price.output),
        total_usd=exact_sum(input_usd, cached_input_usd, cache_write_usd, output_usd),
        price_id=price.id,
    )
