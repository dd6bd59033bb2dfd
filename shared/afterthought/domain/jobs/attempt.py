"""An attempt: one paid call of a model. It is recorded, with its hold, before the call is made."""

from decimal import Decimal
from typing import Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict

from afterthought.domain.models.pricing import Usage

AttemptState = Literal["pending", "calling", "running", "outcome_unknown", "settled", "refused", "voided"]
"""
- `pending`: the money is held, no call is under way; either none was made yet, or the provider refused it for now.
- `calling`: one process is making the call.
- `running`: the provider accepted the call and has not finished it.
- `outcome_unknown`: the call may have reached the provider, and no answer came. A provider event may still resolve it.
- `settled`: finished; `cost_usd` is the cost.
- `refused`: the provider refused the call for good. It costs nothing.
- `voided`: the call was never made. It costs nothing.
"""

OPEN_STATES: frozenset[AttemptState] = frozenset({"pending", "calling", "running", "outcome_unknown"})

AttemptReason = Literal["model_retired", "model_not_found", "outcome_unknown", "reasoning_starved"]
"""Why a job has a further attempt, or an attempt that differs from the request."""


class CallSpec(NamedTuple):
    """What an attempt calls, and the most that it can cost."""

    model: str
    effort: str | None
    max_output_tokens: int | None
    hold_usd: Decimal
    reason: AttemptReason | None = None


class Attempt(BaseModel):
    """One attempt of a job.

    `hold_usd` is the maximum cost, held since `held_at`: the budgets of that day and month carry the hold and later the
    cost. `token` is random; the provider returns it in the metadata. `called_at` selects the price row. With a
    `reason`, `model`, `effort` and `max_output_tokens` replace those of the request; without one they are absent.
    """

    # An unknown field was written by newer code; writing the attempt back would lose it.
    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    state: AttemptState
    hold_usd: Decimal
    held_at: AwareDatetime
    model: str | None = None
    effort: str | None = None
    max_output_tokens: int | None = None
    reason: AttemptReason | None = None
    token: str | None = None
    provider: str | None = None
    called_at: AwareDatetime | None = None
    submitted_at: AwareDatetime | None = None
    response_id: str | None = None
    polls: int = 0
    served_model: str | None = None
    usage: Usage | None = None
    price_id: str | None = None
    cost_usd: Decimal | None = None

    @property
    def open(self) -> bool:
        """Whether the call may still be made or produce a result."""
        return self.state in OPEN_STATES

    @property
    def held_usd(self) -> Decimal:
        return self.hold_usd if self.open else Decimal(0)

    @property
    def spent_usd(self) -> Decimal:
        return self.cost_usd or Decimal(0)

    @property
    def estimated(self) -> bool:
        """Whether the cost equals the hold because the usage or its price is not known."""
        return self.state == "settled" and self.price_id is None

    @property
    def over_max_cost(self) -> bool:
        """Whether the cost exceeded the hold. The maximum cost was then computed wrongly, which is a defect."""
        return self.cost_usd is not None and self.cost_usd > self.hold_usd
