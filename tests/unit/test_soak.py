"""The soak's laws see what breaks them, and its plan strikes every way of going wrong."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from afterthought.domain.jobs.job import Job
from afterthought.domain.webhooks.event import CompletionEvent
from local.receiver import Arrival
from local.standin.runs import Generation
from tests.simulator.examples import a_job
from tests.soak import laws
from tests.soak.laws import Found
from tests.soak.plan import ON_THE_LINE, SHARE, plan

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TENANTS = ("acme", "globex")


def ended(number: int = 1) -> Job:
    """A job that was called once, completed and announced."""
    job = a_job(number).start_call(token="t", provider="standin", now=NOW)
    job = job.mark_running(response_id="r", now=NOW, poll_seconds=1)
    job = job.settle("completed", now=NOW, served_model=None, usage=None, price_id="row", cost_usd=Decimal(0))
    return job.model_copy(update={"overdue_at": None, "webhook": True})


def arrived(job: Job, *, answered: int = 200, message_id: str = "msg_1", path: str | None = None) -> Arrival:
    event = CompletionEvent.of(job)
    headers = {"Webhook-Id": message_id}
    return Arrival(
        path or f"/{job.tenant}", headers, event.payload(), 0.0, answered, event=event.type, job_id=event.job_id
    )


def generation(job: Job, *, token: str | None = None, id: str = "r") -> Generation:
    metadata = {"afterthought_job": job.id, "afterthought_token": token or str(job.attempts[0].token)}
    return Generation(id, job.model, metadata, "completed", None, True, 0.0)


def found(*jobs: Job, **changes: Any) -> Found:
    """A service at rest, on which every law holds."""
    whole = Found(
        service=cast("Any", None),
        tables=cast("Any", None),
        callers=cast("Any", SimpleNamespace(accepted={job.id: None for job in jobs}, problems=[])),
        jobs={job.id: job for job in jobs},
        arrivals={job.id: [arrived(job)] for job in jobs if job.terminal},
        strangers=[],
        generations=[generation(job) for job in jobs],
        used={"acme": Decimal(1)},
        caps={"acme": Decimal(1)},
        faults={laws.KILLED_WORKERS: 1},
    )
    return replace(whole, **changes)


SEEN = [
    laws.enough_went_wrong,
    laws.every_job_that_was_accepted_has_ended,
    laws.none_ended_by_a_defect,
    laws.every_end_was_announced,
    laws.no_generation_is_without_its_entry_and_no_entry_has_two,
    laws.nothing_is_called_again_that_nobody_asked_for,
    laws.no_budget_was_ever_passed,
    laws.every_request_was_answered_as_it_should_be,
]


@pytest.mark.parametrize("law", SEEN, ids=lambda law: law.__name__)
def test_a_service_at_rest_breaks_no_law(law: laws.Law) -> None:
    assert list(law(found(ended()))) == []


JOB = ended()
OPEN = a_job(1).start_call(token="t", provider="standin", now=NOW)
DEFECT = a_job(1).fail("internal_error", "It was given up.", now=NOW)
BROKEN: list[tuple[str, laws.Law, Found]] = [
    ("no fault", laws.enough_went_wrong, found(JOB, faults={})),
    ("lost", laws.every_job_that_was_accepted_has_ended, found(JOB, jobs={})),
    ("open", laws.every_job_that_was_accepted_has_ended, found(OPEN)),
    (
        "told to nobody",
        laws.every_job_that_was_accepted_has_ended,
        found(JOB, callers=SimpleNamespace(accepted={}, problems=[])),
    ),
    ("a defect", laws.none_ended_by_a_defect, found(DEFECT)),
    ("due", laws.every_end_was_announced, found(JOB.model_copy(update={"overdue_at": NOW}))),
    ("no webhook", laws.every_end_was_announced, found(JOB, arrivals={})),
    ("never accepted", laws.every_end_was_announced, found(JOB, arrivals={JOB.id: [arrived(JOB, answered=500)]})),
    (
        "two ids",
        laws.every_end_was_announced,
        found(JOB, arrivals={JOB.id: [arrived(JOB), arrived(JOB, message_id="msg_2")]}),
    ),
    ("to another tenant", laws.every_end_was_announced, found(JOB, arrivals={JOB.id: [arrived(JOB, path="/globex")]})),
    (
        "as what it is not",
        laws.every_end_was_announced,
        found(JOB, arrivals={JOB.id: [replace(arrived(JOB), event="response.failed")]}),
    ),
    (
        "refused",
        laws.every_end_was_announced,
        found(JOB, strangers=[Arrival("/acme", {}, b"", 0.0, 400, error="no")]),
    ),
    (
        "no entry",
        laws.no_generation_is_without_its_entry_and_no_entry_has_two,
        found(JOB, generations=[generation(JOB), generation(JOB, token="another")]),
    ),
    (
        "two of one entry",
        laws.no_generation_is_without_its_entry_and_no_entry_has_two,
        found(JOB, generations=[generation(JOB), generation(JOB)]),
    ),
    ("not settled", laws.no_generation_is_without_its_entry_and_no_entry_has_two, found(OPEN)),
    (
        "another's",
        laws.no_generation_is_without_its_entry_and_no_entry_has_two,
        found(JOB, generations=[generation(JOB, id="another")]),
    ),
    (
        "called again",
        laws.nothing_is_called_again_that_nobody_asked_for,
        found(JOB.model_copy(update={"attempts": (JOB.attempts[0], JOB.attempts[0].model_copy(update={"number": 2}))})),
    ),
    ("above its cap", laws.no_budget_was_ever_passed, found(JOB, used={"acme": Decimal("1.01")})),
    (
        "a wrong answer",
        laws.every_request_was_answered_as_it_should_be,
        found(JOB, callers=SimpleNamespace(accepted={JOB.id: None}, problems=["404"])),
    ),
]


@pytest.mark.parametrize(("law", "what"), [each[1:] for each in BROKEN], ids=[each[0] for each in BROKEN])
def test_a_law_sees_what_breaks_it(law: laws.Law, what: Found) -> None:
    assert list(law(what))


def test_a_plan_strikes_every_way_of_going_wrong_about_as_often_as_it_says() -> None:
    planned = list(plan(1000, TENANTS, seed=1))
    struck = Counter((rule["do"], rule.get("on")) for wanted in planned for rule in wanted.rules)
    assert struck.keys() >= {(rule["do"], rule.get("on")) for kind in ON_THE_LINE for rule in kind}
    assert {"webhook_dropped", "webhook_duplicated", "webhook_delayed", "hang_after"} <= {do for do, _ in struck}
    for share in (
        sum(wanted.twice for wanted in planned),
        sum(wanted.doubled for wanted in planned),
        sum(wanted.direct for wanted in planned),
        sum(wanted.cancelled_after is not None for wanted in planned),
        struck["webhook_dropped", None],
    ):
        assert SHARE * 1000 / 2 < share < SHARE * 1000 * 2


def test_a_plan_is_the_same_for_the_same_seed_and_leaves_no_call_hanging_that_is_awaited() -> None:
    planned = list(plan(300, TENANTS, seed=7))
    assert planned == list(plan(300, TENANTS, seed=7))
    assert planned != list(plan(300, TENANTS, seed=8))
    assert not [wanted for wanted in planned if wanted.direct and any("hang" in rule["do"] for rule in wanted.rules)]
    latest = max(timedelta(seconds=wanted.body["afterthought"]["deadline_seconds"]) for wanted in planned)
    assert latest < timedelta(minutes=5)
