"""Each law yields a text for each breach. A law without breaches holds."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from afterthought.catalogue import default_catalogue
from afterthought.domain.jobs.attempt import OPEN_STATES, Attempt
from afterthought.domain.jobs.job import Job
from tests.laws import money
from tests.laws.view import Generation, View, Webhook

Law = Callable[[View], Iterator[str]]

_MAY_CHANGE_AFTER_THE_END = {"overdue_at", "sweeps", "version", "attempts"}
_REQUESTED: Mapping[str, Callable[[Job], bool]] = {
    "outcome_unknown": lambda job: job.on_unknown == "retry",
    "reasoning_starved": lambda job: job.on_starved == "retry",
    "model_retired": lambda job: job.model_policy == "successor",
    "model_not_found": lambda job: job.model_policy == "successor",
}
"""Which option of a job permits a further attempt, by the attempt's reason."""


def no_accepted_job_is_lost(view: View) -> Iterator[str]:
    for job_id in view.accepted:
        if job_id not in view.jobs:
            yield f"{job_id}: accepted and lost"


def jobs_end_in_time(view: View) -> Iterator[str]:
    for job in view.jobs.values():
        if not job.terminal or job.finished_at is None:
            yield f"{job.id}: never ended, it is {job.status}"
        elif job.finished_at > job.deadline_at + view.grace:
            yield f"{job.id}: ended {job.finished_at - job.deadline_at} after its deadline"
        elif job.open_attempt is not None:
            yield f"{job.id}: ended with an attempt that is {job.open_attempt.state}"


def ends_are_published(view: View) -> Iterator[str]:
    for job in view.jobs.values():
        if job.overdue_at is not None:
            yield f"{job.id}: still overdue when all is idle"
        if view.published is None:
            continue
        events = [event for event in view.published if event.job_id == job.id]
        if not events:
            yield f"{job.id}: never published"
        if len({event.payload() for event in events}) > 1:
            yield f"{job.id}: published as different events"
        if any(event.status != job.status for event in events):
            yield f"{job.id}: is {job.status}, published as {sorted({event.status for event in events})}"


def webhooks_arrive(view: View) -> Iterator[str]:
    """A job with a webhook sends one signed message to its own tenant until it is accepted or given up."""
    if view.webhooks is None:
        return
    received: dict[str | None, list[Webhook]] = defaultdict(list)
    for webhook in view.webhooks:
        received[webhook.job_id].append(webhook)
        if not webhook.signed:
            yield f"{webhook.job_id}: a webhook to {webhook.tenant} has an invalid signature"
    for job in view.jobs.values():
        for breach in _webhook_breaches(view, job, received[job.id]):
            yield f"{job.id}: {breach}"


def _webhook_breaches(view: View, job: Job, webhooks: Sequence[Webhook]) -> Iterator[str]:
    if job.id not in view.webhook_jobs:
        if webhooks:
            yield "a webhook that was not requested"
    elif job.id not in view.abandoned_webhooks and not any(each.accepted and each.signed for each in webhooks):
        yield f"its webhook was accepted in none of {len(webhooks)} requests"
    if len({(each.body, each.message_id) for each in webhooks}) > 1:
        yield "its webhook arrived as different messages"
    if types := {str(each.type) for each in webhooks} - {f"response.{job.status}"}:
        yield f"is {job.status}, its webhook has type {sorted(types)}"
    if tenants := {each.tenant for each in webhooks} - {job.tenant}:
        yield f"a job of {job.tenant}, its webhook went to {sorted(tenants)}"


def generations_are_paid_once(view: View) -> Iterator[str]:
    """Every generation belongs to exactly one attempt, which is settled; every attempt has at most one generation.

    A call that the provider accepted and then refused did not run, so the same attempt may be tried again.
    """
    generations = [generation for generation in view.generations if generation.ran]
    for generation in generations:
        job = view.jobs.get(generation.job_id)
        attempts = [attempt for attempt in job.attempts if attempt.token == generation.token] if job else []
        for breach in _generation_breaches(generation, attempts):
            yield f"{generation.job_id}: {breach}"
    per_attempt = Counter((generation.job_id, generation.token) for generation in generations)
    for (job_id, _), count in per_attempt.items():
        if count > 1:
            yield f"{job_id}: an attempt has {count} generations"
    per_job = Counter(generation.job_id for generation in generations)
    for job in view.jobs.values():
        if per_job[job.id] > len(job.attempts):
            yield f"{job.id}: {per_job[job.id]} generations ran for {len(job.attempts)} attempts"


def _generation_breaches(generation: Generation, attempts: Sequence[Attempt]) -> Iterator[str]:
    if generation.attempt_recorded is False:
        yield "a generation started before its attempt was recorded"
    if len(attempts) != 1:
        yield f"a generation belongs to {len(attempts)} attempts"
    for attempt in attempts:
        if attempt.state != money.SETTLED:
            yield f"a generation ran and its attempt is {attempt.state}"
        if attempt.response_id not in (None, generation.response_id):
            yield "the attempt of a generation names another generation"


