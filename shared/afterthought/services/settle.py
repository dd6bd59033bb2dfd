"""What an ended generation comes to in the ledger: its usage, its price row and its cost."""

from datetime import datetime

from afterthought.domain.attempt import Attempt, Plan
from afterthought.domain.job import STARVED, Job
from afterthought.domain.models.model import Model, NoPrice
from afterthought.domain.pricing import TIERS_BY_WIRE_NAME, Cost, cost
from afterthought.domain.record import Failure
from afterthought.services.ports import Generation


def settle(
    job: Job,
    generation: Generation,
    bill: Cost | None,
    *,
    now: datetime,
    failure: Failure | None = None,
    then: Plan | None = None,
) -> Job:
    """The job as it has ended, or goes on with `then`. `failure` overrides the provider's own reason: the job then
    counts as failed."""
    if failure is None and generation.status == "failed":
        failure = Failure(
            code=generation.error_code or "server_error", message=generation.error_message or "The model failed."
        )
    return job.settled(
        "failed" if failure else generation.status,
        now=now,
        response_id=generation.response_id,
        served_model=generation.model,
        usage=generation.usage,
        price_id=bill.price_id if bill else None,
        cost_usd=bill.total_usd if bill else None,
        failure=failure,
        incomplete_reason=STARVED if starved(generation) else generation.incomplete_reason,
        then=then,
    )


def correct(job: Job, attempt: Attempt, generation: Generation, *, model: Model | None) -> Job | None:
    """The job with the cost of what an attempt really used in place of its estimate; None while that is not known."""
    bill = bill_of(job, attempt, generation, model)
    if bill is None or generation.usage is None:
        return None
    return job.corrected(
        attempt.number,
        response_id=generation.response_id,
        served_model=generation.model,
        usage=generation.usage,
        price_id=bill.price_id,
        cost_usd=bill.total_usd,
    )


def bill_of(job: Job, attempt: Attempt, generation: Generation, model: Model | None) -> Cost | None:
    """The cost by the row in force when the call was made, of the tier that was served. None when the provider did not
    say what was used."""
    usage = generation.usage
    if model is None or usage is None:
        return None
    on = (attempt.called_at or attempt.held_at).date()
    asked = TIERS_BY_WIRE_NAME[job.service_tier]
    served = TIERS_BY_WIRE_NAME.get(generation.service_tier or "", asked)
    try:
        price = model.price(served, usage.input_tokens, on)
    except NoPrice:
        # A tier that the catalogue has no row for: the asked one was checked to have one.
        price = model.price(asked, usage.input_tokens, on)
    return cost(usage, price)


def starved(generation: Generation) -> bool:
    """Whether the model thought until its tokens were used up, and gave nothing that can be seen."""
    ran_out = generation.status == "incomplete" and generation.incomplete_reason == "max_output_tokens"
    return ran_out and not any(_visible(item) for item in generation.output)


def _visible(item: dict[str, object]) -> bool:
    """A message with text (or a refusal) in it, or a call of a tool."""
    if item.get("type") == "reasoning":
        return False
    if item.get("type") != "message":
        return True
    content = item.get("content")
    parts = content if isinstance(content, list) else ()
    return any(isinstance(part, dict) and (part.get("text") or part.get("refusal")) for part in parts)
