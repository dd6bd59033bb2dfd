"""The service's laws, told of a world that has come to rest. Each yields what breaks it, in words."""

import base64
import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

from afterthought.catalogue import default_catalogue
from afterthought.domain.books import Standing
from afterthought.domain.budget import NO_CAPS
from afterthought.domain.jobs.attempt import OPEN_STATES, Attempt
from afterthought.domain.jobs.job import Job
from tests.simulator import money
from tests.simulator.provider import REFUSED_RUNS, usage_of
from tests.simulator.receiver import Received
from tests.simulator.world import World

WITHIN = timedelta(hours=2)
"""What was to end (at a deadline, at its owner's wish) may go on for so long, by what goes wrong just then: a lease, a
queue's visibility, some sweeps."""

_STANDS_STILL = {"overdue_at", "sweeps", "version"}


def broken(world: World, *, within: timedelta = WITHIN) -> list[str]:
    """Everything that breaks a law; empty when all hold. A job ends `within` so much of its deadline, and of the moment
    at which its owner was told that it is being cancelled."""
    return (
        [f"{job_id}: {what}" for job_id in world.accepted for what in _lost(world, job_id)]
        + [f"{job.id}: {what}" for job in world.jobs.items.values() for what in _ended(job, within)]
        + [
            f"{job.id}: {what}"
            for job in world.jobs.items.values()
            for law in (_announced, _paid_once, _explained, _exact, _never_unwritten, _told)
            for what in law(world, job)
        ]
        + [f"{job.id}: {what}" for job in world.jobs.items.values() for what in _cancelled(world, job, within)]
        + [*_budgets(world), *_never_over_the_cap(world)]
    )


def _lost(world: World, job_id: str) -> Iterator[str]:
    if job_id not in world.jobs.items:
        yield "accepted and lost"


def _ended(job: Job, within: timedelta) -> Iterator[str]:
    if not job.terminal or job.finished_at is None:
        yield f"never ended, it is {job.status}"
    elif job.finished_at > job.deadline_at + within:
        yield f"ended {job.finished_at - job.deadline_at} after its deadline"
    elif job.open_attempt is not None:
        yield f"ended and is {job.open_attempt.state}"


def _announced(world: World, job: Job) -> Iterator[str]:
    events = [event for event in world.topic.published if event.job_id == job.id]
    if job.overdue_at is not None:
        yield "is due though nothing will happen"
    if not events:
        yield "never announced"
    if len({event.payload() for event in events}) > 1:
        yield "announced as different events"
    if any(event.status != job.status for event in events):
        yield "announced as what it is not"


def _paid_once(world: World, job: Job) -> Iterator[str]:
    """Every generation belongs to exactly one entry, which is settled; every entry has one at most. What the provider
    refused only after it took it ran nothing: it may be tried again, by the same entry."""
    runs = [run for run in world.provider.runs_of(job.id) if run.ending not in REFUSED_RUNS or run.cancelled]
    for run in runs:
        entries = [entry for entry in job.attempts if entry.token == run.token]
        if not run.attempt_recorded:
            yield "a generation began that the ledger did not know"
        if len(entries) != 1:
            yield f"a generation belongs to {len(entries)} ledger entries"
        if any(entry.state != "settled" for entry in entries):
            yield f"a generation ran and its entry is {entries[0].state}"
        if any(entry.response_id not in (None, run.response_id) for entry in entries):
            yield "a generation's entry names another"
    tokens = [run.token for run in runs]
    if len(set(tokens)) < len(tokens):
        yield "an entry has more than one generation"
    if len(runs) > len(job.attempts):
        yield f"{len(runs)} generations ran for {len(job.attempts)} entries"


_ASKED_FOR = {
    "outcome_unknown": lambda job: job.on_unknown == "retry",
    "reasoning_starved": lambda job: job.on_starved == "retry",
    "model_retired": lambda job: job.model_policy == "successor",
    "model_not_found": lambda job: job.model_policy == "successor",
}


