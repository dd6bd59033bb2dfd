"""Whoever dies, and whenever: no budget is passed, no hold stays, and the books are what the jobs say."""

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
from fractions import Fraction
from pathlib import Path

import pytest

from afterthought.adapters.kms import KmsCipher
from afterthought.adapters.reconcile_tables import JobTableScan, LedgerItemTable
from afterthought.domain.jobs.job import Job
from afterthought.services.admin.reconcile import Reconciler
from afterthought.services.admin.tenants import TenantAdmin
from local import ROOT, endpoint
from local.standin import StandIn
from tests.e2e import own_tables
from tests.e2e.conftest import Whole
from tests.e2e.money_storm import ENOUGH, JOBS_EACH, LIMIT_SECONDS, START, TENANTS, Parts, Place, question
from tests.e2e.own_tables import Tables
from tests.simulator import money

pytestmark = pytest.mark.e2e

REST_SECONDS = 90.0
FITTING = 10
"""So many holds fit the capped tenant's month. Where one more finds no room, nine tenths of it are used."""


@dataclass
class Scene:
    tables: Tables
    stand_in: StandIn
    parts: Parts
    most: Decimal
    used: list[Decimal] = field(default_factory=list)

    def storm(self, seed: int) -> dict[str, int]:
        """Runs the processes, and looks at the capped budget all the while."""
        with subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.money_storm", self.parts.place.encoded(), str(seed)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "shared")))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                while process.poll() is None:
                    self.look()
                    time.sleep(0.02)
                told, complaints = process.communicate()
            finally:
                process.kill()
        assert complaints == ""
        result: dict[str, int] = json.loads(told)
        return result

    def look(self) -> None:
        for month in (START.date().replace(day=1), date(2026, 12, 1)):
            self.used.append(self.parts.ledger.month("capped", month).total.used_usd)

    def rest(self) -> None:
        """Lets everything come to its end, with nobody killed, after all messages were lost. Time moves on in ever
        longer steps: some wait for their leases to run out, some for their deadline."""
        step = timedelta(minutes=4)
        deadline = time.monotonic() + REST_SECONDS
        self.parts.sqs.purge_queue(QueueUrl=self.parts.place.queue)
        while any(job.overdue_at is not None for job in self.tables.all_jobs()):
            assert time.monotonic() < deadline, "the jobs come to no end"
            assert self.parts.sweeper.sweep(enough_time=lambda: True).errors == []
            while self.parts.work(wait_seconds=0):
                self.look()
            self.parts.ahead += step
            step = min(step * 1.5, timedelta(hours=4))


@contextmanager
def scene(whole: Whole, accepted: Path) -> Iterator[Scene]:
    cloud = whole.service.cloud
    with own_tables.made(cloud, "kills") as tables, endpoint.stand_in(speed=50, events=False) as models:
        assert models.stand_in is not None
        cloud.s3.create_bucket(Bucket="kills")
        queue = cloud.sqs.create_queue(QueueName="kills", Attributes={"VisibilityTimeout": "2"})["QueueUrl"]
        topic = cloud.sns.create_topic(Name="kills")["TopicArn"]
        secret = cloud.secrets.create_secret(Name="kills", SecretString=json.dumps(models.secret()))["ARN"]
        place = Place(
            url=cloud.url,
            jobs=tables.jobs,
            accounts=tables.accounts,
            bucket="kills",
            queue=queue,
            secret=secret,
            topic=topic,
            accepted=str(accepted),
            began=time.time(),
        )
        parts = Parts(place)
        most = FITTING * parts.admitter.admit(question(JOBS_EACH - 1)).max_cost.total_usd
        tenants = TenantAdmin(
            parts.accounts, KmsCipher(cloud.kms, whole.service.stack["SecretsKeyArn"]), parts.now, secrets.token_bytes
        )
        for name in TENANTS:
            tenants.create(name, tier="tier5")
        tenants.configure("capped", {"month_budget": format(most, "f")})
        try:
            yield Scene(tables, models.stand_in, parts, most)
        finally:
            cloud.sqs.delete_queue(QueueUrl=queue)


def misbehave(stand_in: StandIn) -> None:
    """A little of all that a provider does."""
    stand_in.script("rate_limited", skip=10, times=10, retry_after=1)
    stand_in.script("close_after", skip=2, times=3)
    stand_in.script("no_usage", skip=15, times=10)
    stand_in.script("run_failed", skip=20, times=5)
    stand_in.script("run_incomplete", skip=26, times=5)
    stand_in.script("never_ends", skip=32, times=2)
    stand_in.script("server_error", on="retrieve", skip=20, times=10)


def test_processes_killed_at_any_moment_break_no_law_of_the_money(whole: Whole, tmp_path: Path) -> None:
    accepted = tmp_path / "accepted"
    accepted.touch()
    with scene(whole, accepted) as here:
        misbehave(here.stand_in)
        told = here.storm(seed=1)
        missing = {name: most for name, most in ENOUGH.items() if told.get(name, 0) < most}
        assert not missing, f"within {LIMIT_SECONDS:.0f} s no storm came of it: {told}, of which {missing} was wanted"
        here.rest()

        jobs = here.tables.all_jobs()
        assert told["ended"] == 0, "a process ended by itself"
        assert all(job.terminal for job in jobs)
        assert set(accepted.read_text().split()) <= {job.id for job in jobs}
        assert max(here.used) <= here.most
        assert here.tables.differences() == []
        spent = {tenant: Fraction(0) for tenant in TENANTS}
        for (tenant, period), budget in here.tables.money().budgets.items():
            assert budget.held == 0, (tenant, period)
            if len(period) == len("2026-11"):
                spent[tenant] += budget.spent
        assert spent == {tenant: cost_of([job for job in jobs if job.tenant == tenant]) for tenant in TENANTS}
        assert paid_for(here.stand_in, jobs) == []
        found = Reconciler(
            JobTableScan(here.tables.dynamodb, here.tables.jobs),
            LedgerItemTable(here.tables.dynamodb, here.tables.accounts),
            here.parts.now,
        ).run(TENANTS, repair=False)
        assert (found.differences, found.unstable) == ((), ())

        ends = Counter(job.failure.code if job.failure else job.status for job in jobs)
        # It was a storm, and many came through it.
        assert told["killed"] >= 20
        assert ends["outcome_unknown"] >= 2
        assert ends["completed"] >= 20
        assert max(here.used) >= here.most * 9 / 10


def cost_of(jobs: list[Job]) -> Fraction:
    return sum((Fraction(entry.cost_usd or 0) for job in jobs for entry in job.attempts), Fraction(0))


def paid_for(stand_in: StandIn, jobs: list[Job]) -> list[str]:
    """Generations that belong to no ledger entry, or not to one that says that a call was made; and jobs with two."""
    entries = {(job.id, entry.token): entry for job in jobs for entry in job.attempts}
    wrong = []
    for made in stand_in.generations:
        entry = entries.get((made.metadata["afterthought_job"], made.metadata["afterthought_token"]))
        if entry is None or entry.state != money.SETTLED:
            wrong.append(f"{made.id} of {made.metadata} belongs to {entry}")
    count = Counter(made.metadata["afterthought_job"] for made in stand_in.generations)
    return wrong + [f"{job_id} has {number} generations" for job_id, number in count.items() if number > 1]
