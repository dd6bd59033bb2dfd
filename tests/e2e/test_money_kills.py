"""Processes are killed at random moments: no budget is exceeded, no hold remains, and the ledger matches the jobs."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from afterthought.adapters.kms import KmsCipher
from afterthought.adapters.reconcile_tables import JobTableScan, LedgerItemTable
from afterthought.services.admin.reconcile import Reconciler
from afterthought.services.admin.tenants import TenantAdmin
from local import ROOT, endpoint
from local.standin import StandIn
from tests.e2e import tables as own_tables
from tests.e2e.conftest import Deployment
from tests.e2e.money_storm import ENOUGH, JOBS_EACH, LIMIT_SECONDS, START, TENANTS, Resources, Services, question
from tests.e2e.tables import Tables
from tests.e2e.view import generation_of
from tests.laws import laws
from tests.laws.view import Balance, View

pytestmark = [pytest.mark.e2e, pytest.mark.slow_proof]

REST_SECONDS = 90.0
FITTING = 10
"""The number of holds that fit the capped tenant's month. A refusal means that at least nine tenths are used."""


@dataclass
class Fixture:
    """`balances` are the readings of the capped tenant's budget."""

    tables: Tables
    stand_in: StandIn
    services: Services
    cap: Decimal
    balances: list[Balance] = field(default_factory=list)

    def storm(self, seed: int) -> dict[str, int]:
        """Runs the processes and reads the capped budget meanwhile."""
        with subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.money_storm", self.services.resources.encoded(), str(seed)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "shared")))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                while process.poll() is None:
                    self.read_balances()
                    time.sleep(0.02)
                output, errors = process.communicate()
            finally:
                process.kill()
        assert errors == ""
        counts: dict[str, int] = json.loads(output)
        return counts

    def read_balances(self) -> None:
        for month in (START.date().replace(day=1), date(2026, 12, 1)):
            total = self.services.ledger.month("capped", month).total
            self.balances.append(Balance("capped", f"{month:%Y-%m}", total.held_usd, total.spent_usd, self.cap))

    def finish_jobs(self) -> None:
        """Ends every job without kills, after all messages are lost. Time passes in growing steps: some jobs wait for a
        lease, some for their deadline."""
        step = timedelta(minutes=4)
        deadline = time.monotonic() + REST_SECONDS
        self.services.sqs.purge_queue(QueueUrl=self.services.resources.queue)
        while any(job.overdue_at is not None for job in self.tables.all_jobs()):
            assert time.monotonic() < deadline, "the jobs do not end"
            assert self.services.sweeper.sweep(enough_time=lambda: True).errors == []
            while self.services.handle_message(wait_seconds=0):
                self.read_balances()
            self.services.clock_offset += step
            step = min(step * 1.5, timedelta(hours=4))

    def view(self, accepted: set[str]) -> View:
        # The steps of `finish_jobs` are up to four hours, and a job may need some of them.
        return View(
            accepted=accepted,
            jobs={job.id: job for job in self.tables.all_jobs()},
            generations=[generation_of(each) for each in self.stand_in.generations],
            ledger=self.tables.money(),
            balances=self.balances,
            grace=timedelta(days=2),
        )


@contextmanager
def create_fixture(deployment: Deployment, accepted: Path) -> Iterator[Fixture]:
    cloud = deployment.service.cloud
    with own_tables.temporary(cloud, "kills") as tables, endpoint.stand_in(speed=50, events=False) as models:
        assert models.stand_in is not None
        cloud.s3.create_bucket(Bucket="kills")
        queue = cloud.sqs.create_queue(QueueName="kills", Attributes={"VisibilityTimeout": "2"})["QueueUrl"]
        topic = cloud.sns.create_topic(Name="kills")["TopicArn"]
        secret = cloud.secrets.create_secret(Name="kills", SecretString=json.dumps(models.secret()))["ARN"]
        resources = Resources(
            url=cloud.url,
            jobs=tables.jobs,
            accounts=tables.accounts,
            bucket="kills",
            queue=queue,
            secret=secret,
            topic=topic,
            accepted=str(accepted),
            started_at=time.time(),
        )
        services = Services(resources)
        cap = FITTING * services.admitter.admit(question(JOBS_EACH - 1)).max_cost.total_usd
        key = deployment.service.stack["SecretsKeyArn"]
        tenants = TenantAdmin(services.accounts, KmsCipher(cloud.kms, key), services.now, secrets.token_bytes)
        for name in TENANTS:
            tenants.create(name, tier="tier5")
        tenants.configure("capped", {"month_budget": format(cap, "f")})
        try:
            yield Fixture(tables, models.stand_in, services, cap)
        finally:
            cloud.sqs.delete_queue(QueueUrl=queue)


def script_faults(stand_in: StandIn) -> None:
    """Scripts a few of each fault of a provider."""
    stand_in.script("rate_limited", skip=10, times=10, retry_after=1)
    stand_in.script("close_after", skip=2, times=3)
    stand_in.script("no_usage", skip=15, times=10)
    stand_in.script("run_failed", skip=20, times=5)
    stand_in.script("run_incomplete", skip=26, times=5)
    stand_in.script("never_ends", skip=32, times=2)
    stand_in.script("server_error", on="retrieve", skip=20, times=10)


def test_kills_break_no_law(deployment: Deployment, tmp_path: Path) -> None:
    accepted = tmp_path / "accepted"
    accepted.touch()
    with create_fixture(deployment, accepted) as fixture:
        script_faults(fixture.stand_in)
        counts = fixture.storm(seed=1)
        missing = {name: minimum for name, minimum in ENOUGH.items() if counts.get(name, 0) < minimum}
        assert not missing, f"too few events within {LIMIT_SECONDS:.0f} s: {counts}, expected {missing}"
        assert counts["ended"] == 0, "a process ended by itself"
        fixture.finish_jobs()

        view = fixture.view(set(accepted.read_text().split()))
        assert laws.broken(view) == []
        reconciled = Reconciler(
            JobTableScan(fixture.tables.dynamodb, fixture.tables.jobs),
            LedgerItemTable(fixture.tables.dynamodb, fixture.tables.accounts),
            fixture.services.now,
        ).run(TENANTS, repair=False)
        assert (reconciled.differences, reconciled.unstable) == ((), ())

        # Enough processes were killed, and enough jobs completed.
        ends = Counter(job.failure.code if job.failure else job.status for job in view.jobs.values())
        assert counts["killed"] >= 20
        assert ends["outcome_unknown"] >= 2
        assert ends["completed"] >= 20
        assert max(each.used for each in fixture.balances) >= fixture.cap * 9 / 10