def _explained(world: World, job: Job) -> Iterator[str]:
    """A second attempt only where the owner asked for it, and for the reason it gives."""
    for before, after in pairwise(job.attempts):
        if after.reason is None or not _ASKED_FOR[after.reason](job):
            yield f"attempt {after.number} was begun because of {after.reason}, which nobody asked for"
        if after.reason == "outcome_unknown" and not _was_lost(world, job, before):
            yield f"attempt {after.number} repeats a call whose outcome was known"
        if after.reason == "reasoning_starved" and not _starved(world, before):
            yield f"attempt {after.number} follows a call that did not starve"
        # Where an unknown outcome is repeated after its model has gone, the repeat calls the successor.
        repeats = job.on_unknown == "retry" and before.state == "settled" and _was_lost(world, job, before)
        ran_nothing = before.state in ("refused", "voided") or repeats
        if after.reason in ("model_retired", "model_not_found") and not ran_nothing:
            yield f"attempt {after.number} takes the place of a call that may have run"
    # A successor may be what repeats it, so the repeats are counted by what they follow.
    lost = [each for each in job.attempts[:-1] if each.state == "settled" and _was_lost(world, job, each)]
    if len(lost) > 1:
        yield f"{len(lost)} lost calls were repeated"
    for reason in ("outcome_unknown", "reasoning_starved"):
        if sum(each.reason == reason for each in job.attempts) > 1:
            yield f"was repeated twice because of {reason}"


def _was_lost(world: World, job: Job, entry: Attempt) -> bool:
    """Whether nobody knew what came of it when the next one was begun."""
    stood = [e for v in world.jobs.history[job.id] if len(v.attempts) > entry.number for e in v.attempts]
    first = next(e for e in stood if e.number == entry.number)
    return first.state == "settled" and first.estimated and first.response_id is None


def _starved(world: World, entry: Attempt) -> bool:
    run = world.provider.runs.get(entry.response_id or "")
    return run is not None and run.ending == "starved" and entry.state == "settled"


def _cancelled(world: World, job: Job, within: timedelta) -> Iterator[str]:
    """Once its owner was told that it is being cancelled, nothing is called any more, and soon nothing runs. An answer
    is given only where it was there when the provider was told."""
    at = world.cancelled_at.get(job.id)
    by_itself = any(run.ending == "cancelled" for run in world.provider.runs_of(job.id))
    if job.status == "cancelled" and job.id not in world.cancel_requests and not by_itself:
        yield "is cancelled, and nobody asked for that"
    if at is None:
        return
    if job.finished_at is None or job.finished_at > at + within:
        yield f"was cancelled at {at} and ended at {job.finished_at}"
    runs = {run.token: run for run in world.provider.runs_of(job.id)}
    # What became known only after the end could not be cancelled any more.
    until_its_end = [version for version in world.jobs.history[job.id] if not version.terminal]
    for run in runs.values():
        entries = [entry for version in until_its_end for entry in version.attempts if entry.token == run.token]
        entry = entries[-1] if entries else None
        if entry is None or entry.called_at is None or entry.called_at > at:
            yield "was called after it was cancelled"
        elif run.ends_at > at + within and entry.response_id is not None:
            yield f"ran on until {run.ends_at - at} after it was cancelled"
    if job.status != "cancelled" and (job.attempt is None or job.attempt.state == "voided"):
        yield f"was cancelled before it was called and is {job.status}"
    last = runs.get(job.attempt.token or "") if job.attempt else None
    if job.status in ("completed", "incomplete") and (last is None or last.cancelled):
        yield f"was cancelled and is {job.status}, by no answer of the provider"


def _exact(world: World, job: Job) -> Iterator[str]:
    if job.status in ("completed", "incomplete") and (job.attempt is None or job.attempt.state != "settled"):
        yield "an answer without a settled attempt"
    for entry in job.attempts:
        if entry.state == "settled" and not (entry.estimated and entry.response_id is None):
            yield from _exactly(world, job, entry)
        elif entry.state in ("voided", "refused") and entry.cost_usd:
            yield f"attempt {entry.number} ran nothing and cost {entry.cost_usd}"


def _exactly(world: World, job: Job, entry: Attempt) -> Iterator[str]:
    run = world.provider.runs.get(entry.response_id or "")
    if run is None or run.token != entry.token or run.job_id != job.id:
        yield "settled by what is not its own generation"
    elif entry.usage is None:
        if entry.cost_usd != entry.hold_usd:
            yield f"nobody said what it used, {entry.hold_usd} was held and {entry.cost_usd} is booked"
    else:
        cost_usd = dollars(job, entry)
        if entry.usage != usage_of(run):
            yield "another generation's usage"
        if entry.cost_usd != cost_usd:
            yield f"it cost {cost_usd} and {entry.cost_usd} is booked"


