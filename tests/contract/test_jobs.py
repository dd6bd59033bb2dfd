"""The port `Jobs`, on every backing."""

import json
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings

from afterthought.adapters import job_table
from afterthought.adapters.job_table import OVERDUE_SHARDS
from afterthought.domain.budget import Caps, OverBudget
from afterthought.domain.errors import JobChanged, JobExists
from afterthought.domain.jobs.attempt import CallSpec
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.schedule import FIRST_MARGIN
from tests.contract.backing import AwsBacking, Backing
from tests.contract.item_size import UNIT, item_bytes
from tests.simulator.clock import START
from tests.simulator.examples import a_job, a_settled_job
from tests.simulator.examples import jobs as any_job

LATER = START + timedelta(days=1)


def overdue(backing: Backing, now: datetime) -> set[str]:
    return set(backing.jobs.overdue(now))


def test_a_job_reads_back_as_it_was_created(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    assert backing.jobs.get(job.id) == job


def test_a_settled_job_reads_back_with_its_usage_and_cost(backing: Backing) -> None:
    job = a_settled_job()
    backing.jobs.create(job, Caps())
    assert backing.jobs.get(job.id) == job


def test_a_job_that_is_not_there_reads_as_none(backing: Backing) -> None:
    assert backing.jobs.get(a_job().id) is None


def test_a_taken_id_is_not_given_again(backing: Backing) -> None:
    backing.jobs.create(a_job(), Caps())
    with pytest.raises(JobExists):
        backing.jobs.create(a_job(tenant="globex"), Caps())
    stands = backing.jobs.get(a_job().id)
    assert stands is not None
    assert stands.tenant == "acme"


def test_a_step_is_written_over_the_version_before_it(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    begun = job.start_call(token="t", provider="standin", now=START)
    backing.jobs.save(job, begun)
    assert backing.jobs.get(job.id) == begun


def test_of_two_steps_from_one_version_the_second_is_refused(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    first, second = (job.start_call(token=token, provider="standin", now=START) for token in ("one", "two"))
    backing.jobs.save(job, first)
    with pytest.raises(JobChanged):
        backing.jobs.save(job, second)
    assert backing.jobs.get(job.id) == first


def test_a_step_from_a_version_that_never_stood_is_refused(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    with pytest.raises(JobChanged):
        backing.jobs.save(job.model_copy(update={"version": 2}), job.model_copy(update={"version": 3}))


def test_a_job_that_is_gone_is_not_written_back(backing: Backing) -> None:
    with pytest.raises(JobChanged):
        backing.jobs.save(a_job(), a_job().start_call(token="t", provider="standin", now=START))
    assert backing.jobs.get(a_job().id) is None


def test_what_a_step_empties_is_gone_from_the_item(backing: Backing) -> None:
    job = a_settled_job()
    backing.jobs.create(job, Caps())
    emptied = job.model_copy(
        update={"finished_at": None, "attempts": (), "overdue_at": None, "version": job.version + 1}
    )
    backing.jobs.save(job, emptied)
    assert backing.jobs.get(job.id) == emptied
    assert overdue(backing, LATER) == set()


def test_what_is_due_before_the_moment_is_overdue_and_nothing_else(backing: Backing) -> None:
    late, just_due, later, done = (a_job(number) for number in range(4))
    backing.jobs.create(late.model_copy(update={"overdue_at": START - timedelta(milliseconds=1)}), Caps())
    backing.jobs.create(just_due.model_copy(update={"overdue_at": START}), Caps())
    backing.jobs.create(later.model_copy(update={"overdue_at": START + timedelta(milliseconds=1)}), Caps())
    backing.jobs.create(done.model_copy(update={"overdue_at": None}), Caps())
    assert overdue(backing, START) == {late.id}


def test_overdue_jobs_are_found_in_every_part_of_the_index(backing: Backing) -> None:
    made = [a_job(number) for number in range(8 * OVERDUE_SHARDS)]
    for job in made:
        backing.jobs.create(job, Caps())
    assert overdue(backing, START + FIRST_MARGIN + timedelta(milliseconds=1)) == {job.id for job in made}


def test_an_announced_job_is_due_no_more(backing: Backing) -> None:
    job = a_settled_job()
    backing.jobs.create(job, Caps())
    backing.jobs.mark_published(job.id)
    stands = backing.jobs.get(job.id)
    assert stands is not None
    assert stands.overdue_at is None
    assert stands == job.model_copy(update={"overdue_at": None, "version": stands.version})
    assert overdue(backing, LATER) == set()


def test_announcing_twice_changes_nothing_more(backing: Backing) -> None:
    job = a_settled_job()
    backing.jobs.create(job, Caps())
    backing.jobs.mark_published(job.id)
    once = backing.jobs.get(job.id)
    backing.jobs.mark_published(job.id)
    assert backing.jobs.get(job.id) == once


def test_announcing_a_job_that_is_gone_makes_none(backing: Backing) -> None:
    backing.jobs.mark_published(a_job().id)
    assert backing.jobs.get(a_job().id) is None


def test_a_sweep_that_read_before_the_announcement_cannot_make_the_job_due_again(backing: Backing) -> None:
    job = a_settled_job()
    backing.jobs.create(job, Caps())
    swept = job.record_sweep(now=LATER)
    backing.jobs.mark_published(job.id)
    with pytest.raises(JobChanged):
        backing.jobs.save(job, swept)


def test_only_the_step_into_an_end_passes_to_the_notifier(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    begun = job.start_call(token="t", provider="standin", now=START)
    backing.jobs.save(job, begun)
    assert backing.ended_on_stream() == []
    failed = begun.fail("internal_error", "…", now=START)
    backing.jobs.save(begun, failed)
    backing.jobs.save(failed, failed.record_sweep(now=LATER))
    backing.jobs.mark_published(job.id)
    assert backing.ended_on_stream() == [job.id]


def test_contents_and_deliveries_never_pass_to_the_notifier(backing: Backing) -> None:
    job = a_job()
    backing.contents.put(job.id, f"INPUT#{job.body_hash}", b"{}", expires_at=LATER)
    backing.deliveries.record(job.id, "endpoint", at=START, status=200, error=None)
    assert backing.ended_on_stream() == []


@given(any_job)
def test_any_job_comes_back_from_its_item_as_it_went_in(job: Job) -> None:
    assert job_table.job_of(json.loads(json.dumps(job_table.state_item(job)))) == job


# The table may be shared by all examples: each begins by taking its own job out.
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(job=any_job)
def test_any_job_comes_back_over_the_wire_as_it_went_out(moto: AwsBacking, job: Job) -> None:
    moto.clients.dynamodb.delete_item(TableName=moto.names.job_table, Key=state_key(job))
    moto.jobs.create(job, Caps())
    assert moto.jobs.get(job.id) == job


def state_key(job: Job) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"JOB#{job.id}"}, "sk": {"S": "STATE"}}


def test_a_typical_settled_job_is_billed_as_one_kilobyte(moto: AwsBacking) -> None:
    job = a_settled_job()
    moto.jobs.create(job, Caps())
    item = moto.clients.dynamodb.get_item(TableName=moto.names.job_table, Key=state_key(job))["Item"]
    assert item_bytes(item) <= UNIT


def test_a_second_hold_above_a_cap_writes_nothing(backing: Backing) -> None:
    """What goes on with another attempt is held against its tenant's budgets as a new job is."""
    job = a_job(on_unknown="retry")
    backing.jobs.create(job, Caps())
    begun = job.start_call(token="t", provider="standin", now=START)
    backing.jobs.save(job, begun)
    plan = CallSpec("o3", "high", None, Decimal("0.6"), "outcome_unknown")
    again = begun.fail("outcome_unknown", "…", now=START, fallback=plan)
    cap = job.held_usd + plan.hold_usd
    for caps in (Caps(month_usd=cap - Decimal("0.000001")), Caps(day_usd=cap - Decimal("0.000001"))):
        with pytest.raises(OverBudget) as refused:
            backing.jobs.save(begun, again, caps)
        assert refused.value.book.total.held_usd == job.held_usd
        assert backing.jobs.get(job.id) == begun
    backing.jobs.save(begun, again, Caps(month_usd=cap, day_usd=cap))
    assert backing.jobs.get(job.id) == again
    book = backing.books.month(job.tenant, START.date().replace(day=1))
    assert (book.total.held_usd, book.total.spent_usd) == (plan.hold_usd, job.held_usd)


def test_a_lost_version_is_told_before_a_full_budget(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    begun = job.start_call(token="t", provider="standin", now=START)
    again = begun.fail("…", "…", now=START, fallback=CallSpec("o3", "high", None, Decimal(1), "outcome_unknown"))
    with pytest.raises(JobChanged):
        backing.jobs.save(begun, again, Caps(month_usd=Decimal("0.01")))
