"""The exact cost of a model's response.

Prices are decimal dollars per million tokens, token counts are whole numbers. The arithmetic runs in a context that
raises instead of rounding.
"""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

# Decimal, because a float cannot represent 0.1: sums of floats drift from the provider's bill.
_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])

ServiceTier = Literal["standard", "batch", "flex", "priority"]

WIRE_NAMES: Mapping[ServiceTier, str] = MappingProxyType(
    {"standard": "default", "flex": "flex", "priority": "priority"},
)
"""The values of `service_tier` in the API. `batch` has none: it is a separate endpoint."""

TIERS_BY_WIRE_NAME: Mapping[str, ServiceTier] = MappingProxyType({name: tier for tier, name in WIRE_NAMES.items()})
"""The reverse mapping. `auto` is absent: only the response names the tier that served it."""


def format_usd(amount: Decimal) -> str:
    """Dollars as a plain decimal string: no exponent, no trailing zeros, "0" for zero. Raises ValueError for NaN and
    infinity."""
    if not amount.is_finite():
        raise ValueError(f"not an amount of money: {amount}")
    if not amount:
        return "0"
    digits = format(amount, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _refuse_float(value: object) -> object:
    if isinstance(value, (bool, float)):
        # pydantic turns a ValueError into a ValidationError, but not a TypeError.
        raise ValueError('must be a decimal string such as "0.25", never a float')  # noqa: TRY004
    return value


_AS_STRING = PlainSerializer(format_usd, return_type=str, when_used="json")

Usd = Annotated[Decimal, BeforeValidator(_refuse_float), _AS_STRING]
"""Dollars; a plain decimal string in JSON."""

# The constraints come first, directly on the Decimal: after a Python validator pydantic would check them in Python,
# which doubles the load time of the catalogue.
UsdPerMillion = Annotated[
    Decimal,
    Field(ge=0, max_digits=20, decimal_places=12),
    BeforeValidator(_refuse_float),
    _AS_STRING,
]
"""Dollars per million tokens. The digits are limited so that any cost fits the 38 digits of a DynamoDB number."""

Tokens = Annotated[int, Field(ge=0)]


class Usage(BaseModel):
    """The tokens of one response, as counted by the provider.

    Cached and cache-write tokens are parts of the input tokens, reasoning tokens are a part of the output tokens.
    Raises pydantic's ValidationError when a part exceeds its whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_tokens: Tokens
    cached_input_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    output_tokens: Tokens
    reasoning_tokens: Tokens = 0

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.cached_input_tokens + self.cache_write_tokens > self.input_tokens:
            raise ValueError("cached_input_tokens + cache_write_tokens exceed input_tokens, of which they are parts")
        if self.reasoning_tokens > self.output_tokens:
            raise ValueError("reasoning_tokens exceed output_tokens, of which they are a part")
        return self

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


class Price(BaseModel):
    """One row of a price list: the prices of one model and service tier from a date on.

    `above_input_tokens` is 0 in the ordinary row. A row with 272000 applies to the whole request, input and output,
    when the request has more than 272,000 input tokens.
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
    def cached_input_price(self) -> Decimal:
        """The input price where no price for cached tokens is published."""
        return self.input if self.cached_input is None else self.cached_input

    @property
    def cache_write_price(self) -> Decimal:
        """The input price where no price for cache writes is published."""
        return self.input if self.cache_write is None else self.cache_write

    @property
    def max_input_price(self) -> Decimal:
        """The most that a million input tokens can cost, cached or not."""
        return max(self.input, self.cached_input_price, self.cache_write_price)


def price_id(model: str, tier: ServiceTier, effective_from: date, above_input_tokens: int = 0) -> str:
    """The id of a price row, recorded with each cost, such as `gpt-5.6-luna/standard/2026-07-30/above-272k`."""
    row = f"{model}/{tier}/{effective_from.isoformat()}"
    if not above_input_tokens:
        return row
    thousands, rest = divmod(above_input_tokens, 1000)
    return f"{row}/above-{above_input_tokens if rest else f'{thousands}k'}"


def price_date(price_id: str) -> str:
    """The date in the id: the first day on which the row applies."""
    # A model's name may contain slashes.
    match = re.search(r"/(\d{4}-\d{2}-\d{2})(/above-[^/]*)?$", price_id)
    return match[1] if match else ""


class Cost(BaseModel):
    """The cost of one response in dollars, by part.

    `input_usd` is the input that was neither read from the cache nor written to it. `total_usd` is the sum of input,
    cached input, cache write, output and tools. `reasoning_usd` is a part of `output_usd`. `tools_usd` is zero: no tool
    with a fee is admitted.
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
    def _check_sums(self) -> Self:
        parts = (self.input_usd, self.cached_input_usd, self.cache_write_usd, self.output_usd, self.tools_usd)
        if self.total_usd != exact_sum(*parts):
            raise ValueError("total_usd is not the sum of its parts")
        if self.reasoning_usd > self.output_usd:
            raise ValueError("reasoning_usd exceeds output_usd, of which it is a part")
        return self


def exact_sum(*amounts: Decimal) -> Decimal:
    """The sum without rounding. Raises decimal.Inexact when it needs more than 100 digits."""
    total = Decimal(0)
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


def tokens_usd(tokens: int, usd_per_million: Decimal) -> Decimal:
    """The cost of the tokens without rounding. Raises decimal.Inexact as `exact_sum` does."""
    return _EXACT.scaleb(_EXACT.multiply(Decimal(tokens), usd_per_million), -6)


def cost(usage: Usage, price: Price) -> Cost:
    """The cost of the usage by this price row, which the caller selects (see `Model.price`)."""
    uncached_tokens = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    input_usd = tokens_usd(uncached_tokens, price.input)
    cached_input_usd = tokens_usd(usage.cached_input_tokens, price.cached_input_price)
    cache_write_usd = tokens_usd(usage.cache_write_tokens, price.cache_write_price)
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
