"""Many concurrent jobs for the rest of a budget: exactly those that fit are accepted.

Over HTTP through the deployed functions, and directly on the tables, where more transactions conflict.
"""

import http.client
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import pytest

from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.clock import now
from afterthought.adapters.job_table import JobTable
from afterthought.adapters.kms import KmsCipher
from afterthought.adapters.ledger_table import LedgerTable
from afterthought.domain.jobs.job import Job
from afterthought.domain.ledger.budget import Caps, MonthBalance, OverBudget
from afterthought.services.admin.tenants import TenantAdmin
from tests.e2e import tables as own_tables
from tests.e2e.conftest import Deployment
from tests.e2e.control import paused_worker
from tests.e2e.tables import Tables
from tests.laws import money
from tests.simulator.examples import a_job

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = [pytest.mark.e2e, pytest.mark.slow_proof]

Json = dict[str, Any]

REQUESTS = 200
FITTING = 37
THREADS = 25
END_SECONDS = 60.0
MONTH = date(2026, 11, 1)

QUESTION: Json = {
    "model": "gpt-5.4-mini",
    "input": "What is 19 * 23?",
    "reasoning": {"effort": "none"},
    "max_output_tokens": 1_000,
}


# ---- over HTTP


@dataclass(frozen=True)
class Caller:
    """A tenant that calls over HTTP, without the retries of an SDK."""

    base_url: str
    api_key: str

    def request(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        address = urlsplit(self.base_url)
        connection = http.client.HTTPConnection(address.netloc, timeout=60)
        try:
            payload = None if body is None else json.dumps(body)
            headers = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
            connection.request(method, address.path + path, payload, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


def admin(deployment: Deployment) -> TenantAdmin:
    cloud, stack = deployment.service.cloud, deployment.service.stack
    return TenantAdmin(
        records=AccountTable(cloud.dynamodb, stack["AccountTableName"]),
        cipher=KmsCipher(cloud.kms, stack["SecretsKeyArn"]),
        clock=now,
        random_bytes=secrets.token_bytes,
    )


@pytest.fixture
def racer(deployment: Deployment) -> Caller:
    """A tenant with a very high rate limit."""
    tenants = admin(deployment)
    api_key = str(tenants.create("racer").api_key)
    tenants.configure("racer", {"requests_per_minute": "1000000", "tokens_per_minute": "1000000000"})
    return Caller(deployment.service.base_url, api_key)


def budget_of(caller: Caller, period: str) -> Json:
    status, usage = caller.request("GET", "/usage")
    assert status == 200, usage
    (budget,) = (each for each in usage["budgets"] if each["period"] == period)
    return cast("Json", budget)


def test_race_over_http_accepts_what_fits(deployment: Deployment, racer: Caller) -> None:
    status, plan = racer.request("POST", "/responses", {**QUESTION, "afterthought": {"dry_run": True}})
    assert status == 200, plan
    max_cost = Decimal(plan["afterthought"]["bound"]["total_usd"])
    cap = FITTING * max_cost
    admin(deployment).configure("racer", {"month_budget": format(cap, "f")})

    # While the worker is paused no job ends, so no hold is released.
    with paused_worker(deployment.service):
        with ThreadPoolExecutor(THREADS) as threads:
            answers = list(threads.map(lambda _: racer.request("POST", "/responses", QUESTION), range(REQUESTS)))
        full = budget_of(racer, "month")
    accepted = [body["id"] for status, body in answers if status == 200]
    spent = sum((cost_of(racer, job_id) for job_id in accepted), Decimal(0))

    assert Counter(status for status, _ in answers) == {200: FITTING, 402: REQUESTS - FITTING}
    assert len(set(accepted)) == FITTING
    for status, body in answers:
        if status == 402:
            assert body["error"]["code"] == "budget_exceeded"
            # The state at the moment of the refusal.
            assert Decimal(body["error"]["afterthought"]["budgets"][0]["left_usd"]) < max_cost
    assert dollars(full) == {"cap_usd": cap, "held_usd": cap, "spent_usd": 0, "left_usd": 0}

    assert 0 < spent < cap
    assert dollars(budget_of(racer, "month")) == {
        "cap_usd": cap,
        "held_usd": 0,
        "spent_usd": spent,
        "left_usd": cap - spent,
    }
    assert Decimal(racer.request("GET", "/usage")[1]["total"]["spent_usd"]) == spent


def dollars(budget: Json) -> dict[str, Decimal]:
    return {name: Decimal(amount) for name, amount in budget.items() if name.endswith("_usd")}


def cost_of(caller: Caller, job_id: str) -> Decimal:
    """The cost of a job in dollars. Waits for its end."""
    deadline = time.monotonic() + END_SECONDS
    while True:
        status, job = caller.request("GET", f"/responses/{job_id}")
        assert status == 200, job
        if job["status"] in ("completed", "failed", "incomplete", "cancelled"):
            assert job["status"] == "completed", job
            return Decimal(job["afterthought"]["cost"]["total_usd"])
        assert time.monotonic() < deadline, f"{job_id} is still {job['status']}"
        time.sleep(0.2)


# ---- directly on the tables

HOLD = a_job().held_usd
NARROW, WIDE = FITTING * HOLD, 10 * REQUESTS * HOLD


@pytest.fixture
def tables(deployment: Deployment) -> Iterator[Tables]:
    with own_tables.temporary(deployment.service.cloud, "race") as tables:
        yield tables


@dataclass
class Race:
    """`client` writes the jobs. `used` are the amounts that were read while the race ran."""

    tables: Tables
    client: "DynamoDBClient"
    accepted: list[Job] = field(default_factory=list)
    refused: list[MonthBalance] = field(default_factory=list)
    used: list[Fraction] = field(default_factory=list)

    def run(self, caps: Caps, jobs: int = REQUESTS) -> None:
        jobs_table = JobTable(self.client, self.tables.jobs, self.tables.accounts)

        def create(number: int) -> None:
            job = a_job(number)
            try:
                jobs_table.create(job, caps)
            except OverBudget as error:
                self.refused.append(error.balance)
            else:
                self.accepted.append(job)

        self._each(create, range(jobs))

    def run_to_end(self, caps: Caps, cost: Decimal) -> None:
        """Each accepted job ends at once and releases the rest of its hold."""
        jobs_table = JobTable(self.client, self.tables.jobs, self.tables.accounts)
        ledger = LedgerTable(self.tables.dynamodb, self.tables.accounts)

        def create_and_end(number: int) -> None:
            job = a_job(number)
            try:
                jobs_table.create(job, caps)
            except OverBudget as error:
                self.refused.append(error.balance)
                return
            calling = job.start_call(token=f"t{number}", provider="standin", now=job.created_at)
            jobs_table.save(job, calling)
            running = calling.mark_running(response_id=f"r{number}", now=job.created_at, poll_seconds=1)
            jobs_table.save(calling, running)
            ended = running.settle(
                "completed", now=job.created_at, served_model=None, usage=None, price_id="row", cost_usd=cost
            )
            self.used.append(Fraction(ledger.month(job.tenant, MONTH).total.used_usd))
            jobs_table.save(running, ended)
            self.accepted.append(ended)

        self._each(create_and_end, range(REQUESTS))

    def _each(self, run: Callable[[int], None], numbers: range) -> None:
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(run, numbers))


@pytest.mark.parametrize(
    "caps",
    [Caps(month_usd=NARROW), Caps(WIDE, NARROW), Caps(NARROW, NARROW)],
    ids=["month", "day", "both"],
)
def test_race_on_tables_accepts_what_fits(tables: Tables, caps: Caps) -> None:
    race = Race(tables, tables.dynamodb)
    race.run(caps)
    assert (len(race.accepted), len(race.refused)) == (FITTING, REQUESTS - FITTING)
    assert {job.id for job in tables.all_jobs()} == {job.id for job in race.accepted}
    assert tables.differences() == []
    for balance in race.refused:
        # The refusal has the balance at that moment, which was too full for another hold.
        assert NARROW - HOLD < balance.total.used_usd <= NARROW


def test_released_holds_make_room(tables: Tables) -> None:
    cost = HOLD / 4
    race = Race(tables, tables.dynamodb)
    race.run_to_end(Caps(month_usd=NARROW), cost)
    assert max(race.used) <= NARROW
    assert tables.differences() == []
    stored = tables.money()
    assert set(stored.budgets.values()) == {money.Budget(spent=len(race.accepted) * Fraction(cost))}
    # The last accepted hold fitted in addition to the costs of the others.
    assert (len(race.accepted) - 1) * cost + HOLD <= NARROW
    assert len(race.accepted) > FITTING


def test_race_needs_the_condition(tables: Tables) -> None:
    """Without the condition too many are accepted, so the races above do conflict."""

    class Unconditional:
        def __getattr__(self, name: str) -> Any:
            return getattr(tables.dynamodb, name)

        def transact_write_items(self, *, TransactItems: Any) -> Any:  # noqa: N803 boto3's name
            for write in TransactItems:
                if "Update" in write:
                    conditions = ("ConditionExpression", "ReturnValuesOnConditionCheckFailure")
                    update = {name: value for name, value in write["Update"].items() if name not in conditions}
                    used = update["UpdateExpression"]
                    values = update["ExpressionAttributeValues"]
                    update["ExpressionAttributeValues"] = {name: v for name, v in values.items() if name in used}
                    write["Update"] = update
            return tables.dynamodb.transact_write_items(TransactItems=TransactItems)

    race = Race(tables, cast("DynamoDBClient", Unconditional()))
    race.run(Caps(month_usd=NARROW))
    assert len(race.accepted) > FITTING
    assert any(budget.used > NARROW for budget in tables.money().budgets.values())
