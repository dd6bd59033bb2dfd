"""The ports `JobLookup` and `JobStore`, on every backing."""

import json
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings

from afterthought.adapters import job_table
from afterthought.adapters.job_table import OVERDUE_SHARDS
from afterthought.domain.errors import JobExists, VersionConflict
from afterthought.domain.jobs.attempt import CallSpec
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.schedule import FIRST_MARGIN
from afterthought.domain.ledger.budget import Caps, OverBudget
from bench.units import WRITE_UNIT_BYTES, item_bytes
from tests.contract.backing import AwsBacking, Backing
from tests.simulator.clock import START
from tests.simulator.examples import a_job, a_settled_job
from tests.simulator.examples import jobs as any_job

LATER = START + timedelta(days=1)


def overdue(backing: Backing, now: datetime) -> set[str]:
    return set(backing.jobs.overdue(now))


def test_created_job_reads_back_equal(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    assert backing.jobs.get(job.id) == job


def test_settled_job_reads_back_equal(backing: Backing) -> None:
    job = a_settled_job()
    backing.jobs.create(job, Caps())
    assert backing.jobs.get(job.id) == job


def test_missing_job_reads_as_none(backing: Backing) -> None:
    assert backing.jobs.get(a_job().id) is None


def test_existing_job_is_not_replaced(backing: Backing) -> None:
    backing.jobs.create(a_job(), Caps())
    with pytest.raises(JobExists):
        backing.jobs.create(a_job(tenant="globex"), Caps())
    stored = backing.jobs.get(a_job().id)
    assert stored is not None
    assert stored.tenant == "acme"


def test_step_replaces_the_previous_version(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    started = job.start_call(token="t", provider="standin", now=START)
    backing.jobs.save(job, started)
    assert backing.jobs.get(job.id) == started


def test_second_step_from_a_version_is_refused(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    first, second = (job.start_call(token=token, provider="standin", now=START) for token in ("one", "two"))
    backing.jobs.save(job, first)
    with pytest.raises(VersionConflict):
        backing.jobs.save(job, second)
    assert backing.jobs.get(job.id) == first


def test_step_from_unknown_version_is_refused(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    with pytest.raises(VersionConflict):
        backing.jobs.save(job.model_copy(update={"version": 2}), job.model_copy(update={"version": 3}))


def test_deleted_job_is_not_restored(backing: Backing) -> None:
    with pytest.raises(VersionConflict):
        backing.jobs.save(a_job(), a_job().start_call(token="t", provider="standin", now=START))
    assert backing.jobs.get(a_job().id) is None


def test_emptied_fields_are_removed(backing: Backing) -> None:
    job = a_settled_job()
    backing.jobs.create(job, Caps())
    emptied = job.model_copy(
        update={"finished_at": None, "attempts": (), "overdue_at": None, "version": job.version + 1}
    )
    backing.jobs.save(job, emptied)
    assert backing.jobs.get(job.id) == emptied
    assert overdue(backing, LATER) == set()


def test_only_past_due_times_are_overdue(backing: Backing) -> None:
    late, due_now, later, done = (a_job(number) for number in range(4))
    backing.jobs.create(late.model_copy(update={"overdue_at": START - timedelta(milliseconds=1)}), Caps())
    backing.jobs.create(due_now.model_copy(update={"overdue_at": START}), Caps())
    backing.jobs.create(later.model_copy(update={"overdue_at": START + timedelta(milliseconds=1)}), Caps())
    backing.jobs.create(done.model_copy(update={"overdue_at": None}), Caps())
    assert overdue(backing, START) == {late.id}


def test_overdue_reads_every_index_shard(backing: Backing) -> None:
    created = [a_job(number) for number in range(8 * OVERDUE_SHARDS)]
    for job in created:
        backing.jobs.create(job, Caps())
    assert overdue(backing, START + FIRST_MARGIN + timedelta(milliseconds=1)) == {job.id for job in created}


def test_published_job_is_not_overdue(backing: Backing) -> None:
    job = a_settled_job()
    backing.jobs.create(job, Caps())
    backing.jobs.mark_published(job.id)
    stored = backing.jobs.get(job.id)
    assert stored is not None
    assert stored.overdue_at is None
    assert stored == job.model_copy(update={"overdue_at": None, "version": stored.version})
    assert overdue(backing, LATER) == set()


def test_publishing_twice_changes_nothing(backing: Backing) -> None:
    job = a_settled_job()
    backing.jobs.create(job, Caps())
    backing.jobs.mark_published(job.id)
    published = backing.jobs.get(job.id)
    backing.jobs.mark_published(job.id)
    assert backing.jobs.get(job.id) == published


def test_publishing_a_deleted_job_creates_none(backing: Backing) -> None:
    backing.jobs.mark_published(a_job().id)
    assert backing.jobs.get(a_job().id) is None


def test_stale_sweep_of_published_job_is_refused(backing: Backing) -> None:
    job = a_settled_job()
    backing.jobs.create(job, Caps())
    swept_job = job.record_sweep(now=LATER)
    backing.jobs.mark_published(job.id)
    with pytest.raises(VersionConflict):
        backing.jobs.save(job, swept_job)


def test_only_the_terminal_step_is_streamed(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    started = job.start_call(token="t", provider="standin", now=START)
    backing.jobs.save(job, started)
    assert backing.ended_on_stream() == []
    failed = started.fail("internal_error", "…", now=START)
    backing.jobs.save(started, failed)
    backing.jobs.save(failed, failed.record_sweep(now=LATER))
    backing.jobs.mark_published(job.id)
    assert backing.ended_on_stream() == [job.id]


def test_contents_and_deliveries_are_not_streamed(backing: Backing) -> None:
    job = a_job()
    backing.contents.put(job.id, f"INPUT#{job.body_hash}", b"{}", expires_at=LATER)
    backing.deliveries.record(job.id, "endpoint", at=START, status=200, error=None)
    assert backing.ended_on_stream() == []


@given(any_job)
def test_any_job_converts_to_item_and_back(job: Job) -> None:
    assert job_table.job_of(json.loads(json.dumps(job_table.state_item(job)))) == job


# All examples share the table, so each first deletes its own job.
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(job=any_job)
def test_any_job_reads_back_from_dynamodb(moto: AwsBacking, job: Job) -> None:
    moto.clients.dynamodb.delete_item(TableName=moto.names.job_table, Key=state_key(job))
    moto.jobs.create(job, Caps())
    assert moto.jobs.get(job.id) == job


def state_key(job: Job) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"JOB#{job.id}"}, "sk": {"S": "STATE"}}


def test_typical_job_item_fits_one_kilobyte(moto: AwsBacking) -> None:
    job = a_settled_job()
    moto.jobs.create(job, Caps())
    item = moto.clients.dynamodb.get_item(TableName=moto.names.job_table, Key=state_key(job))["Item"]
    assert item_bytes(item) <= WRITE_UNIT_BYTES


def test_second_hold_above_a_cap_is_refused(backing: Backing) -> None:
    """A further attempt is checked against the budgets like a new job."""
    job = a_job(on_unknown="retry")
    backing.jobs.create(job, Caps())
    started = job.start_call(token="t", provider="standin", now=START)
    backing.jobs.save(job, started)
    plan = CallSpec("o3", "high", None, Decimal("0.6"), "outcome_unknown")
    again = started.fail("outcome_unknown", "…", now=START, fallback=plan)
    cap = job.held_usd + plan.hold_usd
    for caps in (Caps(month_usd=cap - Decimal("0.000001")), Caps(day_usd=cap - Decimal("0.000001"))):
        with pytest.raises(OverBudget) as refused:
            backing.jobs.save(started, again, caps)
        assert refused.value.balance.total.held_usd == job.held_usd
        assert backing.jobs.get(job.id) == started
    backing.jobs.save(started, again, Caps(month_usd=cap, day_usd=cap))
    assert backing.jobs.get(job.id) == again
    total = backing.ledger.month(job.tenant, START.date().replace(day=1)).total
    assert (total.held_usd, total.spent_usd) == (plan.hold_usd, job.held_usd)


def test_changed_job_wins_over_full_budget(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    started = job.start_call(token="t", provider="standin", now=START)
    again = started.fail("…", "…", now=START, fallback=CallSpec("o3", "high", None, Decimal(1), "outcome_unknown"))
    with pytest.raises(VersionConflict):
        backing.jobs.save(started, again, Caps(month_usd=Decimal("0.01")))