def dollars(job: Job, entry: Attempt) -> Decimal:
    """The cost, worked out again from the catalogue's plainest row."""
    model = default_catalogue().find(entry.model or job.model)
    usage = entry.usage
    assert model is not None
    assert usage is not None
    row = model.rows("standard", (entry.called_at or entry.held_at).date())[0]
    read, write = row.cached_input or row.input, row.cache_write or row.input
    plain = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    return (
        plain * row.input
        + usage.cached_input_tokens * read
        + usage.cache_write_tokens * write
        + usage.output_tokens * row.output
    ) / 1_000_000


def _never_unwritten(world: World, job: Job) -> Iterator[str]:
    history = world.jobs.history[job.id]
    if [version.version for version in history] != list(range(1, len(history) + 1)):
        yield "versions were skipped or written twice"
    ended = [version for version in history if version.terminal]
    if len({version.model_dump_json(exclude=_STANDS_STILL | {"attempts"}) for version in ended}) > 1:
        yield "an end was changed"
    if any(version.overdue_at is None for version in history if not version.terminal):
        yield "was forgotten before its end"
    for before, after in pairwise(history):
        yield from _never_rewritten(before, after)


def _never_rewritten(before: Job, after: Job) -> Iterator[str]:
    """What is settled stands. Only an estimate may be corrected, and that only lowers what was spent."""
    if len(after.attempts) < len(before.attempts):
        yield "a ledger entry was taken out"
    for old, new in zip(before.attempts, after.attempts, strict=False):
        if old.state in OPEN_STATES or old == new:
            continue
        if not old.estimated or new.state != "settled":
            yield f"attempt {old.number} was {old.state} and was changed"
        elif new.spent_usd > old.spent_usd and not new.over_max_cost:
            yield f"attempt {old.number} was corrected from {old.spent_usd} up to {new.spent_usd}"


def _told(world: World, job: Job) -> Iterator[str]:
    arrived = [each for each in world.receiver.received if json.loads(each.body)["data"]["id"] == job.id]
    if not job.webhook:
        if arrived:
            yield "a webhook that nobody asked for"
        return
    given_up = any(job.id in message.body for message in world.webhook_messages.dead_letters)
    if not given_up and not any(each.status < 300 for each in arrived):
        yield "its webhook was never accepted, and nobody gave it up"
    if len({(each.body, each.headers["webhook-id"]) for each in arrived}) > 1:
        yield "its webhook came as different messages"
    if not all(verifies(each, world.secrets[job.tenant]) for each in arrived):
        yield "a webhook with a wrong signature"


def verifies(received: Received, secret: str) -> bool:
    """Whether a receiver with that secret would take the webhook: the standard's own steps, not the service's code."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    sent = received.headers
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + received.body
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return wanted in sent["webhook-signature"].split(" ")


def _budgets(world: World) -> Iterator[str]:
    """What stands in the books is what the jobs hold, have cost and have used."""
    yield from money.differences(money.of_jobs(world.jobs.items.values()), money.of_books(world.books))
    for (tenant, month), book in world.books.months.items():
        if Standing(*(sum(column, Decimal(0)) for column in zip(*book.days.values(), strict=True))) != book.total:
            yield f"{tenant} {month}: the month is not the sum of its days"


def _never_over_the_cap(world: World) -> Iterator[str]:
    """At every instant: but by what came in dearer than it was held for, which is booked in full."""
    overrun: dict[str, Decimal] = defaultdict(Decimal)
    for job in world.jobs.items.values():
        overrun[job.tenant] += sum((e.spent_usd - e.hold_usd for e in job.attempts if e.over_max_cost), Decimal(0))
    for (tenant, month), book in world.books.history:
        cap = world.caps_by_tenant.get(tenant, NO_CAPS)
        stands = [(f"{month:%Y-%m}", book.total, cap.month_usd)]
        stands += [(day.isoformat(), standing, cap.day_usd) for day, standing in book.days.items()]
        for period, standing, most in stands:
            if standing.held_usd < 0 or standing.spent_usd < 0:
                yield f"{tenant} {period}: {standing} stood"
            if most is not None and standing.used_usd > most + overrun[tenant]:
                yield f"{tenant} {period}: {standing.used_usd} was held and spent, the cap is {most}"
