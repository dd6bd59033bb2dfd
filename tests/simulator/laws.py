"""The service's laws, told of a world that has come to rest. Each yields what breaks it, in words."""

import base64
import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from afterthought.catalogue import default_catalogue
from afterthought.domain.attempt import OPEN, Attempt
from afterthought.domain.books import Standing
from afterthought.domain.job import Job
from tests.simulator.provider import REFUSED_RUNS, Run, usage_of
from tests.simulator.receiver import Received
from tests.simulator.world import World

AFTER_DEADLINE = timedelta(hours=2)
"""A job may outlive its deadline by the faults that happen just then: a lease, a queue's patience, some sweeps."""

_STANDS_STILL = {"due_at", "sweeps", "version"}


def broken(world: World) -> list[str]:
    """Everything that breaks a law; empty when all hold."""
    return (
        [f"{job_id}: {what}" for job_id in world.accepted for what in _lost(world, job_id)]
        + [
            f"{job.id}: {what}"
            for job in world.jobs.items.values()
            for law in (_ended, _announced, _paid_once, _explained, _exact, _never_unwritten, _told)
            for what in law(world, job)
        ]
        + [*_budgets(world), *_usage(world)]
    )


def _lost(world: World, job_id: str) -> Iterator[str]:
    if job_id not in world.jobs.items:
        yield "accepted and lost"


def _ended(world: World, job: Job) -> Iterator[str]:
    if not job.terminal or job.finished_at is None:
        yield f"never ended, it is {job.status}"
    elif job.finished_at > job.deadline_at + AFTER_DEADLINE:
        yield f"ended {job.finished_at - job.deadline_at} after its deadline"


def _announced(world: World, job: Job) -> Iterator[str]:
    events = [event for event in world.topic.published if event.job_id == job.id]
    if job.due_at is not None:
        yield "is due though nothing will happen"
    if not events:
        yield "never announced"
    if len({event.payload() for event in events}) > 1:
        yield "announced as different events"
    if any(event.status != job.status for event in events):
        yield "announced as what it is not"


def _paid_once(world: World, job: Job) -> Iterator[str]:
    """What the provider refused only after it took it ran nothing: it may be tried again, by the same entry."""
    runs = [run for run in world.provider.generations(job.id) if run.ending not in REFUSED_RUNS]
    owners: list[int] = []
    for run in runs:
        entries = {e.number: e.state for version in world.jobs.history[job.id] for e in version.attempts if _is(e, run)}
        if not run.ledgered:
            yield "a generation began that the ledger did not know"
        if len(entries) != 1:
            yield f"a generation belongs to {len(entries)} ledger entries"
        if set(entries.values()) & {"held", "refused", "released"}:
            yield "a generation belongs to an entry that says nothing ran"
        owners += entries
    if len(set(owners)) < len(owners):
        yield f"an entry has more than one generation: {owners}"


def _explained(world: World, job: Job) -> Iterator[str]:
    """A second attempt only where the owner asked for it, and for the reason it gives."""
    for before, after in pairwise(job.attempts):
        if after.because is None:
            yield f"attempt {after.number} has no reason"
        if after.because == "outcome_unknown" and not _was_lost(world, job, before):
            yield f"attempt {after.number} repeats a call whose outcome was known"
        if after.because == "reasoning_starved" and (before.usage is None or before.state != "settled"):
            yield f"attempt {after.number} follows a call that did not starve"
        if after.because in ("model_retired", "model_not_found") and before.state not in ("refused", "released"):
            yield f"attempt {after.number} takes the place of a call that may have run"
    if sum(each.because == "outcome_unknown" for each in job.attempts) > 1:
        yield "an unknown outcome was repeated twice"


def _is(entry: Attempt, run: Run) -> bool:
    return entry.token == run.token


def _was_lost(world: World, job: Job, entry: Attempt) -> bool:
    """Whether nobody knew what came of it when the next one was begun."""
    stood = [e for v in world.jobs.history[job.id] if len(v.attempts) > entry.number for e in v.attempts]
    first = next(e for e in stood if e.number == entry.number)
    return first.state == "settled" and first.estimated and first.response_id is None


def _exact(world: World, job: Job) -> Iterator[str]:
    if job.status in ("completed", "incomplete") and (job.attempt is None or job.attempt.state != "settled"):
        yield "an answer without a settled attempt"
    for entry in job.attempts:
        if entry.state == "settled" and not (entry.estimated and entry.response_id is None):
            yield from _exactly(world, job, entry)
        elif entry.state in ("released", "refused") and entry.cost_usd:
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
    (row,) = model.rows("standard", job.created_at.date())
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
    # An estimate may be corrected; the end itself stands.
    changes = _STANDS_STILL | ({"attempts"} if ended and ended[0].estimated else set())
    if len({version.model_dump_json(exclude=changes) for version in ended}) > 1:
        yield "an end was changed"
    if any(version.due_at is None for version in history if not version.terminal):
        yield "was forgotten before its end"


def _told(world: World, job: Job) -> Iterator[str]:
    arrived = [each for each in world.receiver.received if json.loads(each.body)["data"]["id"] == job.id]
    if not job.webhook:
        if arrived:
            yield "a webhook that nobody asked for"
        return
    given_up = any(job.id in message.body for message in world.webhook_messages.dead)
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
    """What stands of the budgets is what the jobs hold and have cost: worked out here from the attempts alone."""
    told: dict[tuple[str, date], tuple[Decimal, Decimal]] = defaultdict(lambda: (Decimal(0), Decimal(0)))
    for job in world.jobs.items.values():
        for entry in job.attempts:
            held, spent = told[job.tenant, entry.held_at.date()]
            is_open = entry.state in OPEN
            now_held, now_spent = (entry.hold_usd, 0) if is_open else (0, entry.cost_usd or 0)
            told[job.tenant, entry.held_at.date()] = (held + now_held, spent + now_spent)
    stands = {
        (tenant, day): standing
        for (tenant, _), book in world.books.months.items()
        for day, standing in book.days.items()
    }
    for key in told.keys() | stands.keys():
        if told[key] != stands.get(key):
            yield f"{key[0]} {key[1]}: {stands.get(key)} stands, the jobs say {told[key]}"
    for (tenant, month), book in world.books.months.items():
        if Standing(*(sum(column, Decimal(0)) for column in zip(*book.days.values(), strict=True))) != book.total:
            yield f"{tenant} {month}: the month is not the sum of its days"


def _usage(world: World) -> Iterator[str]:
    """The usage rows count what the jobs hold, have cost and have used."""
    for tenant in {job.tenant for job in world.jobs.items.values()}:
        jobs = [job for job in world.jobs.items.values() if job.tenant == tenant]
        entries = [entry for job in jobs for entry in job.attempts]
        counts: dict[str, Decimal] = defaultdict(Decimal)
        for row in world.books.rows[tenant].values():
            for name, amount in row.items():
                counts[name.partition("_")[2]] += amount
        told: dict[str, Decimal | int] = {
            "jobs": len(jobs),
            "held_usd": sum(entry.hold_usd for entry in entries if entry.state in OPEN),
            "spent_usd": sum(entry.cost_usd or 0 for entry in entries),
            "output_tokens": sum(entry.usage.output_tokens for entry in entries if entry.usage),
        }
        for name, number in told.items():
            if counts[name] != number:
                yield f"{tenant}: the usage rows count {counts[name]} {name}, the jobs {number}"
