"""The part of a job that the api sets when it accepts the request."""

from decimal import Decimal
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from afterthought.domain.models.provider import Mode


class JobSpec(BaseModel):
    """`model`, `effort` and `max_output_tokens` are as requested; an attempt records its differences.

    Only `mode` changes later: it is how the next call is made. `body_hash` is the SHA-256 (hex) of the canonical
    request. `max_cost_usd` limits all attempts together. `on_unknown`, `on_starved` and `model_policy` are None for the
    default. `tags` are sorted. `rate_tokens` is the estimate that the tenant's tokens per minute were charged with.
    """

    # An unknown field was written by newer code; writing the job back would lose it.
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    tenant: str
    mode: Mode = "background"
    model: str
    effort: str | None
    max_output_tokens: int | None
    service_tier: str
    max_cost_usd: Decimal | None = None
    on_unknown: Literal["retry"] | None = None
    on_starved: Literal["retry"] | None = None
    model_policy: Literal["successor"] | None = None
    tags: tuple[str, ...] = ()
    rate_tokens: int = 0
    body_hash: str
    webhook: bool
    created_at: AwareDatetime
    deadline_at: AwareDatetime
