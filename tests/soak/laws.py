"""What must hold once all is quiet. Each law gives what breaks it, in words: nothing, when it holds."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from afterthought.adapters.clock import now
from afterthought.adapters.reconcile_tables import JobTableScan, LedgerItemTable
from afterthought.domain.jobs.job import Job
from afterthought.services.admin.reconcile import Reconciler
from local.receiver import Arrival
from local.service import Service
from local.standin.runs import Generation
from tests.e2e.own_tables import Tables
from tests.simulator import money
from tests.soak.callers import Accepted, Callers
from tests.soak.plan import SHARE

DEAD_LETTERS = ("JobDeadLetterQueue", "DirectDeadLetterQueue", "StreamDeadLetterQueue", "WebhookDeadLetterQueue")
KILLED_WORKERS = "killed processes of Worker"
SAMPLE = 50


@dataclass(frozen=True)
class Found:
    """All that can be seen of the service when it has come to rest. `strangers` are webhooks that the receiver refused,
    `used` is the most that was ever seen used of a tenant's month, and `caps` what it might, `faults` how often each
    struck."""

    service: Service
    tables: Tables
    callers: Callers
    jobs: Mapping[str, Job]
    arrivals: Mapping[str, Sequence[Arrival]]
    strangers: Sequence[Arrival]
    generations: Sequence[Generation]
    used: Mapping[str, Decimal]
    caps: Mapping[str, Decimal]
    faults: Mapping[str, int]

    @property
    def accepted(self) -> Mapping[str, Accepted]:
        return self.callers.accepted

    def told(self, job_id: str) -> bool:
        """Whether the job's webhook arrived and was accepted."""
        return any(each.verified and 200 <= each.response_status < 300 for each in self.arrivals.get(job_id, ()))


Law = Callable[[Found], Iterator[str]]


def enough_went_wrong(found: Found) -> Iterator[str]:
    """Without faults the other laws say little."""
    if sum(found.faults.values()) < SHARE * len(found.accepted):
        yield f"of {len(found.accepted)} jobs so few met a fault: {dict(found.faults)}"
    if not found.faults.get(KILLED_WORKERS):
        yield "no worker was killed"


def every_job_that_was_accepted_has_ended(found: Found) -> Iterator[str]:
    for job_id in found.accepted:
        job = found.jobs.get(job_id)
        if job is None:
            yield f"{job_id} is lost"
        elif not job.terminal or job.open_attempt is not None:
            yield f"{job_id} is {job.status}"
    for job_id in found.jobs.keys() - found.accepted.keys():
        yield f"{job_id} was made and told to nobody"


def none_ended_by_a_defect(found: Found) -> Iterator[str]:
    for job in found.jobs.values():
        if job.failure is not None and job.failure.code == "internal_error":
            yield f"{job.id}: {job.failure.message}"
        if job.over_max_cost:
            yield f"{job.id} cost more than was held for it"


def every_end_was_announced(found: Found) -> Iterator[str]:
    for job_id, job in found.jobs.items():
        arrived = found.arrivals.get(job_id, ())
        if job.overdue_at is not None:
            yield f"{job_id} is due, though nothing is to happen"
        if not found.told(job_id):
            yield f"{job_id}: its webhook was accepted in none of {len(arrived)} sends"
        if {each.event for each in arrived} - {f"response.{job.status}"}:
            yield f"{job_id} is {job.status} and was announced as {[each.event for each in arrived]}"
        if len({_webhook_id(each) for each in arrived}) > 1 or len({each.body for each in arrived}) > 1:
            yield f"{job_id}: its webhook came as different messages"
        if {each.path.strip("/") for each in arrived} - {job.tenant}:
            yield f"{job_id} of {job.tenant} was announced to {[each.path for each in arrived]}"
    for arrival in found.strangers:
        yield f"a webhook to {arrival.path} was refused: {arrival.error}"


def no_generation_is_without_its_entry_and_no_entry_has_two(found: Found) -> Iterator[str]:
    entries = {
        (job.id, entry.token): entry for job in found.jobs.values() for entry in job.attempts if entry.token is not None
    }
    made: dict[tuple[str, str], list[Generation]] = defaultdict(list)
    for one in found.generations:
        made[one.metadata["afterthought_job"], one.metadata["afterthought_token"]].append(one)
    for (job_id, token), generations in made.items():
        entry = entries.get((job_id, token))
        if entry is None:
            yield f"{job_id}: a generation has no ledger entry"
        elif entry.state != money.SETTLED:
            yield f"{job_id}: a generation ran and its entry is {entry.state}"
        elif entry.response_id not in (None, generations[0].id):
            yield f"{job_id}: a generation's entry names another"
        if len(generations) > 1:
            yield f"{job_id}: an entry has {len(generations)} generations"


