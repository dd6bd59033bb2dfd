"""The laws detect their breaches on a stack's view, and the soak's plan has every kind of fault."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from afterthought.domain.jobs.job import Job
from afterthought.domain.webhooks.event import CompletionEvent
from local.receiver import Arrival
from tests.laws import laws, money
from tests.laws.view import Balance, Generation, View
from tests.simulator.examples import a_job
from tests.soak import laws as soak_laws
from tests.soak.laws import Observation
from tests.soak.plan import IN_DIRECT, SHARE, plan
from tests.soak.soak import webhook_of

NOW = a_job(1).created_at
TENANTS = ("acme", "globex")


def ended(number: int = 1) -> Job:
    """A job that was called once, completed and published."""
    job = a_job(number).start_call(token="t", provider="standin", now=NOW)
    job = job.mark_running(response_id="r", now=NOW, poll_seconds=1)
    job = job.settle("completed", now=NOW, served_model=None, usage=None, price_id="row", cost_usd=None)
    return job.model_copy(update={"overdue_at": None, "webhook": True})


def arrival(job: Job, *, answered: int = 200, message_id: str = "msg_1", path: str | None = None) -> Arrival:
    event = CompletionEvent.of(job)
    headers = {"Webhook-Id": message_id}
    return Arrival(
        path or f"/{job.tenant}", headers, event.payload(), 0.0, answered, event=event.type, job_id=event.job_id
    )


def generation(job: Job, *, token: str | None = None, response_id: str = "r") -> Generation:
    return Generation(response_id, job.id, token or str(job.attempts[0].token))


def view(*jobs: Job, arrivals: list[Arrival] | None = None, **changes: Any) -> View:
    """A service at rest that breaks no law."""
    arrivals = [arrival(job) for job in jobs if job.terminal] if arrivals is None else arrivals
    complete = View(
        accepted=[job.id for job in jobs],
        jobs={job.id: job for job in jobs},
        generations=[generation(job) for job in jobs],
        ledger=money.of_jobs(jobs),
        balances=[used(Decimal(1))],
        webhooks=[webhook_of(each) for each in arrivals],
        webhook_jobs={job.id for job in jobs},
    )
    return replace(complete, **changes)


def used(spent: Decimal) -> Balance:
    return Balance("acme", "2026-11", held=Decimal(0), spent=spent, cap=Decimal(1))


def observation(observed: View, problems: tuple[str, ...] = (), faults: int = 1) -> Observation:
    return Observation(
        service=cast("Any", None),
        tables=cast("Any", None),
        callers=cast("Any", SimpleNamespace(problems=problems)),
        view=observed,
        arrivals=[],
        faults={soak_laws.KILLED_WORKERS: faults},
    )


SOAK_LAWS = (
    soak_laws.enough_faults_occurred,
    soak_laws.requests_are_answered,
    soak_laws.jobs_belong_to_callers,
    soak_laws.no_job_ends_by_a_defect,
)


def test_service_at_rest_breaks_no_law() -> None:
    healthy = view(ended())
    assert laws.broken(healthy) == []
    assert [list(law(observation(healthy))) for law in SOAK_LAWS] == [[]] * len(SOAK_LAWS)


JOB = ended()
OPEN = a_job(1).start_call(token="t", provider="standin", now=NOW)
HELD = a_job(1).model_copy(update={"status": "failed", "finished_at": NOW})
REPEATED = JOB.model_copy(update={"attempts": (JOB.attempts[0], JOB.attempts[0].model_copy(update={"number": 2}))})
CHEAPER = JOB.model_copy(update={"attempts": (JOB.attempts[0].model_copy(update={"cost_usd": Decimal(0)}),)})
BROKEN: list[tuple[str, laws.Law, View]] = [
    ("lost", laws.no_accepted_job_is_lost, view(JOB, jobs={})),
    ("open", laws.jobs_end_in_time, view(OPEN)),
    ("attempt left open", laws.jobs_end_in_time, view(HELD)),
    ("late", laws.jobs_end_in_time, view(JOB.model_copy(update={"finished_at": NOW + timedelta(days=9)}))),
    ("due", laws.ends_are_published, view(JOB.model_copy(update={"overdue_at": NOW}))),
    ("not published", laws.ends_are_published, view(JOB, published=[])),
    ("no webhook", laws.webhooks_arrive, view(JOB, arrivals=[])),
    ("never accepted", laws.webhooks_arrive, view(JOB, arrivals=[arrival(JOB, answered=500)])),
    ("two ids", laws.webhooks_arrive, view(JOB, arrivals=[arrival(JOB), arrival(JOB, message_id="msg_2")])),
    ("another tenant", laws.webhooks_arrive, view(JOB, arrivals=[arrival(JOB, path="/globex")])),
    ("another status", laws.webhooks_arrive, view(JOB, arrivals=[replace(arrival(JOB), event="response.failed")])),
    (
        "refused",
        laws.webhooks_arrive,
        view(JOB, arrivals=[arrival(JOB), Arrival("/acme", {}, b"", 0.0, 400, error="no")]),
    ),
    ("not requested", laws.webhooks_arrive, view(JOB, webhook_jobs=())),
    (
        "no attempt",
        laws.generations_are_paid_once,
        view(JOB, generations=[generation(JOB), generation(JOB, token="another")]),
    ),
    (
        "two of one attempt",
        laws.generations_are_paid_once,
        view(JOB, generations=[generation(JOB), generation(JOB)]),
    ),
    ("no job", laws.generations_are_paid_once, view(JOB, generations=[generation(JOB), generation(ended(2))])),
    ("not settled", laws.generations_are_paid_once, view(OPEN)),
    ("another's", laws.generations_are_paid_once, view(JOB, generations=[generation(JOB, response_id="another")])),
    (
        "not recorded",
        laws.generations_are_paid_once,
        view(JOB, generations=[replace(generation(JOB), attempt_recorded=False)]),
    ),
    ("called again", laws.further_attempts_are_requested, view(REPEATED)),
    ("cancelled unasked", laws.cancelled_jobs_stop, view(JOB.model_copy(update={"status": "cancelled"}), cancels=())),
    ("called after", laws.cancelled_jobs_stop, view(JOB, cancelled_at={JOB.id: NOW - timedelta(seconds=1)})),
    ("below its hold", laws.costs_are_exact, view(CHEAPER)),
    ("end changed", laws.history_is_kept, view(JOB, history={JOB.id: [JOB, JOB.model_copy(update={"model": "o1"})]})),
    ("ledger", laws.ledger_matches_jobs, view(JOB, ledger=money.of_jobs([]))),
    ("above its cap", laws.budgets_are_never_exceeded, view(JOB, balances=[used(Decimal("1.01"))])),
]


@pytest.mark.parametrize(("law", "broken"), [each[1:] for each in BROKEN], ids=[each[0] for each in BROKEN])
def test_law_detects_its_breach(law: laws.Law, broken: View) -> None:
    assert list(law(broken))


DEFECT = a_job(1).fail("internal_error", "It was given up.", now=NOW)
SOAK_BROKEN: list[tuple[str, soak_laws.SoakLaw, Observation]] = [
    ("no fault", soak_laws.enough_faults_occurred, observation(view(JOB), faults=0)),
    ("no caller", soak_laws.jobs_belong_to_callers, observation(view(JOB, accepted=()))),
    ("a defect", soak_laws.no_job_ends_by_a_defect, observation(view(DEFECT))),
    ("a wrong answer", soak_laws.requests_are_answered, observation(view(JOB), problems=("404",))),
]


@pytest.mark.parametrize(("law", "broken"), [each[1:] for each in SOAK_BROKEN], ids=[each[0] for each in SOAK_BROKEN])
def test_soak_law_detects_its_breach(law: soak_laws.SoakLaw, broken: Observation) -> None:
    assert list(law(broken))


def test_every_law_has_a_breach() -> None:
    assert {law for _, law, _ in BROKEN} == set(laws.LAWS)


def rules_of(seed: int) -> Iterator[tuple[str, str | None]]:
    for job in plan(1000, TENANTS, seed):
        yield from ((rule["do"], rule.get("on")) for rule in job.rules)


def test_plan_has_every_fault_at_its_share() -> None:
    planned = list(plan(1000, TENANTS, seed=1))
    faults = Counter(rules_of(seed=1))
    assert faults.keys() >= {(rule["do"], rule.get("on")) for kind in IN_DIRECT for rule in kind}
    assert {"webhook_dropped", "webhook_duplicated", "webhook_delayed", "hang_after"} <= {name for name, _ in faults}
    for count in (
        sum(job.send_twice for job in planned),
        sum(job.duplicate_message for job in planned),
        sum(job.direct for job in planned),
        sum(job.cancelled_after is not None for job in planned),
        faults["webhook_dropped", None],
    ):
        assert SHARE * 1000 / 2 < count < SHARE * 1000 * 2


def test_plan_follows_its_seed() -> None:
    planned = list(plan(300, TENANTS, seed=7))
    assert planned == list(plan(300, TENANTS, seed=7))
    assert planned != list(plan(300, TENANTS, seed=8))


def test_plan_ends_soon() -> None:
    """No direct call hangs, and every deadline is below five minutes."""
    planned = list(plan(300, TENANTS, seed=7))
    assert not [job for job in planned if job.direct and any("hang" in rule["do"] for rule in job.rules)]
    assert max(job.body["afterthought"]["deadline_seconds"] for job in planned) < 300