def further_attempts_are_requested(view: View) -> Iterator[str]:
    """A further attempt exists only where the job's options permit it, and for the reason that it names."""
    for job in view.jobs.values():
        for breach in _further_attempts(view, job):
            yield f"{job.id}: {breach}"


def _further_attempts(view: View, job: Job) -> Iterator[str]:
    for before, after in pairwise(job.attempts):
        if after.reason is None or not _REQUESTED[after.reason](job):
            yield f"attempt {after.number} has the reason {after.reason}, which was not requested"
        unknown = _outcome_was_unknown(view, job, before)
        if after.reason == "outcome_unknown" and not unknown:
            yield f"attempt {after.number} repeats a call without an unknown outcome"
        if after.reason == "reasoning_starved" and not _starved(view, before):
            yield f"attempt {after.number} follows a call that was not starved"
        # The repeat of an unknown outcome calls the successor if the model was retired meanwhile.
        repeats = job.on_unknown == "retry" and before.state == money.SETTLED and unknown
        did_not_run = before.state in ("refused", "voided") or repeats
        if after.reason in ("model_retired", "model_not_found") and not did_not_run:
            yield f"attempt {after.number} replaces a call that may have run"
    if view.history is not None:
        # Counts the repeated attempts, because a repeat that calls a successor has the successor's reason.
        repeated = [
            each for each in job.attempts[:-1] if each.state == money.SETTLED and _outcome_was_unknown(view, job, each)
        ]
        if len(repeated) > 1:
            yield f"{len(repeated)} calls with an unknown outcome were repeated"
    for reason in ("outcome_unknown", "reasoning_starved"):
        if sum(each.reason == reason for each in job.attempts) > 1:
            yield f"was repeated twice because of {reason}"


def _outcome_was_unknown(view: View, job: Job, attempt: Attempt) -> bool:
    """Whether the outcome of an attempt was unknown when the next attempt was made."""
    if view.history is None:
        return attempt.usage is None
    stored = next(version for version in view.history[job.id] if len(version.attempts) > attempt.number)
    repeated = next(each for each in stored.attempts if each.number == attempt.number)
    return repeated.state == money.SETTLED and repeated.estimated and repeated.response_id is None


def _starved(view: View, attempt: Attempt) -> bool:
    generation = next((each for each in view.generations if each.response_id == attempt.response_id), None)
    return generation is not None and generation.starved is not False and attempt.state == money.SETTLED


def cancelled_jobs_stop(view: View) -> Iterator[str]:
    """After a cancel is answered, no call starts and a running call stops soon. The job has an answer only if the
    provider had it before the cancel."""
    for job in view.jobs.values():
        by_provider = any(generation.cancelled_by_provider for generation in view.generations_of(job.id))
        if view.cancels is not None and job.status == "cancelled" and job.id not in view.cancels and not by_provider:
            yield f"{job.id}: is cancelled, which was not requested"
        if job.id in view.cancelled_at:
            for breach in _cancel_breaches(view, job, view.cancelled_at[job.id]):
                yield f"{job.id}: {breach}"


def _cancel_breaches(view: View, job: Job, at: datetime) -> Iterator[str]:
    if job.finished_at is None or job.finished_at > at + view.grace:
        yield f"was cancelled at {at} and ended at {job.finished_at}"
    generations = {generation.token: generation for generation in view.generations_of(job.id)}
    # A generation that was recorded only after the job's end could not be cancelled.
    versions = [job] if view.history is None else [each for each in view.history[job.id] if not each.terminal]
    for generation in generations.values():
        attempts = [each for version in versions for each in version.attempts if each.token == generation.token]
        called_at = attempts[-1].called_at if attempts else None
        if called_at is None or called_at > at:
            yield "was called after it was cancelled"
        elif generation.ends_at is not None and generation.ends_at > at + view.grace and attempts[-1].response_id:
            yield f"ran until {generation.ends_at - at} after it was cancelled"
    if job.status != "cancelled" and (job.attempt is None or job.attempt.state == "voided"):
        yield f"was cancelled before it was called and is {job.status}"
    last = generations.get(job.attempt.token or "") if job.attempt else None
    if job.status in ("completed", "incomplete") and (last is None or last.cancelled):
        yield f"was cancelled and is {job.status} without an answer of the provider"


def costs_are_exact(view: View) -> Iterator[str]:
    generations = {generation.response_id: generation for generation in view.generations}
    for job in view.jobs.values():
        if job.status in ("completed", "incomplete") and (job.attempt is None or job.attempt.state != money.SETTLED):
            yield f"{job.id}: has an answer without a settled attempt"
        for attempt in job.attempts:
            if attempt.state == money.SETTLED and not (attempt.estimated and attempt.response_id is None):
                for breach in _cost_breaches(job, attempt, generations.get(attempt.response_id or "")):
                    yield f"{job.id}: {breach}"
            elif attempt.state in ("voided", "refused") and attempt.cost_usd:
                yield f"{job.id}: attempt {attempt.number} did not run and cost {attempt.cost_usd}"


