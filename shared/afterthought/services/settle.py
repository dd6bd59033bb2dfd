"""Book an ended generation: its answer is stored first, then one transaction makes the outcome, usage and cost true."""

from datetime import datetime

from afterthought.domain.attempt import Attempt
from afterthought.domain.job import Failure, Job
from afterthought.domain.model import Model, NoPrice
from afterthought.domain.pricing import TIERS_BY_WIRE_NAME, Cost, cost
from afterthought.domain.response import Answer
from afterthought.services.contents import put_answer
from afterthought.services.ports import Contents, Generation


def settle(
    job: Job,
    generation: Generation,
    *,
    model: Model | None,
    contents: Contents,
    now: datetime,
    failure: Failure | None,
) -> Job:
    """The job as it has ended. `failure` overrides the provider's own reason: the job then counts as failed."""
    attempt = job.opened
    bill = _bill(job, attempt, generation, model)
    put_answer(contents, job, attempt.number, Answer(output=generation.output))
    if failure is None and generation.status == "failed":
        failure = Failure(
            code=generation.error_code or "server_error", message=generation.error_message or "The model failed."
        )
    return job.settled(
        "failed" if failure else generation.status,
        now=now,
        served_model=generation.model,
        usage=generation.usage,
        price_id=bill.price_id if bill else None,
        cost_usd=bill.total_usd if bill else None,
        failure=failure,
        incomplete_reason=generation.incomplete_reason,
    )


def correct(job: Job, generation: Generation, *, model: Model | None) -> Job | None:
    """An ended job with the cost of what was really used in place of its estimate; None while that is not known."""
    attempt = job.attempt
    bill = _bill(job, attempt, generation, model) if attempt is not None else None
    if bill is None or generation.usage is None:
        return None
    return job.corrected(
        served_model=generation.model, usage=generation.usage, price_id=bill.price_id, cost_usd=bill.total_usd
    )


def _bill(job: Job, attempt: Attempt, generation: Generation, model: Model | None) -> Cost | None:
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
