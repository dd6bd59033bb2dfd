"""An attempt: one paid call of a model, as the ledger has it."""

from decimal import Decimal
from typing import Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict

from afterthought.domain.pricing import Usage

AttemptState = Literal["held", "submitting", "submitted", "unknown", "settled", "refused", "released"]

Because = Literal["model_retired", "model_not_found", "outcome_unknown", "reasoning_starved"]
"""Why an attempt calls something else than was asked for, or calls it again."""

OPEN: frozenset[AttemptState] = frozenset({"held", "submitting", "submitted", "unknown"})


class Plan(NamedTuple):
    """What an attempt calls, and the most that it can cost."""

    model: str
    effort: str | None
    max_output_tokens: int | None
    hold_usd: Decimal
    because: Because | None = None


class Attempt(BaseModel):
    """One entry of the ledger: written, with its hold, before the paid call that it stands for.

    `held`: the money is held, no call is made (yet, or the provider refused it for now). `submitting`: the call is
    being made. `submitted`: the provider took it. `unknown`: it may have been made, and no answer came; the provider
    may still tell. `settled`: it ended, and `cost_usd` is what it cost. `refused`: the provider refused it for good.
    `released`: it was never called. The last two cost nothing.

    `hold_usd` is the bound of what it can cost, taken at `held_at`: the budgets of that day and month bear the hold and
    then the cost. `token` is random and comes back from the provider in the metadata; `called_at` decides the price
    row. Where there is a `because`, `model`, `effort` and `max_output_tokens` are what it calls in place of what was
    asked for; else they are absent.
    """

    # A field that is not known here was written by newer code: its writer must not lose it by ours.
    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    state: AttemptState
    hold_usd: Decimal
    held_at: AwareDatetime
    model: str | None = None
    effort: str | None = None
    max_output_tokens: int | None = None
    because: Because | None = None
    token: str | None = None
    provider: str | None = None
    called_at: AwareDatetime | None = None
    submitted_at: AwareDatetime | None = None
    response_id: str | None = None
    checks: int = 0
    served_model: str | None = None
    usage: Usage | None = None
    price_id: str | None = None
    cost_usd: Decimal | None = None

    @property
    def open(self) -> bool:
        """Whether its hold stands: its call may still be made or come to something."""
        return self.state in OPEN

    @property
    def held_usd(self) -> Decimal:
        """What it holds now."""
        return self.hold_usd if self.open else Decimal(0)

    @property
    def spent_usd(self) -> Decimal:
        """What it has cost so far."""
        return self.cost_usd or Decimal(0)

    @property
    def estimated(self) -> bool:
        """Whether its cost is its hold, because nobody said what it used or no price is known for that."""
        return self.state == "settled" and self.price_id is None

    @property
    def overrun(self) -> bool:
        """Whether it came in dearer than its hold: a broken bound, which is a defect."""
        return self.cost_usd is not None and self.cost_usd > self.hold_usd
