"""What a job calls next when the call it was accepted with cannot be made, or did not do: under which terms, and what
that can cost at most. Nothing is written or called here, and budgets are not looked at: whoever takes the hold does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from afterthought.catalogue import Catalogue
from afterthought.domain.attempt import Because, Plan
from afterthought.domain.errors import InvalidRequest
from afterthought.domain.job import Job
from afterthought.domain.models.effort import next_lower_effort
from afterthought.domain.models.model import Model, NoPrice
from afterthought.domain.pricing import TIERS_BY_WIRE_NAME, exact_sum, format_usd
from afterthought.domain.request import admission
from afterthought.domain.request.max_cost import max_cost
from afterthought.domain.request.request import CreateResponse

_TIMES_LARGER = 4
"""What a starved answer's cap is multiplied by. Little more would starve again, and be paid for again."""


@dataclass(frozen=True)
class Substitute:
    """Each answer is a plan for one more attempt, or a sentence for the job's owner: why there is none. `request` is
    the stored one, in canonical form. A plan never exceeds what is left of the job's `max_cost_usd`."""

    catalogue: Catalogue
    providers: tuple[str, ...]
    clock: Callable[[], datetime]

    def __call__(self, job: Job, request: dict[str, Any], because: Because) -> Plan | str:
        """The called model is gone, so nothing ran: its live successor, if the caller's `model_policy` lets it be. What
        the newest attempt still holds is given back for it."""
        return self._successor(job, request, because, committed_usd=job.spent_usd)

    def again(self, job: Job, request: dict[str, Any]) -> Plan | str:
        """Nobody knows what came of the newest call, which counts as paid: the same call once more. Where its model has
        gone meanwhile, its successor."""
        committed = exact_sum(job.held_usd, job.spent_usd)
        model = self.catalogue.find(job.called_model)
        if model is None or self.catalogue.provider_for(model.id, self.providers, self.clock().date()) is None:
            return self._successor(job, request, "model_retired", committed_usd=committed)
        asked = _read(request)
        if asked is None:
            return _UNREADABLE
        called = admission.override(
            asked, model=job.called_model, effort=job.called_effort, max_output_tokens=job.called_output_tokens
        )
        return self._plan(job, called, model, "outcome_unknown", committed)

    def starved(self, job: Job, request: dict[str, Any]) -> Sequence[Plan]:
        """The newest attempt thought until its tokens were used up. What to try, best first: with a larger cap, else
        with less effort. `job` is the job with that attempt settled; while it is open, its hold counts as spent."""
        model, asked = self.catalogue.find(job.called_model), _read(request)
        if model is None or asked is None:
            return ()
        cap, effort = job.called_output_tokens, job.called_effort
        tries: list[tuple[str | None, int | None]] = []
        if cap is not None and cap < model.max_output_tokens:
            tries.append((effort, min(cap * _TIMES_LARGER, model.max_output_tokens)))
        if (lower := next_lower_effort(effort, model.efforts)) is not None:
            tries.append((lower, cap))
        committed = exact_sum(job.held_usd, job.spent_usd)
        plans = (
            self._plan(
                job,
                admission.override(asked, model=job.called_model, effort=effort, max_output_tokens=cap),
                model,
                "reasoning_starved",
                committed,
            )
            for effort, cap in tries
        )
        return tuple(plan for plan in plans if isinstance(plan, Plan))

    def _successor(self, job: Job, request: dict[str, Any], because: Because, *, committed_usd: Decimal) -> Plan | str:
        if job.model_policy != "successor":
            return 'With afterthought.model_policy of "successor" the model that follows it would have run.'
        today = self.clock().date()
        live = self.catalogue.live_successor_of(job.called_model, self.providers, today)
        if live is None:
            return "No successor of it is served."
        asked = _read(request)
        if asked is None:
            return _UNREADABLE
        requested = self.catalogue.find(job.model) or live
        called = admission.for_successor(asked, requested, live)
        try:
            admission.check(called, live, on=today)
        except InvalidRequest as refused:
            return f"Its successor {live.id} cannot serve the request: {refused.message}"
        return self._plan(job, called, live, because, committed_usd)

    def _plan(
        self, job: Job, called: CreateResponse, model: Model, because: Because, committed_usd: Decimal
    ) -> Plan | str:
        first = self.clock().date()
        last = max(first, job.deadline_at.date())
        try:
            most = max_cost(called, model, TIERS_BY_WIRE_NAME[job.service_tier], first=first, last=last).total_usd
        except NoPrice:
            return f"{model.id} has no price in the service tier '{job.service_tier}' any more."
        if job.max_cost_usd is not None and exact_sum(committed_usd, most) > job.max_cost_usd:
            return (
                f"A call of {model.id} can cost up to ${format_usd(most)}; the job's max_cost_usd is "
                f"${format_usd(job.max_cost_usd)}, of which ${format_usd(committed_usd)} is used up."
            )
        return Plan(
            model=called.model,
            effort=admission.effective_effort(called, model),
            max_output_tokens=called.max_output_tokens,
            hold_usd=most,
            because=because,
        )


_UNREADABLE = "The request as it is stored can no longer be read."


def _read(request: dict[str, Any]) -> CreateResponse | None:
    """What newer code no longer takes must not be called again."""
    try:
        return CreateResponse.model_validate(request)
    except ValidationError:
        return None
