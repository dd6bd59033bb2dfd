"""The usage rows on every backing, read by tenant and days."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from afterthought.domain.jobs.job import Job
from afterthought.domain.ledger import ledger
from afterthought.domain.ledger.budget import Caps
from afterthought.domain.ledger.ledger import Amounts, UsageKey, contribution
from tests.contract.backing import AwsBacking, Backing, SimulatedBacking
from tests.contract.in_memory_aws import deploy
from tests.simulator.clock import START
from tests.simulator.examples import a_job, a_settled_job, names
from tests.simulator.examples import jobs as any_job

TODAY = START.date()


def rows(backing: Backing, tenant: str = "acme", first: date = TODAY, last: date = TODAY) -> dict[UsageKey, Amounts]:
    items = list(backing.ledger.usage(tenant, first, last))
    assert [key.day for key, _ in items] == sorted(key.day for key, _ in items)
    by_key: dict[UsageKey, Amounts] = {key: dict(amounts) for key, amounts in items}
    assert len(by_key) == len(items)
    return by_key


def on(day: date, number: int = 0, **changes: Any) -> Job:
    """A job that was created and held on that day."""
    at = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)
    job = a_job(number, created_at=at, **changes)
    return job.model_copy(update={"attempts": (job.attempts[0].model_copy(update={"held_at": at}),)})


def expected_rows(jobs: Iterable[Job]) -> dict[UsageKey, Amounts]:
    return {key: dict(amounts) for key, amounts in ledger.total(map(contribution, jobs)).usage.items()}


def addable(job: Job) -> bool:
    """Whether moto can add the amounts of the job: it cannot add numbers with an exponent."""
    amounts = (amount for attempt in job.attempts for amount in (attempt.hold_usd, attempt.cost_usd or Decimal(0)))
    return all(amount == 0 or amount >= Decimal("0.000001") for amount in amounts)


def test_no_jobs_no_rows(backing: Backing) -> None:
    assert rows(backing, first=date(1, 1, 1), last=date(9999, 12, 31)) == {}


def test_row_per_day_model_and_tags(backing: Backing) -> None:
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
    assert rows(backing, last=TODAY + timedelta(days=1)) == expected_rows(many)
    assert rows(backing)[UsageKey(TODAY, "o3", ("a",))]["open_jobs"] == 2


def test_row_of_zeros_is_omitted(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    ended = job.fail("deadline_exceeded", "…", now=START)
    backing.jobs.save(job, ended)
    assert rows(backing) == expected_rows([ended]) == {UsageKey(TODAY, "o3", ()): {"failed_jobs": Decimal(1)}}


def test_ended_job_has_tokens_and_cost(backing: Backing) -> None:
    backing.jobs.create(a_job(), Caps())
    ended = a_settled_job().model_copy(update={"version": 2})
    backing.jobs.save(a_job(), ended)
    assert rows(backing) == expected_rows([ended])


def test_first_and_last_day_are_included(backing: Backing) -> None:
    days = [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2)]
    for number, day in enumerate(days):
        # The lowest and highest characters that may follow the "#" after the day.
        backing.jobs.create(on(day, number, model="!" if number % 2 else "~", tags=("~",)), Caps())
    assert [key.day for key in rows(backing, first=days[1], last=days[2])] == days[1:3]
    assert [key.day for key in rows(backing, first=days[2], last=days[2])] == days[2:3]
    assert [key.day for key in rows(backing, first=date(1, 1, 1), last=date(9999, 12, 31))] == days


@pytest.mark.parametrize("other", ["globex", "acm", "acme2", "acme-", "acme-2026-11-02", "a"])
def test_rows_of_other_tenants_are_hidden(backing: Backing, other: str) -> None:
    backing.jobs.create(a_job(tenant=other), Caps())
    assert rows(backing, first=date(1, 1, 1), last=date(9999, 12, 31)) == {}
    assert len(rows(backing, other)) == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(any_job.filter(addable), min_size=1, max_size=4, unique_by=lambda job: job.id), names)
def test_rows_are_equal_on_all_backings(jobs: list[Job], tenant: str) -> None:
    own_jobs = [job.model_copy(update={"tenant": tenant}) for job in jobs]
    with mock_aws():
        backings: tuple[Backing, ...] = (SimulatedBacking(), deploy())
        for backing in backings:
            for job in own_jobs:
                backing.jobs.create(job, Caps())
            assert rows(backing, tenant, date(1, 1, 1), date(9999, 12, 31)) == expected_rows(own_jobs)


def test_all_pages_are_read(moto: AwsBacking) -> None:
    """A page of DynamoDB has at most a megabyte."""
    tags = tuple(sorted("abcde"[n] * 60 for n in range(5)))
    number = 1800
    keys = [UsageKey(TODAY, f"model-{n:0120}", tags) for n in range(number)]
    items: list[dict[str, Any]] = [
        {
            "pk": {"S": "USAGE#acme"},
            "sk": {"S": f"{key.day}#{key.model}#{','.join(key.tags)}"},
            "completed_jobs": {"N": str(n + 1)},
            **{f"completed_{name}_tokens": {"N": "1" * 30} for name in ("input", "output", "reasoning")},
            "version": {"N": "2"},
        }
        for n, key in enumerate(keys)
    ]
    table = moto.names.account_table
    for begin in range(0, number, 25):
        write_requests: list[Any] = [{"PutRequest": {"Item": item}} for item in items[begin : begin + 25]]
        moto.clients.dynamodb.batch_write_item(RequestItems={table: write_requests})
    first = moto.clients.dynamodb.query(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "USAGE#acme"}},
    )
    assert first["Count"] < number
    stored = rows(moto)
    assert [amounts["completed_jobs"] for amounts in stored.values()] == list(range(1, number + 1))
    assert list(stored) == keys