def _cost_breaches(job: Job, attempt: Attempt, generation: Generation | None) -> Iterator[str]:
    if generation is None or (generation.job_id, generation.token) != (job.id, attempt.token):
        yield "settled by the generation of another attempt"
    elif attempt.usage is None:
        if attempt.cost_usd != attempt.hold_usd:
            yield f"its usage is unknown, {attempt.hold_usd} was held and {attempt.cost_usd} is recorded"
    else:
        if generation.usage is not None and attempt.usage != generation.usage:
            yield "has the usage of another generation"
        if attempt.cost_usd != (cost := cost_usd(job, attempt)):
            yield f"cost {cost} and {attempt.cost_usd} is recorded"


def cost_usd(job: Job, attempt: Attempt) -> Decimal:
    """The cost of an attempt, computed again from the catalogue's standard row."""
    model = default_catalogue().find(attempt.model or job.model)
    usage = attempt.usage
    assert model is not None
    assert usage is not None
    row = model.price_rows("standard", (attempt.called_at or attempt.held_at).date())[0]
    read, write = row.cached_input or row.input, row.cache_write or row.input
    uncached = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    return (
        uncached * row.input
        + usage.cached_input_tokens * read
        + usage.cache_write_tokens * write
        + usage.output_tokens * row.output
    ) / 1_000_000


def history_is_kept(view: View) -> Iterator[str]:
    """No version is skipped, no end changes, and no settled attempt changes, except that an estimate may be lowered."""
    for job_id, history in (view.history or {}).items():
        for breach in _history_breaches(history):
            yield f"{job_id}: {breach}"


def _history_breaches(history: Sequence[Job]) -> Iterator[str]:
    if [version.version for version in history] != list(range(1, len(history) + 1)):
        yield "versions were skipped or written twice"
    ends = [version.model_dump_json(exclude=_MAY_CHANGE_AFTER_THE_END) for version in history if version.terminal]
    if len(set(ends)) > 1:
        yield "an end was changed"
    if any(version.overdue_at is None for version in history if not version.terminal):
        yield "had no due time before its end"
    for before, after in pairwise(history):
        if len(after.attempts) < len(before.attempts):
            yield "an attempt was removed"
        for old, new in zip(before.attempts, after.attempts, strict=False):
            if old.state in OPEN_STATES or old == new:
                continue
            if not old.estimated or new.state != money.SETTLED:
                yield f"attempt {old.number} was {old.state} and was changed"
            elif new.spent_usd > old.spent_usd and not new.over_max_cost:
                yield f"attempt {old.number} was corrected from {old.spent_usd} up to {new.spent_usd}"


def ledger_matches_jobs(view: View) -> Iterator[str]:
    """The ledger is the sum of the jobs' attempts, a month is the sum of its days, and nothing is held at rest."""
    yield from money.differences(money.of_jobs(view.jobs.values()), view.ledger)
    months: dict[money.Period, money.Budget] = defaultdict(money.Budget)
    for (tenant, period), budget in view.ledger.budgets.items():
        if budget.held:
            yield f"{tenant} {period}: {float(budget.held)} is still held"
        if money.is_day(period):
            month = tenant, period[: len("2026-11")]
            months[month] = money.Budget(months[month].held + budget.held, months[month].spent + budget.spent)
    for tenant, period in {each for each in view.ledger.budgets if not money.is_day(each[1])} | months.keys():
        if months[tenant, period] != view.ledger.budgets.get((tenant, period), money.Budget()):
            yield f"{tenant} {period}: the month is not the sum of its days"


def budgets_are_never_exceeded(view: View) -> Iterator[str]:
    """Only a cost above its hold may exceed a budget. It is recorded in full."""
    overrun: dict[str, Fraction] = defaultdict(Fraction)
    for job in view.jobs.values():
        overrun[job.tenant] += sum(
            (Fraction(e.spent_usd - e.hold_usd) for e in job.attempts if e.over_max_cost), Fraction(0)
        )
    for tenant, period, held, spent, cap in {
        (each.tenant, each.period, each.held, each.spent, each.cap) for each in view.balances
    }:
        if held < 0 or spent < 0:
            yield f"{tenant} {period}: {held} was held and {spent} spent"
        if cap is not None and Fraction(held) + Fraction(spent) > Fraction(cap) + overrun[tenant]:
            yield f"{tenant} {period}: {held} was held and {spent} spent, the cap is {cap}"


LAWS: Sequence[Law] = (
    no_accepted_job_is_lost,
    jobs_end_in_time,
    ends_are_published,
    webhooks_arrive,
    generations_are_paid_once,
    further_attempts_are_requested,
    cancelled_jobs_stop,
    costs_are_exact,
    history_is_kept,
    ledger_matches_jobs,
    budgets_are_never_exceeded,
)


def broken(view: View) -> list[str]:
    """Every breach of every law."""
    return [breach for law in LAWS for breach in law(view)]