def nothing_is_called_again_that_nobody_asked_for(found: Found) -> Iterator[str]:
    for job in found.jobs.values():
        asked = {"outcome_unknown": job.on_unknown == "retry", "reasoning_starved": job.on_starved == "retry"}
        for before, after in pairwise(job.attempts):
            if not asked.get(str(after.reason)):
                yield f"{job.id}: attempt {after.number} was begun because of {after.reason}"
            if after.reason == "outcome_unknown" and before.usage is not None:
                yield f"{job.id}: attempt {after.number} repeats a call whose outcome was known"


def nothing_is_held_and_what_is_spent_is_what_the_jobs_cost(found: Found) -> Iterator[str]:
    yield from found.tables.differences()
    spent: dict[str, Fraction] = defaultdict(Fraction)
    for (tenant, period), budget in found.tables.money().budgets.items():
        if budget.held:
            yield f"{tenant} still holds {float(budget.held)} in {period}"
        if len(period) == len("2026-11"):
            spent[tenant] += budget.spent
    cost: dict[str, Fraction] = defaultdict(Fraction)
    for job in found.jobs.values():
        cost[job.tenant] += sum((Fraction(entry.cost_usd or 0) for entry in job.attempts), Fraction(0))
    for tenant in spent.keys() | cost.keys():
        if spent[tenant] != cost[tenant]:
            yield f"{tenant} has spent {float(spent[tenant])}, and its jobs cost {float(cost[tenant])}"


def reconcile_finds_no_difference(found: Found) -> Iterator[str]:
    reconciled = Reconciler(
        JobTableScan(found.tables.dynamodb, found.tables.jobs),
        LedgerItemTable(found.tables.dynamodb, found.tables.accounts),
        now,
    ).run(found.caps, repair=False)
    yield from (str(each) for each in (*reconciled.differences, *reconciled.unstable))


def no_budget_was_ever_passed(found: Found) -> Iterator[str]:
    for tenant, cap in found.caps.items():
        if found.used[tenant] > cap:
            yield f"{tenant} had {found.used[tenant]} of {cap} used"


def nothing_lies_where_messages_go_that_nobody_could_handle(found: Found) -> Iterator[str]:
    for name in DEAD_LETTERS:
        if lying := waiting(found.service, name):
            yield f"{name}: {dict(lying)}"


def answers_are_right_and_say_what_they_cost(found: Found) -> Iterator[str]:
    """As a caller sees them; of so many jobs that were spared."""
    spared = [
        job
        for job in found.accepted.values()
        if found.jobs[job.id].status == "completed" and not job.wanted.rules and job.wanted.cancelled_after is None
    ]
    for job in spared[:: max(1, len(spared) // SAMPLE)]:
        shown = found.callers.show(job)
        if job.wanted.answer not in str(shown["output"]):
            yield f"{job.id}: {job.wanted.body['input']} {job.wanted.answer} is not in its answer"
        if shown["usage"] is None or shown["afterthought"]["cost"]["total_usd"] is None:
            yield f"{job.id} does not say what it cost"


def every_request_was_answered_as_it_should_be(found: Found) -> Iterator[str]:
    yield from found.callers.problems


LAWS: Sequence[Law] = (
    enough_went_wrong,
    every_request_was_answered_as_it_should_be,
    every_job_that_was_accepted_has_ended,
    none_ended_by_a_defect,
    every_end_was_announced,
    no_generation_is_without_its_entry_and_no_entry_has_two,
    nothing_is_called_again_that_nobody_asked_for,
    nothing_is_held_and_what_is_spent_is_what_the_jobs_cost,
    reconcile_finds_no_difference,
    no_budget_was_ever_passed,
    nothing_lies_where_messages_go_that_nobody_could_handle,
    answers_are_right_and_say_what_they_cost,
)


def waiting(service: Service, queue: str) -> Counter[str]:
    """How many messages lie in a queue: to be had, hidden after they were handed out, delayed."""
    names = {"": "to be had", "NotVisible": "hidden", "Delayed": "delayed"}
    told = service.cloud.sqs.get_queue_attributes(
        QueueUrl=service.stack[f"{queue}Url"],
        AttributeNames=[
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ],
    )["Attributes"]
    counts = {name: int(told.get(f"ApproximateNumberOfMessages{part}", 0)) for part, name in names.items()}  # type: ignore[call-overload]
    return Counter({name: count for name, count in counts.items() if count})


def _webhook_id(arrival: Arrival) -> str | None:
    return {name.lower(): value for name, value in arrival.headers.items()}.get("webhook-id")
