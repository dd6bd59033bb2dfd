"""Making the books again from the jobs, while jobs go on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from afterthought.adapters.reconcile_tables import BookkeepingTable, JobArchive, UnreadableJob
from afterthought.domain.budget import Caps
from afterthought.domain.job import Job
from afterthought.domain.record import RECORD_KEPT
from afterthought.services.reconcile import Difference, Reconcile
from tests.contract.backing import AwsBacking
from tests.simulator.clock import START
from tests.simulator.examples import a_job, a_settled_job

MONTH = f"BUDGET {START:%Y-%m}"
ROW = f"USAGE {START:%Y-%m-%d}#o3#"


@dataclass
class Before:
    """An archive in whose table something happens just before it is read."""

    archive: JobArchive
    meanwhile: Callable[[], object]

    def jobs(self, tenant: str | None) -> Iterator[Job]:
        self.meanwhile()
        yield from self.archive.jobs(tenant)


@dataclass
class LaggingOnce:
    """An archive that does not show the newest job when it is read for the first time."""

    archive: JobArchive
    read: int = 0

    def jobs(self, tenant: str | None) -> Iterator[Job]:
        self.read += 1
        yield from list(self.archive.jobs(tenant))[: -1 if self.read == 1 else None]


@pytest.fixture
def reconcile(moto: AwsBacking) -> Reconcile:
    client = moto.clients.dynamodb
    return Reconcile(
        JobArchive(client, moto.names.job_table), BookkeepingTable(client, moto.names.account_table), lambda: START
    )


def spoil(moto: AwsBacking, page: str, **amounts: str) -> None:
    kind, _, sk = page.partition(" ")
    for name, amount in amounts.items():
        moto.clients.dynamodb.update_item(
            TableName=moto.names.account_table,
            Key={"pk": {"S": f"{kind}#acme"}, "sk": {"S": sk}},
            UpdateExpression="SET #name = :amount ADD moves :none",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":amount": {"N": amount}, ":none": {"N": "0"}},
        )


def test_books_that_moved_with_their_jobs_differ_in_nothing(moto: AwsBacking, reconcile: Reconcile) -> None:
    for number in range(5):
        moto.jobs.create(a_job(number, tags=("a", "b") if number % 2 else ()), Caps())
    moto.jobs.save(a_job(0), a_settled_job(0).model_copy(update={"version": 2}))
    moto.jobs.create(a_job(9, tenant="globex"), Caps())
    found = reconcile(["acme", "globex"], mend=False)
    assert (found.look.jobs, len(found.look.pages), found.differences, found.moving) == (6, 5, (), ())


def test_each_difference_is_told_and_mended_to_the_last_digit(moto: AwsBacking, reconcile: Reconcile) -> None:
    job = a_job()
    moto.jobs.create(job, Caps())
    before = moto.books.month("acme", START.date().replace(day=1))
    spoil(moto, MONTH, used="7.000000000000000001", held="0")
    spoil(moto, ROW, failed_jobs="3")
    found = reconcile(["acme"], mend=False)
    assert set(found.differences) == {
        Difference("acme", MONTH, "used", Decimal("7.000000000000000001"), job.held_usd),
        Difference("acme", MONTH, "held", Decimal(0), job.held_usd),
        Difference("acme", ROW, "failed_jobs", Decimal(3), Decimal(0)),
    }
    assert found.mended == ()
    assert reconcile(["acme"], mend=True).mended == (("acme", MONTH), ("acme", ROW))
    after = moto.books.month("acme", START.date().replace(day=1))
    assert (after.total, after.days) == (before.total, before.days)
    assert reconcile(["acme"], mend=False).differences == ()


def test_a_page_that_somebody_wrote_by_hand_is_written_right(moto: AwsBacking, reconcile: Reconcile) -> None:
    moto.jobs.create(a_job(), Caps())
    moto.clients.dynamodb.put_item(
        TableName=moto.names.account_table,
        Item={"pk": {"S": "BUDGET#acme"}, "sk": {"S": f"{START:%Y-%m}"}, "used": {"S": "a lot"}, "held": {"N": "3"}},
    )
    assert reconcile(["acme"], mend=True).mended == (("acme", MONTH),)
    assert moto.books.month("acme", START.date().replace(day=1)).total.held_usd == a_job().held_usd


def test_a_page_that_is_gone_is_made_again(moto: AwsBacking, reconcile: Reconcile) -> None:
    moto.jobs.create(a_job(), Caps())
    for kind, sk in (("BUDGET", f"{START:%Y-%m}"), ("USAGE", f"{START:%Y-%m-%d}#o3#")):
        moto.clients.dynamodb.delete_item(
            TableName=moto.names.account_table, Key={"pk": {"S": f"{kind}#acme"}, "sk": {"S": sk}}
        )
    assert len(reconcile(["acme"], mend=True).mended) == 2
    assert moto.books.month("acme", START.date().replace(day=1)).total.held_usd == a_job().held_usd


def test_a_job_made_while_the_jobs_are_read_is_no_difference(moto: AwsBacking, reconcile: Reconcile) -> None:
    moto.jobs.create(a_job(), Caps())
    numbers = iter(range(1, 3))

    def one_more() -> None:
        if (number := next(numbers, None)) is not None:
            moto.jobs.create(a_job(number), Caps())

    archive: Any = reconcile.archive
    found = Reconcile(Before(archive, one_more), reconcile.bookkeeping, reconcile.clock)(["acme"], mend=True)
    assert (found.look.jobs, found.differences, found.moving, found.mended) == (3, (), (), ())


def test_a_difference_is_told_though_other_books_move_meanwhile(moto: AwsBacking, reconcile: Reconcile) -> None:
    moto.jobs.create(a_job(), Caps())
    moto.jobs.create(a_job(1, tenant="globex"), Caps())
    spoil(moto, MONTH, used="5")
    numbers = iter(range(2, 100))
    archive: Any = reconcile.archive
    busy = Before(archive, lambda: moto.jobs.create(a_job(next(numbers), tenant="globex"), Caps()))
    found = Reconcile(busy, reconcile.bookkeeping, reconcile.clock)(["acme", "globex"], mend=True)
    assert {(each.tenant, each.page) for each in found.differences} == {("acme", MONTH)}
    assert found.mended == (("acme", MONTH),)
    assert {tenant for tenant, _ in found.moving} == {"globex"}


def test_a_job_that_is_seen_a_moment_after_its_books_is_no_difference(moto: AwsBacking, reconcile: Reconcile) -> None:
    """To read two tables is no one moment: of a transaction the one write may be seen before the other."""
    moto.jobs.create(a_job(), Caps())
    before = moto.books.month("acme", START.date().replace(day=1))
    archive: Any = reconcile.archive
    found = Reconcile(LaggingOnce(archive), reconcile.bookkeeping, reconcile.clock)(["acme"], mend=True)
    assert (found.differences, found.moving, found.mended) == ((), (), ())
    assert moto.books.month("acme", START.date().replace(day=1)) == before


def test_jobs_that_cost_more_than_was_held_are_told(moto: AwsBacking, reconcile: Reconcile) -> None:
    job = a_settled_job()
    dear = job.attempts[0].model_copy(update={"cost_usd": job.attempts[0].hold_usd + 1})
    moto.jobs.create(job.model_copy(update={"attempts": (dear,)}), Caps())
    moto.jobs.create(a_settled_job(1), Caps())
    assert reconcile(["acme"], mend=False).look.overruns == (job.id,)


def test_a_job_in_another_form_stops_it_and_shows_none_of_its_values(moto: AwsBacking, reconcile: Reconcile) -> None:
    job = a_job()
    moto.jobs.create(job, Caps())
    moto.clients.dynamodb.update_item(
        TableName=moto.names.job_table,
        Key={"pk": {"S": f"JOB#{job.id}"}, "sk": {"S": "STATE"}},
        UpdateExpression="SET from_the_future = :secret",
        ExpressionAttributeValues={":secret": {"S": "sesame"}},
    )
    with pytest.raises(UnreadableJob, match="from_the_future") as unreadable:
        reconcile(["acme"], mend=True)
    assert job.id in str(unreadable.value)
    assert "sesame" not in str(unreadable.value)


def test_books_that_never_stand_still_are_neither_judged_nor_mended(moto: AwsBacking, reconcile: Reconcile) -> None:
    moto.jobs.create(a_job(), Caps())
    spoil(moto, MONTH, used="5")
    numbers = iter(range(1, 100))
    archive: Any = reconcile.archive
    busy = Before(archive, lambda: moto.jobs.create(a_job(next(numbers)), Caps()))
    found = Reconcile(busy, reconcile.bookkeeping, reconcile.clock)(["acme"], mend=True)
    assert set(found.moving) == {("acme", MONTH), ("acme", ROW)}
    assert (found.differences, found.mended) == ((), ())


def test_a_page_that_moves_before_it_is_mended_is_left_as_it_is(moto: AwsBacking, reconcile: Reconcile) -> None:
    moto.jobs.create(a_job(), Caps())
    keeping = reconcile.bookkeeping
    moves = keeping.pages("acme", date(2020, 1, 1))[MONTH].moves
    moto.jobs.create(a_job(1), Caps())
    assert not keeping.rewrite("acme", MONTH, {}, moves=moves)
    assert not keeping.rewrite("acme", MONTH, {}, moves=0)
    assert moto.books.month("acme", START.date().replace(day=1)).total.held_usd == a_job().held_usd * 2


def test_months_whose_jobs_are_being_deleted_by_their_age_are_left_alone(
    moto: AwsBacking, reconcile: Reconcile
) -> None:
    old = START - RECORD_KEPT
    job = a_job(created_at=old)
    held = job.attempts[0].model_copy(update={"held_at": old})
    moto.jobs.create(job.model_copy(update={"attempts": (held,)}), Caps())
    moto.clients.dynamodb.delete_item(
        TableName=moto.names.job_table, Key={"pk": {"S": f"JOB#{job.id}"}, "sk": {"S": "STATE"}}
    )
    assert reconcile(["acme"], mend=False).differences == ()
    young = old + timedelta(days=31)
    kept = a_job(1, created_at=young)
    kept = kept.model_copy(update={"attempts": (kept.attempts[0].model_copy(update={"held_at": young}),)})
    moto.jobs.create(kept, Caps())
    spoil(moto, f"BUDGET {young:%Y-%m}", held="9")
    assert [each.what for each in reconcile(["acme"], mend=False).differences] == ["held"]
