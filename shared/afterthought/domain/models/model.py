"""A model of the catalogue: its limits, its features and its prices."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from afterthought.domain.errors import AfterthoughtError
from afterthought.domain.models.pricing import Price, ServiceTier

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
InputModality = Literal["text", "image", "file"]


class NoPrice(AfterthoughtError, LookupError):
    """The model has no price row for this tier on this day, so a call can be neither held nor billed."""

    def __init__(self, model: str, tier: str, on: date, tiers: tuple[ServiceTier, ...]) -> None:
        priced = ", ".join(tiers) or "none"
        super().__init__(f"{model} has no {tier} price on {on.isoformat()}; tiers with a price on that day: {priced}")
        self.model = model
        self.tier = tier
        self.on = on
        self.tiers = tiers


class Model(BaseModel):
    """One model of the catalogue.

    `context_window_input`, `max_output_tokens` and `typical_output_tokens` are in tokens. `typical_output_tokens` is an
    assumption and is used only for rate limits. `efforts` is empty if the model takes no reasoning effort, which is
    different from taking the effort `none`. `successor` is the model that its maker recommends after it is retired;
    when it is retired depends on the provider. `created` is in Unix seconds.

    Raises ValueError (pydantic's ValidationError) if fields contradict each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1)]
    snapshots: tuple[str, ...] = ()
    created: Annotated[int, Field(ge=0)] | None = None
    reasoning: bool
    context_window_input: Annotated[int, Field(gt=0)]
    max_output_tokens: Annotated[int, Field(gt=0)]
    typical_output_tokens: Annotated[int, Field(gt=0)]
    efforts: tuple[Effort, ...] = ()
    default_effort: Effort | None = None
    input_modalities: Annotated[tuple[InputModality, ...], Field(min_length=1)] = ("text",)
    tools: bool
    parallel_tool_calls: bool
    structured_outputs: bool
    prices: tuple[Price, ...]
    successor: str | None = None

    @model_validator(mode="after")
    def _check_features(self) -> Self:
        if len(set(self.efforts)) != len(self.efforts):
            raise ValueError("efforts: one is listed twice")
        if self.efforts and not self.reasoning:
            raise ValueError("efforts: must be empty for a model without reasoning")
        if self.default_effort is not None and self.default_effort not in self.efforts:
            raise ValueError(f"default_effort: {self.default_effort} is not among its efforts")
        if self.parallel_tool_calls and not self.tools:
            raise ValueError("parallel_tool_calls: the model has no tools")
        return self

    @model_validator(mode="after")
    def _check_typical_output(self) -> Self:
        if self.typical_output_tokens > self.max_output_tokens:
            raise ValueError(f"typical_output_tokens: more than max_output_tokens, {self.max_output_tokens}")
        return self

    @model_validator(mode="after")
    def _check_prices(self) -> Self:
        rows: dict[tuple[ServiceTier, date], set[int]] = {}
        for price in self.prices:
            if price.model != self.id:
                raise ValueError(f"price row {price.id}: belongs to another model")
            thresholds = rows.setdefault((price.tier, price.effective_from), set())
            if price.above_input_tokens in thresholds:
                raise ValueError(f"price row {price.id}: overlaps another row of the same tier, date and input length")
            thresholds.add(price.above_input_tokens)
        for (tier, start), thresholds in rows.items():
            if 0 not in thresholds:
                raise ValueError(f"price rows {tier} from {start}: none for short inputs (without above_input_tokens)")
        if not any(tier == "standard" for tier, _ in rows):
            raise ValueError("prices: no row of the standard tier")
        return self

    def price(self, tier: ServiceTier, input_tokens: int, on: date) -> Price:
        """The price row that applies on a day to a request with `input_tokens`. Raises NoPrice if there is none."""
        rows = self.price_rows(tier, on)
        if not rows:
            raise NoPrice(self.id, tier, on, self.priced_tiers(on))
        # The threshold itself belongs to the cheaper row: "above 272k" starts at 272,001.
        matching = (row for row in rows if row.above_input_tokens == 0 or input_tokens > row.above_input_tokens)
        return max(matching, key=lambda row: row.above_input_tokens)

    def price_rows(self, tier: ServiceTier, on: date) -> tuple[Price, ...]:
        """The price rows of a tier that apply on a day, by ascending input length; empty if there are none.

        A newer date replaces all older rows of the tier, including the long-context row.
        """
        started = [price for price in self.prices if price.tier == tier and price.effective_from <= on]
        latest = max((price.effective_from for price in started), default=None)
        return tuple(
            sorted(
                (price for price in started if price.effective_from == latest),
                key=lambda price: price.above_input_tokens,
            )
        )

    def priced_tiers(self, on: date) -> tuple[ServiceTier, ...]:
        """The service tiers that have a price on a day, in catalogue order."""
        return tuple(dict.fromkeys(price.tier for price in self.prices if price.effective_from <= on))
