"""Many at once for the last of a budget: exactly as many get in as fit, and none of the others is refused wrongly.

Over HTTP, through the deployed functions; and straight at the tables, where far more of them meet.
"""

import http.client
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
from tests.e2e import own_tables
from tests.e2e.conftest import Whole
from tests.e2e.own_tables import Tables
from tests.simulator import money
from tests.simulator.examples import a_job

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.e2e

Json = dict[str, Any]

ASKING = 200
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
    """A tenant that asks over HTTP, without a client that would repeat a refused request by itself."""

    base_url: str
    api_key: str

    def __call__(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        address = urlsplit(self.base_url)
        connection = http.client.HTTPConnection(address.netloc, timeout=60)
        try:
            sent = None if body is None else json.dumps(body)
            headers = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
            connection.request(method, address.path + path, sent, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


def admin(whole: Whole) -> TenantAdmin:
    cloud, stack = whole.service.cloud, whole.service.stack
    return TenantAdmin(
        records=AccountTable(cloud.dynamodb, stack["AccountTableName"]),
        cipher=KmsCipher(cloud.kms, stack["SecretsKeyArn"]),
        clock=now,
        random_bytes=secrets.token_bytes,
    )


@pytest.fixture
def racer(whole: Whole) -> Caller:
    """A tenant that no rate limit meets."""
    tenants = admin(whole)
    api_key = str(tenants.create("racer").api_key)
    tenants.configure("racer", {"requests_per_minute": "1000000", "tokens_per_minute": "1000000000"})
    return Caller(whole.service.base_url, api_key)


@contextmanager
def few_workers(whole: Whole) -> Iterator[Callable[[bool], None]]:
    """Two at once, until the block ends: a burst would else start twenty, on a machine that has two processors. Yields
    a switch: while they are off, nothing that was accepted ends, and nothing of a budget is given back."""
    functions = whole.service.cloud.functions
    found = functions.list_event_source_mappings(FunctionName=whole.service.stack["WorkerFunctionName"])
    (source,) = found["EventSourceMappings"]
    uuid, usual = source["UUID"], source["ScalingConfig"]

    def switch(on: bool) -> None:
        functions.update_event_source_mapping(UUID=uuid, Enabled=on, ScalingConfig={"MaximumConcurrency": 2})

    try:
        yield switch
    finally:
        functions.update_event_source_mapping(UUID=uuid, Enabled=True, ScalingConfig=usual)


def budget_of(caller: Caller, period: str) -> Json:
    status, usage = caller("GET", "/usage")
    assert status == 200, usage
    (found,) = (each for each in usage["budgets"] if each["period"] == period)
    return cast("Json", found)


def test_of_two_hundred_at_once_exactly_those_get_in_that_fit(whole: Whole, racer: Caller) -> None:
    status, told = racer("POST", "/responses", {**QUESTION, "afterthought": {"dry_run": True}})
    assert status == 200, told
    bound = Decimal(told["afterthought"]["bound"]["total_usd"])
    cap = FITTING * bound
    admin(whole).configure("racer", {"month_budget": format(cap, "f")})

    with few_workers(whole) as switch:
        switch(False)
        with ThreadPoolExecutor(THREADS) as threads:
            answers = list(threads.map(lambda _: racer("POST", "/responses", QUESTION), range(ASKING)))
        full = budget_of(racer, "month")
        switch(True)
        accepted = [body["id"] for status, body in answers if status == 200]
        spent = sum((cost_of(racer, job_id) for job_id in accepted), Decimal(0))

    assert Counter(status for status, _ in answers) == {200: FITTING, 402: ASKING - FITTING}
    assert len(set(accepted)) == FITTING
    for status, body in answers:
        if status == 402:
            assert body["error"]["code"] == "budget_exceeded"
            # As it stood when this one was refused: it had room for no other.
            assert Decimal(body["error"]["afterthought"]["budgets"][0]["left_usd"]) < bound
    assert dollars(full) == {"cap_usd": cap, "held_usd": cap, "spent_usd": 0, "left_usd": 0}

    assert 0 < spent < cap
    assert dollars(budget_of(racer, "month")) == {
        "cap_usd": cap,
        "held_usd": 0,
        "spent_usd": spent,
        "left_usd": cap - spent,
    }
    assert Decimal(racer("GET", "/usage")[1]["total"]["spent_usd"]) == spent


def dollars(budget: Json) -> dict[str, Decimal]:
    return {name: Decimal(amount) for name, amount in budget.items() if name.endswith("_usd")}


def cost_of(caller: Caller, job_id: str) -> Decimal:
    """Dollars that the job has cost, once it has ended."""
    deadline = time.monotonic() + END_SECONDS
    while True:
        status, job = caller("GET", f"/responses/{job_id}")
        assert status == 200, job
        if job["status"] in ("completed", "failed", "incomplete", "cancelled"):
            assert job["status"] == "completed", job
            return Decimal(job["afterthought"]["cost"]["total_usd"])
        assert time.monotonic() < deadline, f"{job_id} is still {job['status']}"
        time.sleep(0.2)


# ---- straight at the tables

HOLD = a_job().held_usd
NARROW, WIDE = FITTING * HOLD, 10 * ASKING * HOLD


@pytest.fixture
def tables(whole: Whole) -> Iterator[Tables]:
    with own_tables.made(whole.service.cloud, "race") as made:
        yield made


@dataclass
class Race:
    """`client` is what the ledger writes with."""

    tables: Tables
    client: "DynamoDBClient"
    accepted: list[Job] = field(default_factory=list)
    refused: list[MonthBalance] = field(default_factory=list)
    seen: list[Fraction] = field(default_factory=list)

    def run(self, caps: Caps, jobs: int = ASKING) -> None:
        ledger = JobTable(self.client, self.tables.jobs, self.tables.accounts)

        def create(number: int) -> None:
            job = a_job(number)
            try:
                ledger.create(job, caps)
            except OverBudget as over:
                self.refused.append(over.balance)
            else:
                self.accepted.append(job)

        self._each(create, range(jobs))

    def run_to_the_end(self, caps: Caps, cost: Decimal) -> None:
        """Whoever got in ends at once, and gives back what its hold leaves over."""
        ledger = JobTable(self.client, self.tables.jobs, self.tables.accounts)
        books = LedgerTable(self.tables.dynamodb, self.tables.accounts)

        def go_on(number: int) -> None:
            job = a_job(number)
            try:
                ledger.create(job, caps)
            except OverBudget as over:
                self.refused.append(over.balance)
                return
            begun = job.start_call(token=f"t{number}", provider="standin", now=job.created_at)
            ledger.save(job, begun)
            taken = begun.mark_running(response_id=f"r{number}", now=job.created_at, poll_seconds=1)
            ledger.save(begun, taken)
            ended = taken.settle(
                "completed", now=job.created_at, served_model=None, usage=None, price_id="row", cost_usd=cost
            )
            self.seen.append(Fraction(books.month(job.tenant, MONTH).total.used_usd))
            ledger.save(taken, ended)
            self.accepted.append(ended)

        self._each(go_on, range(ASKING))

    def _each(self, do: Callable[[int], None], numbers: range) -> None:
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(do, numbers))


@pytest.mark.parametrize(
    "caps",
    [Caps(month_usd=NARROW), Caps(WIDE, NARROW), Caps(NARROW, NARROW)],
    ids=["month", "day", "both"],
)
def test_at_the_tables_exactly_those_get_in_that_fit(tables: Tables, caps: Caps) -> None:
    race = Race(tables, tables.dynamodb)
    race.run(caps)
    assert (len(race.accepted), len(race.refused)) == (FITTING, ASKING - FITTING)
    assert {job.id for job in tables.all_jobs()} == {job.id for job in race.accepted}
    assert tables.differences() == []
    for book in race.refused:
        # Whoever is refused is told what stood: it had room for no other.
        assert NARROW - HOLD < book.total.used_usd <= NARROW


def test_what_ends_makes_room_for_others_and_never_for_too_many(tables: Tables) -> None:
    cost = HOLD / 4
    race = Race(tables, tables.dynamodb)
    race.run_to_the_end(Caps(month_usd=NARROW), cost)
    assert max(race.seen) <= NARROW
    assert tables.differences() == []
    books = tables.money()
    assert set(books.budgets.values()) == {money.Budget(spent=len(race.accepted) * Fraction(cost))}
    # The last that got in found room for its hold beside what the others had cost.
    assert (len(race.accepted) - 1) * cost + HOLD <= NARROW
    assert len(race.accepted) > FITTING


def test_without_its_condition_too_many_get_in(tables: Tables) -> None:
    """So the tests above do meet each other, and it is the condition that keeps them out."""

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
