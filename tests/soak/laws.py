"""The laws of a soak at rest, in addition to the common laws. Each law yields a text for each breach."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from afterthought.adapters.clock import now
from afterthought.adapters.reconcile_tables import JobTableScan, LedgerItemTable
from afterthought.services.admin.reconcile import Reconciler
from local.receiver import Arrival
from local.service import Service
from tests.e2e.tables import Tables
from tests.laws import laws
from tests.laws.view import View
from tests.soak.callers import Callers
from tests.soak.plan import SHARE

DEAD_LETTERS = ("JobDeadLetterQueue", "DirectDeadLetterQueue", "StreamDeadLetterQueue", "WebhookDeadLetterQueue")
KILLED_WORKERS = "killed processes of Worker"
SAMPLE = 50


@dataclass(frozen=True)
class Observation:
    """The service and its surroundings at rest. `faults` counts the faults that occurred, by name. `view.balances` has
    the highest used amount of each tenant's month."""

    service: Service
    tables: Tables
    callers: Callers
    view: View
    arrivals: Sequence[Arrival]
    faults: Mapping[str, int]

    def webhook_accepted(self, job_id: str) -> bool:
        return any(each.job_id == job_id and each.accepted for each in self.view.webhooks or ())


SoakLaw = Callable[[Observation], Iterator[str]]


def enough_faults_occurred(observed: Observation) -> Iterator[str]:
    """Without faults, the other laws prove little."""
    if sum(observed.faults.values()) < SHARE * len(observed.view.accepted):
        yield f"too few faults for {len(observed.view.accepted)} jobs: {dict(observed.faults)}"
    if not observed.faults.get(KILLED_WORKERS):
        yield "no worker was killed"


def requests_are_answered(observed: Observation) -> Iterator[str]:
    yield from observed.callers.problems


def jobs_belong_to_callers(observed: Observation) -> Iterator[str]:
    for job_id in observed.view.jobs.keys() - set(observed.view.accepted):
        yield f"{job_id}: was created and no caller got its id"


def no_job_ends_by_a_defect(observed: Observation) -> Iterator[str]:
    for job in observed.view.jobs.values():
        if job.failure is not None and job.failure.code == "internal_error":
            yield f"{job.id}: {job.failure.message}"
        if job.over_max_cost:
            yield f"{job.id}: cost more than its hold"


def reconciliation_finds_nothing(observed: Observation) -> Iterator[str]:
    tenants = {balance.tenant for balance in observed.view.balances}
    reconciled = Reconciler(
        JobTableScan(observed.tables.dynamodb, observed.tables.jobs),
        LedgerItemTable(observed.tables.dynamodb, observed.tables.accounts),
        now,
    ).run(tenants, repair=False)
    yield from (str(each) for each in (*reconciled.differences, *reconciled.unstable))


def dead_letter_queues_are_empty(observed: Observation) -> Iterator[str]:
    for name in DEAD_LETTERS:
        if counts := messages_in(observed.service, name):
            yield f"{name}: {dict(counts)}"


def answers_are_correct(observed: Observation) -> Iterator[str]:
    """A sample of the jobs without faults of their own, as their callers read them."""
    without_faults = [
        job
        for job in observed.callers.accepted.values()
        if observed.view.jobs[job.id].status == "completed" and not job.plan.rules and job.plan.cancelled_after is None
    ]
    for job in without_faults[:: max(1, len(without_faults) // SAMPLE)]:
        response = observed.callers.read(job)
        if job.plan.answer not in str(response["output"]):
            yield f"{job.id}: {job.plan.body['input']} {job.plan.answer} is not in its answer"
        if response["usage"] is None or response["afterthought"]["cost"]["total_usd"] is None:
            yield f"{job.id}: its cost is missing"


SOAK_LAWS: Sequence[SoakLaw] = (
    enough_faults_occurred,
    requests_are_answered,
    jobs_belong_to_callers,
    no_job_ends_by_a_defect,
    reconciliation_finds_nothing,
    dead_letter_queues_are_empty,
    answers_are_correct,
)


def breaches(observed: Observation) -> dict[str, list[str]]:
    """The breaches of the common laws and of the soak's own, by the law's name."""
    # The stack does not keep the versions of a job, so its history is not checked.
    common = {_name(law): list(law(observed.view)) for law in laws.LAWS if law is not laws.history_is_kept}
    return common | {_name(law): list(law(observed)) for law in SOAK_LAWS}


def messages_in(service: Service, queue: str) -> Counter[str]:
    """The messages of a queue: visible, hidden (in flight) and delayed."""
    attributes: dict[str, Any] = {
        "visible": "ApproximateNumberOfMessages",
        "hidden": "ApproximateNumberOfMessagesNotVisible",
        "delayed": "ApproximateNumberOfMessagesDelayed",
    }
    values = service.cloud.sqs.get_queue_attributes(
        QueueUrl=service.stack[f"{queue}Url"], AttributeNames=list(attributes.values())
    )["Attributes"]
    counts = {name: int(values.get(attribute, 0)) for name, attribute in attributes.items()}
    return Counter({name: count for name, count in counts.items() if count})


def _name(law: Callable[..., object]) -> str:
    return law.__name__.replace("_", " ")
