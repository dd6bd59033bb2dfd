"""The usage rows, on every backing: read by tenant and days, each as its jobs have left it."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from afterthought.domain import ledger
from afterthought.domain.budget import Caps
from afterthought.domain.job import Job
from afterthought.domain.ledger import Amounts, UsageKey, contribution
from tests.contract.backing import AwsBacking, Backing, SimulatedBacking
from tests.contract.in_memory_aws import deploy
from tests.simulator.clock import START
from tests.simulator.examples import a_job, a_settled_job, names
from tests.simulator.examples import jobs as any_job

TODAY = START.date()


def rows(backing: Backing, tenant: str = "acme", first: date = TODAY, last: date = TODAY) -> dict[UsageKey, Amounts]:
    found = list(backing.ledger.usage(tenant, first, last))
    assert [key.day for key, _ in found] == sorted(key.day for key, _ in found)
    stands: dict[UsageKey, Amounts] = {key: dict(counts) for key, counts in found}
    assert len(stands) == len(found)
    return stands


def on(day: date, number: int = 0, **changes: Any) -> Job:
    """A job of that day, its hold too."""
    at = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)
    job = a_job(number, created_at=at, **changes)
    return job.model_copy(update={"attempts": (job.attempts[0].model_copy(update={"held_at": at}),)})


def told(jobs: Iterable[Job]) -> dict[UsageKey, Amounts]:
    return {key: dict(counts) for key, counts in ledger.total(map(contribution, jobs)).usage.items()}


def addable(job: Job) -> bool:
    """Whether moto can add its amounts to others: it cannot where they are written with an exponent."""
    amounts = (amount for entry in job.attempts for amount in (entry.hold_usd, entry.cost_usd or Decimal(0)))
    return all(amount == 0 or amount >= Decimal("0.000001") for amount in amounts)


def test_without_jobs_there_are_no_rows(backing: Backing) -> None:
    assert rows(backing, first=date(1, 1, 1), last=date(9999, 12, 31)) == {}


def test_a_row_is_of_a_day_a_model_and_a_set_of_tags(backing: Backing) -> None:
    many = [
        a_job(0),
        a_job(1, model="gpt-5.6-luna"),
        a_job(2, tags=("a", "team/x:y_z-1.2")),
        a_job(3, tags=("a",)),
        a_job(4, tags=("a",)),
        on(TODAY + timedelta(days=1), 5),
    ]
    for job in many:
        backing.jobs.create(job, Caps())
    assert rows(backing, last=TODAY + timedelta(days=1)) == told(many)
    assert rows(backing)[UsageKey(TODAY, "o3", ("a",))]["open_jobs"] == 2


def test_what_went_back_to_nothing_is_not_shown(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    ended = job.failed("deadline_exceeded", "…", now=START)
    backing.jobs.save(job, ended)
    assert rows(backing) == told([ended]) == {UsageKey(TODAY, "o3", ()): {"failed_jobs": Decimal(1)}}


def test_an_ended_job_is_shown_with_its_tokens_and_its_cost(backing: Backing) -> None:
    backing.jobs.create(a_job(), Caps())
    ended = a_settled_job().model_copy(update={"version": 2})
    backing.jobs.save(a_job(), ended)
    assert rows(backing) == told([ended])


def test_the_first_day_and_the_last_are_included_and_no_other(backing: Backing) -> None:
    days = [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2)]
    for number, day in enumerate(days):
        # Names at both ends of what may follow the day's "#".
        backing.jobs.create(on(day, number, model="!" if number % 2 else "~", tags=("~",)), Caps())
    assert [key.day for key in rows(backing, first=days[1], last=days[2])] == days[1:3]
    assert [key.day for key in rows(backing, first=days[2], last=days[2])] == days[2:3]
    assert [key.day for key in rows(backing, first=date(1, 1, 1), last=date(9999, 12, 31))] == days


@pytest.mark.parametrize("other", ["globex", "acm", "acme2", "acme-", "acme-2026-11-02", "a"])
def test_no_other_tenants_row_is_shown(backing: Backing, other: str) -> None:
    backing.jobs.create(a_job(tenant=other), Caps())
    assert rows(backing, first=date(1, 1, 1), last=date(9999, 12, 31)) == {}
    assert len(rows(backing, other)) == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(any_job.filter(addable), min_size=1, max_size=4, unique_by=lambda job: job.id), names)
def test_any_jobs_rows_are_the_same_on_all_backings(jobs: list[Job], tenant: str) -> None:
    mine = [job.model_copy(update={"tenant": tenant}) for job in jobs]
    with mock_aws():
        backings: tuple[Backing, ...] = (SimulatedBacking(), deploy())
        for backing in backings:
            for job in mine:
                backing.jobs.create(job, Caps())
            assert rows(backing, tenant, date(1, 1, 1), date(9999, 12, 31)) == told(mine)


def test_rows_beyond_one_page_are_read_too(moto: AwsBacking) -> None:
    """DynamoDB gives back a megabyte at a time."""
    tags = tuple(sorted("abcde"[n] * 60 for n in range(5)))
    number = 1800
    keys = [UsageKey(TODAY, f"model-{n:0120}", tags) for n in range(number)]
    items: list[dict[str, Any]] = [
        {
            "pk": {"S": "USAGE#acme"},
            "sk": {"S": f"{key.day}#{key.model}#{','.join(key.tags)}"},
            "completed_jobs": {"N": str(n + 1)},
            **{f"completed_{name}_tokens": {"N": "1" * 30} for name in ("input", "output", "reasoning")},
            "moves": {"N": "2"},
        }
        for n, key in enumerate(keys)
    ]
    table = moto.names.account_table
    for begin in range(0, number, 25):
        puts: list[Any] = [{"PutRequest": {"Item": item}} for item in items[begin : begin + 25]]
        moto.clients.dynamodb.batch_write_item(RequestItems={table: puts})
    first = moto.clients.dynamodb.query(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "USAGE#acme"}},
    )
    assert first["Count"] < number
    found = rows(moto)
    assert [counts["completed_jobs"] for counts in found.values()] == list(range(1, number + 1))
    assert list(found) == keys
