"""The types of all other answers: usage, budgets, dry runs and models. As `schemas`, for type checking only."""

from typing import Literal

from typing_extensions import TypedDict

from afterthought.domain.models.pricing import ServiceTier
from afterthought.domain.models.provider import Mode
from afterthought.domain.wire.schemas import DateTime, Day, Dollars, ErrorDetail


class Budget(TypedDict):
    """What a tenant may spend in a month or a day (UTC), in exact dollars. A job whose maximum cost exceeds `left_usd`
    is refused."""

    period: Literal["month", "day"]
    name: str
    """The month or day, such as `2026-11` or `2026-11-02`."""
    cap_usd: Dollars | None
    """Null if there is no limit."""
    held_usd: Dollars
    """Held for jobs that have not ended."""
    spent_usd: Dollars
    """The cost of the jobs so far."""
    left_usd: Dollars | None
    """What remains for new jobs. Negative after the limit was lowered or a job exceeded the amount held."""
    renews_at: DateTime
    """When the next period begins."""


class MaxCost(TypedDict):
    """The maximum cost of one call, in exact dollars. It is an upper bound, usually several times the real cost. A job
    that may repeat a call (`on_unknown`, `on_starved`) has a bound for each call; `max_cost_usd` limits their sum."""

    input_tokens: int
    """The maximum number of input tokens. Often several times the real number."""
    output_tokens: int
    """`max_output_tokens`, or the model's own maximum."""
    input_usd: Dollars
    """All input at the highest of the plain, cached and cache-write prices."""
    output_usd: Dollars
    """Output tokens, reasoning included."""
    tools_usd: Dollars
    """Always 0: no tool with its own fee is offered."""
    total_usd: Dollars
    """The amount that would be held."""
    price_id: str
    """The most expensive price row that can be in force when the call is made."""
    price_date: Day
    """The first day on which that price row is in force."""


class DryRunError(ErrorDetail):
    """The error that the request would get."""

    status: int
    """The HTTP status."""


class Plan(TypedDict):
    """The call that would be made."""

    model: str
    """The requested model or its successor."""
    effort: str | None
    """The effort, including the model's default."""
    max_output_tokens: int | None
    """Null: the model's own maximum."""
    substituted_because: str | None
    """`model_retired` if `model` is the successor."""
    mode: Mode
    deadline_seconds: int


class DryRunResult(TypedDict):
    dry_run: Literal[True]
    plan: Plan
    bound: MaxCost
    max_cost_usd: Dollars | None
    """As in the request."""
    budgets: list[Budget]
    """The budgets of this month and today, without this request."""
    rate_tokens: int
    """The estimated number of tokens counted against the rate limit."""
    rate_limits: dict[str, str] | None
    """The `x-ratelimit-…` headers, without this request. Null if the tier admits no requests."""
    would_refuse: list[DryRunError]
    """Every error that the request would get now. Empty if it would be accepted."""


class DryRun(TypedDict):
    """What the first call of a request would cost, and whether the request would be accepted."""

    id: None
    object: Literal["response.dry_run"]
    model: str
    """As in the request."""
    afterthought: DryRunResult


class Groups(TypedDict, total=False):
    day: Day
    """The day (UTC) on which the jobs were accepted."""
    model: str
    """The model that was called. Snapshots and successors count separately."""
    tag: str | None
    """Null for jobs without tags."""
    status: Literal["open", "completed", "failed", "incomplete", "cancelled"]
    """`open` is `queued` or `in_progress`."""


class Totals(TypedDict):
    """The sums over all selected jobs. Each job counts once, regardless of its tags."""

    jobs: int
    input_tokens: int
    cached_input_tokens: int
    """Included in `input_tokens`."""
    cache_write_tokens: int
    """Included in `input_tokens`."""
    output_tokens: int
    reasoning_tokens: int
    """Included in `output_tokens`."""
    held_usd: Dollars
    """Held for jobs that have not ended."""
    spent_usd: Dollars
    """The cost of the jobs so far."""


class UsageRow(Groups, Totals):
    """The sums of one group. `group_by` decides which of the first four fields are present."""


class UsageReport(TypedDict):
    object: Literal["usage"]
    start: Day
    """The first day, included."""
    end: Day
    """The last day, included."""
    group_by: list[Literal["day", "model", "tag", "status"]]
    data: list[UsageRow]
    """Sorted by group. Empty groups are omitted."""
    total: Totals
    budgets: list[Budget]
    """The budgets of this month and today, regardless of the selected days."""


class Price(TypedDict):
    """A price row in force today. Prices are dollars per million tokens."""

    id: str
    tier: ServiceTier
    effective_from: Day
    above_input_tokens: int
    """0 for the ordinary row. Otherwise this row applies to the whole request when its input exceeds this number of
    tokens."""
    input: Dollars
    cached_input: Dollars | None
    """Input tokens read from the provider's cache. Null: priced as `input`."""
    cache_write: Dollars | None
    """Input tokens written to the provider's cache. Null: priced as `input`."""
    output: Dollars
    """Output tokens, reasoning included."""


class AfterthoughtModel(TypedDict):
    """The limits, features and prices of a model."""

    provider: str | None
    """The provider that serves it today. Null if it is retired."""
    stand_in: bool
    """True if a local stand-in answers instead of the model."""
    mode: Mode | None
    """How the provider is called. Null if the model is retired."""
    retired: bool
    successor: str | None
    """The replacement recommended by the model's maker."""
    snapshots: list[str]
    """Other names of this model."""
    context_window_input: int
    """The maximum number of input tokens."""
    max_output_tokens: int
    """The maximum number of output tokens, reasoning included."""
    typical_output_tokens: int
    """Counted against the rate limit for a request without `max_output_tokens`, until the job ends."""
    efforts: list[str]
    """The allowed values of `reasoning.effort`. Empty if the model takes none."""
    default_effort: str | None
    input_modalities: list[Literal["text", "image", "file"]]
    tools: bool
    """Whether the model supports function calling."""
    parallel_tool_calls: bool
    structured_outputs: bool
    """Whether the model supports `text.format` of type `json_schema`."""
    usd_per_million_tokens: list[Price]


class Model(TypedDict):
    """OpenAI's Model object. The fields added by Afterthought are under `afterthought`."""

    id: str
    object: Literal["model"]
    created: int
    """0 if unknown."""
    owned_by: str
    """The provider that serves it."""
    shutdown_date: Day | None
    """The first day without the model. Null if no end is announced."""
    afterthought: AfterthoughtModel


class ModelList(TypedDict):
    object: Literal["list"]
    data: list[Model]
