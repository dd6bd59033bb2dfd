"""Comparing the ledger with the jobs and repairing it, while jobs continue."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from afterthought.adapters.reconcile_tables import JobTableScan, LedgerItemTable, UnreadableJob
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.schedule import RECORD_RETENTION
from afterthought.domain.ledger.budget import Caps
from afterthought.services.admin.reconcile import Difference, JobScan, Reconciler
from tests.contract.backing import AwsBacking
from tests.simulator.clock import START
from tests.simulator.examples import a_job, a_settled_job

FIRST_OF_MONTH = START.date().replace(day=1)
MONTH = f"BUDGET {START:%Y-%m}"
ROW = f"USAGE {START:%Y-%m-%d}#o3#"


@dataclass
class ScanAfter:
    """Calls `before_scan` before each scan."""

    scan: JobScan
    before_scan: Callable[[], object]

    def jobs(self, tenant: str | None) -> Iterator[Job]:
        self.before_scan()
        yield from self.scan.jobs(tenant)


@dataclass
class FirstScanLags:
    """Omits the newest job in the first scan."""

    scan: JobScan
    scans: int = 0

    def jobs(self, tenant: str | None) -> Iterator[Job]:
        self.scans += 1
        yield from list(self.scan.jobs(tenant))[: -1 if self.scans == 1 else None]


@pytest.fixture
def reconciler(moto: AwsBacking) -> Reconciler:
    client = moto.clients.dynamodb
    return Reconciler(
        JobTableScan(client, moto.names.job_table), LedgerItemTable(client, moto.names.account_table), lambda: START
    )


def corrupt(moto: AwsBacking, item: str, **amounts: str) -> None:
    kind, _, sk = item.partition(" ")
    for name, amount in amounts.items():
        moto.clients.dynamodb.update_item(
            TableName=moto.names.account_table,
            Key={"pk": {"S": f"{kind}#acme"}, "sk": {"S": sk}},
            UpdateExpression="SET #name = :amount ADD version :zero",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":amount": {"N": amount}, ":zero": {"N": "0"}},
        )


def held_at(job: Job, day: timedelta) -> Job:
    at = START + day
    attempt = job.attempts[0].model_copy(update={"held_at": at})
    return job.model_copy(update={"created_at": at, "attempts": (attempt,)})


def test_ledger_of_saved_jobs_matches(moto: AwsBacking, reconciler: Reconciler) -> None:
    for number in range(5):
        moto.jobs.create(a_job(number, tags=("a", "b") if number % 2 else ()), Caps())
    moto.jobs.save(a_job(0), a_settled_job(0).model_copy(update={"version": 2}))
    moto.jobs.create(a_job(9, tenant="globex"), Caps())
    report = reconciler.run(["acme", "globex"], repair=False)
    assert (report.reading.job_count, len(report.reading.items), report.differences, report.unstable) == (6, 5, (), ())


def test_differences_are_exact_and_repaired(moto: AwsBacking, reconciler: Reconciler) -> None:
    job = a_job()
    moto.jobs.create(job, Caps())
    before = moto.ledger.month("acme", FIRST_OF_MONTH)
    corrupt(moto, MONTH, used_usd="7.000000000000000001", held_usd="0")
    corrupt(moto, ROW, failed_jobs="3")
    report = reconciler.run(["acme"], repair=False)
    assert set(report.differences) == {
        Difference("acme", MONTH, "used_usd", Decimal("7.000000000000000001"), job.held_usd),
        Difference("acme", MONTH, "held_usd", Decimal(0), job.held_usd),
        Difference("acme", ROW, "failed_jobs", Decimal(3), Decimal(0)),
    }
    assert report.repaired == ()
    assert reconciler.run(["acme"], repair=True).repaired == (("acme", MONTH), ("acme", ROW))
    after = moto.ledger.month("acme", FIRST_OF_MONTH)
    assert (after.total, after.days) == (before.total, before.days)
    assert reconciler.run(["acme"], repair=False).differences == ()


def test_handwritten_item_is_repaired(moto: AwsBacking, reconciler: Reconciler) -> None:
    """An item without a version and with an amount that is not a number."""
    moto.jobs.create(a_job(), Caps())
    item = {"pk": {"S": "BUDGET#acme"}, "sk": {"S": f"{START:%Y-%m}"}}
    moto.clients.dynamodb.put_item(
        TableName=moto.names.account_table,
        Item={**item, "used_usd": {"S": "a lot"}, "held_usd": {"N": "3"}},
    )
    assert reconciler.run(["acme"], repair=True).repaired == (("acme", MONTH),)
    assert moto.ledger.month("acme", FIRST_OF_MONTH).total.held_usd == a_job().held_usd


def test_deleted_items_are_restored(moto: AwsBacking, reconciler: Reconciler) -> None:
    moto.jobs.create(a_job(), Caps())
    for kind, sk in (("BUDGET", f"{START:%Y-%m}"), ("USAGE", f"{START:%Y-%m-%d}#o3#")):
        moto.clients.dynamodb.delete_item(
            TableName=moto.names.account_table, Key={"pk": {"S": f"{kind}#acme"}, "sk": {"S": sk}}
        )
    assert len(reconciler.run(["acme"], repair=True).repaired) == 2
    assert moto.ledger.month("acme", FIRST_OF_MONTH).total.held_usd == a_job().held_usd


def test_job_created_between_reads_is_no_difference(moto: AwsBacking, reconciler: Reconciler) -> None:
    moto.jobs.create(a_job(), Caps())
    numbers = iter(range(1, 3))

    def create_job() -> None:
        if (number := next(numbers, None)) is not None:
            moto.jobs.create(a_job(number), Caps())

    report = replace(reconciler, jobs=ScanAfter(reconciler.jobs, create_job)).run(["acme"], repair=True)
    assert (report.reading.job_count, report.differences, report.unstable, report.repaired) == (3, (), (), ())


def test_difference_is_found_while_others_change(moto: AwsBacking, reconciler: Reconciler) -> None:
    moto.jobs.create(a_job(), Caps())
    moto.jobs.create(a_job(1, tenant="globex"), Caps())
    corrupt(moto, MONTH, used_usd="5")
    numbers = iter(range(2, 100))
    scan = ScanAfter(reconciler.jobs, lambda: moto.jobs.create(a_job(next(numbers), tenant="globex"), Caps()))
    report = replace(reconciler, jobs=scan).run(["acme", "globex"], repair=True)
    assert report.differing == {("acme", MONTH)}
    assert report.repaired == (("acme", MONTH),)
    assert {tenant for tenant, _ in report.unstable} == {"globex"}


def test_job_read_after_its_ledger_is_no_difference(moto: AwsBacking, reconciler: Reconciler) -> None:
    """The two tables are not read at one instant: one write of a transaction may be visible before the other."""
    moto.jobs.create(a_job(), Caps())
    before = moto.ledger.month("acme", FIRST_OF_MONTH)
    report = replace(reconciler, jobs=FirstScanLags(reconciler.jobs)).run(["acme"], repair=True)
    assert (report.differences, report.unstable, report.repaired) == ((), (), ())
    assert moto.ledger.month("acme", FIRST_OF_MONTH) == before


def test_jobs_over_max_cost_are_listed(moto: AwsBacking, reconciler: Reconciler) -> None:
    job = a_settled_job()
    over = job.attempts[0].model_copy(update={"cost_usd": job.attempts[0].hold_usd + 1})
    moto.jobs.create(job.model_copy(update={"attempts": (over,)}), Caps())
    moto.jobs.create(a_settled_job(1), Caps())
    assert reconciler.run(["acme"], repair=False).reading.over_max_cost == (job.id,)


def test_unreadable_job_stops_the_run(moto: AwsBacking, reconciler: Reconciler) -> None:
    """The error names the job and the field, and shows no value."""
    job = a_job()
    moto.jobs.create(job, Caps())
    moto.clients.dynamodb.update_item(
        TableName=moto.names.job_table,
        Key={"pk": {"S": f"JOB#{job.id}"}, "sk": {"S": "STATE"}},
        UpdateExpression="SET from_the_future = :secret",
        ExpressionAttributeValues={":secret": {"S": "sesame"}},
    )
    with pytest.raises(UnreadableJob, match="from_the_future") as unreadable:
        reconciler.run(["acme"], repair=True)
    assert job.id in str(unreadable.value)
    assert "sesame" not in str(unreadable.value)


def test_unstable_items_are_not_repaired(moto: AwsBacking, reconciler: Reconciler) -> None:
    moto.jobs.create(a_job(), Caps())
    corrupt(moto, MONTH, used_usd="5")
    numbers = iter(range(1, 100))
    scan = ScanAfter(reconciler.jobs, lambda: moto.jobs.create(a_job(next(numbers)), Caps()))
    report = replace(reconciler, jobs=scan).run(["acme"], repair=True)
    assert set(report.unstable) == {("acme", MONTH), ("acme", ROW)}
    assert (report.differences, report.repaired) == ((), ())


def test_item_changed_before_repair_is_kept(moto: AwsBacking, reconciler: Reconciler) -> None:
    moto.jobs.create(a_job(), Caps())
    ledger = reconciler.ledger
    version = ledger.items("acme", date(2020, 1, 1))[MONTH].version
    moto.jobs.create(a_job(1), Caps())
    assert not ledger.replace("acme", MONTH, {}, version=version)
    assert not ledger.replace("acme", MONTH, {}, version=0)
    assert moto.ledger.month("acme", FIRST_OF_MONTH).total.held_usd == a_job().held_usd * 2


def test_months_with_expiring_jobs_are_skipped(moto: AwsBacking, reconciler: Reconciler) -> None:
    job = held_at(a_job(), -RECORD_RETENTION)
    moto.jobs.create(job, Caps())
    moto.clients.dynamodb.delete_item(
        TableName=moto.names.job_table, Key={"pk": {"S": f"JOB#{job.id}"}, "sk": {"S": "STATE"}}
    )
    assert reconciler.run(["acme"], repair=False).differences == ()
    retained = held_at(a_job(1), timedelta(days=31) - RECORD_RETENTION)
    moto.jobs.create(retained, Caps())
    corrupt(moto, f"BUDGET {retained.created_at:%Y-%m}", held_usd="9")
    assert [each.attribute for each in reconciler.run(["acme"], repair=False).differences] == ["held_usd"]
