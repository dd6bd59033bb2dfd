"""Computes the cost of a finished generation and settles the job."""

from datetime import datetime

from afterthought.domain.jobs.attempt import Attempt, CallSpec
from afterthought.domain.jobs.generation import Generation
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.status import STARVED, Failure
from afterthought.domain.models.model import Model, NoPrice
from afterthought.domain.models.pricing import TIERS_BY_WIRE_NAME, Cost, cost


def settle(
    job: Job,
    generation: Generation,
    model: Model | None,
    *,
    now: datetime,
    failure: Failure | None = None,
    fallback: CallSpec | None = None,
) -> Job:
    """The job with the result of its open attempt. `model` is the called model, None if the catalogue has no entry.
    `failure` replaces the provider's own reason; the job then counts as failed."""
    if failure is None and generation.status == "failed":
        failure = Failure(
            code=generation.error_code or "server_error", message=generation.error_message or "The model failed."
        )
    bill = bill_of(job, job.called_attempt, generation, model)
    return job.settle(
        "failed" if failure else generation.status,
        now=now,
        response_id=generation.response_id,
        served_model=generation.model,
        usage=generation.usage,
        price_id=bill.price_id if bill else None,
        cost_usd=bill.total_usd if bill else None,
        failure=failure,
        incomplete_reason=STARVED if generation.starved else generation.incomplete_reason,
        fallback=fallback,
    )


def correct(job: Job, attempt: Attempt, generation: Generation, model: Model | None) -> Job | None:
    """The job with the real cost of an estimated attempt; None while the provider does not report the usage."""
    bill = bill_of(job, attempt, generation, model)
    if bill is None or generation.usage is None:
        return None
    return job.correct_usage(
        attempt.number,
        response_id=generation.response_id,
        served_model=generation.model,
        usage=generation.usage,
        price_id=bill.price_id,
        cost_usd=bill.total_usd,
    )


def bill_of(job: Job, attempt: Attempt, generation: Generation, model: Model | None) -> Cost | None:
    """The cost by the price row in force when the call was made, for the served tier. None without usage."""
    usage = generation.usage
    if model is None or usage is None:
        return None
    on = (attempt.called_at or attempt.held_at).date()
    requested = TIERS_BY_WIRE_NAME[job.service_tier]
    served = TIERS_BY_WIRE_NAME.get(generation.service_tier or "", requested)
    try:
        price = model.price(served, usage.input_tokens, on)
    except NoPrice:
        # The catalogue has no row for the served tier; submission checked that it has one for the requested tier.
        price = model.price(requested, usage.input_tokens, on)
    return cost(usage, price)
