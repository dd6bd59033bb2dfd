"""The calls that may follow a call that cannot be made or gave no answer, each with its maximum cost.

Nothing is written or called here. The write that takes the hold checks the budgets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from afterthought.catalogue import Catalogue
from afterthought.domain.errors import InvalidRequest
from afterthought.domain.jobs.attempt import AttemptReason, CallSpec
from afterthought.domain.jobs.job import Job
from afterthought.domain.models.effort import next_lower_effort
from afterthought.domain.models.model import Model, NoPrice
from afterthought.domain.models.pricing import TIERS_BY_WIRE_NAME, exact_sum, format_usd
from afterthought.domain.request import admission
from afterthought.domain.request.max_cost import max_cost
from afterthought.domain.request.request import CreateResponse

_CAP_FACTOR = 4
"""The factor for the output cap after a starved answer. With a smaller factor the repeat would often starve too."""


class Fallback(NamedTuple):
    """The calls to try, best first; `why_none` is for the job's owner."""

    calls: tuple[CallSpec, ...] = ()
    why_none: str = ""


@dataclass(frozen=True)
class Fallbacks:
    catalogue: Catalogue
    providers: tuple[str, ...]
    clock: Callable[[], datetime]

    def find(self, job: Job, request: dict[str, Any] | None, reason: AttemptReason) -> Fallback:
        """`job` is the job as it would end without a fallback; `request` is the stored request, None if it has expired.
        No call exceeds the rest of the job's `max_cost_usd`."""
        if request is None:
            return Fallback(why_none="The request is no longer stored.")
        try:
            original = CreateResponse.model_validate(request)
        except ValidationError:
            # Newer code may refuse a request that older code accepted.
            return Fallback(why_none="The stored request can no longer be read.")
        match reason:
            case "reasoning_starved":
                return self._with_larger_output(job, original)
            case "outcome_unknown":
                return self._repeated(job, original)
            case _:
                return self._successor(job, original, reason)

    def _successor(self, job: Job, original: CreateResponse, reason: AttemptReason) -> Fallback:
        successor = self.catalogue.live_successor_of(job.called_model, self.providers, self.clock().date())
        if successor is None:
            return Fallback(why_none="No successor of it is served.")
        requested = self.catalogue.find(job.model) or successor
        call = admission.for_successor(original, requested, successor)
        try:
            admission.check(call, successor, on=self.clock().date())
        except InvalidRequest as refused:
            return Fallback(why_none=f"Its successor {successor.id} cannot serve the request: {refused.message}")
        return self._affordable(job, call, successor, reason)

    def _repeated(self, job: Job, original: CreateResponse) -> Fallback:
        """The same call. If its model has been retired since and the request allows it, the call of the successor."""
        model = self.catalogue.find(job.called_model)
        if model is None or self.catalogue.provider_for(model.id, self.providers, self.clock().date()) is None:
            return self._successor(job, original, "model_retired") if job.model_policy == "successor" else Fallback()
        return self._affordable(job, _as_called(job, original), model, "outcome_unknown")

    def _with_larger_output(self, job: Job, original: CreateResponse) -> Fallback:
        """The call with a larger output cap, then with less effort."""
        model, cap, effort = self.catalogue.find(job.called_model), job.called_output_tokens, job.called_effort
        if model is None:
            return Fallback()
        changes: list[dict[str, Any]] = []
        if cap is not None and cap < model.max_output_tokens:
            changes.append({"max_output_tokens": min(cap * _CAP_FACTOR, model.max_output_tokens)})
        if (lower := next_lower_effort(effort, model.efforts)) is not None:
            changes.append({"effort": lower})
        calls = [_as_called(job, original, **change) for change in changes]
        return Fallback(
            tuple(spec for call in calls for spec in self._affordable(job, call, model, "reasoning_starved").calls)
        )

    def _affordable(self, job: Job, call: CreateResponse, model: Model, reason: AttemptReason) -> Fallback:
        first = self.clock().date()
        last = max(first, job.deadline_at.date())
        try:
            hold_usd = max_cost(call, model, TIERS_BY_WIRE_NAME[job.service_tier], first=first, last=last).total_usd
        except NoPrice:
            return Fallback(why_none=f"{model.id} has no price in the service tier '{job.service_tier}' any more.")
        if job.max_cost_usd is not None and exact_sum(job.spent_usd, hold_usd) > job.max_cost_usd:
            return Fallback(
                why_none=f"A call of {model.id} can cost up to ${format_usd(hold_usd)}; the job's max_cost_usd is "
                f"${format_usd(job.max_cost_usd)}, of which ${format_usd(job.spent_usd)} is used up."
            )
        effort = admission.effective_effort(call, model)
        return Fallback((CallSpec(call.model, effort, call.max_output_tokens, hold_usd, reason),))


def _as_called(job: Job, original: CreateResponse, **changes: Any) -> CreateResponse:
    """The request as the newest attempt called it."""
    called = {"effort": job.called_effort, "max_output_tokens": job.called_output_tokens, **changes}
    return admission.override(original, model=job.called_model, **called)
