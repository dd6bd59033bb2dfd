"""The ledger on every backing: held and spent amounts and caps, written together with STATE or not at all."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from afterthought.adapters.transactions import Transactions
from afterthought.domain.errors import JobExists, TablesBusy, VersionConflict
from afterthought.domain.jobs.job import Job
from afterthought.domain.ledger.budget import Caps, MonthBalance, OverBudget
from afterthought.domain.ledger.ledger import Balance
from bench.units import WRITE_UNIT_BYTES, item_bytes
from tests.contract.backing import AwsBacking, Backing
from tests.simulator.clock import START
from tests.simulator.examples import a_job, a_settled_job

TODAY = START.date()
MONTH = TODAY.replace(day=1)
HOLD = a_job().held_usd
COST = a_settled_job().spent_usd


def month_balance(backing: Backing, tenant: str = "acme", month: date = MONTH) -> MonthBalance:
    return backing.ledger.month(tenant, month)


def month_and_day(backing: Backing) -> tuple[Balance, Balance]:
    """The balances of the month and of its only day."""
    balance = month_balance(backing)
    assert set(balance.days) <= {TODAY}
    return balance.total, balance.days.get(TODAY, Balance())


def start(job: Job) -> Job:
    return job.start_call(token="t", provider="standin", now=START)


def test_ledger_is_empty_at_first(backing: Backing) -> None:
    assert month_balance(backing) == MonthBalance()


def test_new_job_holds_in_month_and_day(backing: Backing) -> None:
    backing.jobs.create(a_job(), Caps())
    assert month_and_day(backing) == (Balance(HOLD, Decimal(0)),) * 2


def test_days_have_separate_balances(backing: Backing) -> None:
    backing.jobs.create(a_job(), Caps())
    later = START + timedelta(days=1)
    tomorrow = a_job(1, created_at=later)
    tomorrow = tomorrow.model_copy(update={"attempts": (tomorrow.attempts[0].model_copy(update={"held_at": later}),)})
    backing.jobs.create(tomorrow, Caps(day_usd=HOLD))
    assert month_balance(backing).total == Balance(HOLD * 2, Decimal(0))
    assert month_balance(backing).days[later.date()] == Balance(HOLD, Decimal(0))


def test_tenants_have_separate_ledgers(backing: Backing) -> None:
    backing.jobs.create(a_job(tenant="globex"), Caps())
    assert month_balance(backing) == MonthBalance()


def test_end_replaces_hold_with_cost(backing: Backing) -> None:
    backing.jobs.create(a_job(), Caps())
    before = a_job()
    backing.jobs.save(before, a_settled_job().model_copy(update={"version": 2}))
    assert month_and_day(backing) == (Balance(Decimal(0), COST),) * 2


def test_job_without_a_call_releases_its_hold(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    backing.jobs.save(job, job.fail("deadline_exceeded", "…", now=START))
    assert month_and_day(backing) == (Balance(),) * 2


def test_unknown_outcome_costs_its_hold(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    backing.jobs.save(job, start(job))
    backing.jobs.save(start(job), start(job).fail("outcome_unknown", "…", now=START))
    assert month_and_day(backing) == (Balance(Decimal(0), HOLD),) * 2


def test_step_without_money_changes_nothing(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    before = month_balance(backing)
    backing.jobs.save(job, start(job))
    assert month_balance(backing) == before


@pytest.mark.parametrize("caps", [Caps(month_usd=HOLD * 2), Caps(day_usd=HOLD * 2), Caps(HOLD * 3, HOLD * 2)])
def test_budget_accepts_exact_fit_only(backing: Backing, caps: Caps) -> None:
    for number in range(2):
        backing.jobs.create(a_job(number), caps)
    with pytest.raises(OverBudget) as over:
        backing.jobs.create(a_job(2), caps)
    assert over.value.balance == month_balance(backing)
    assert backing.jobs.get(a_job(2).id) is None
    assert month_and_day(backing) == (Balance(HOLD * 2, Decimal(0)),) * 2


@pytest.mark.parametrize("caps", [Caps(month_usd=HOLD - Decimal("1e-18")), Caps(day_usd=Decimal(0))])
def test_first_hold_above_the_cap_is_refused(backing: Backing, caps: Caps) -> None:
    with pytest.raises(OverBudget) as over:
        backing.jobs.create(a_job(), caps)
    assert over.value.balance == MonthBalance()
    assert backing.jobs.get(a_job().id) is None


def test_lowered_cap_does_not_block_settlement(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    lowered = Caps(month_usd=Decimal("0.01"))
    with pytest.raises(OverBudget):
        backing.jobs.create(a_job(1), lowered)
    backing.jobs.save(job, a_settled_job().model_copy(update={"version": 2}))
    assert month_and_day(backing)[0] == Balance(Decimal(0), COST)


def test_existing_job_takes_no_second_hold(backing: Backing) -> None:
    backing.jobs.create(a_job(), Caps())
    with pytest.raises(JobExists):
        backing.jobs.create(a_job(), Caps())
    assert month_and_day(backing)[0].held_usd == HOLD


def test_existing_job_wins_over_full_budget(backing: Backing) -> None:
    backing.jobs.create(a_job(), Caps(month_usd=HOLD))
    with pytest.raises(JobExists):
        backing.jobs.create(a_job(), Caps(month_usd=HOLD))


def test_only_the_first_end_is_counted(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    backing.jobs.save(job, start(job))
    first, second = (start(job).fail(code, "…", now=START) for code in ("outcome_unknown", "internal_error"))
    backing.jobs.save(start(job), first)
    with pytest.raises(VersionConflict):
        backing.jobs.save(start(job), second)
    assert month_and_day(backing)[0] == Balance(Decimal(0), HOLD)


def test_corrected_estimate_lowers_spent(backing: Backing) -> None:
    ended = a_settled_job()
    usage = ended.attempts[0].usage
    assert usage is not None
    estimate = ended.attempts[0].model_copy(update={"usage": None, "cost_usd": HOLD, "price_id": None})
    estimated = ended.model_copy(update={"attempts": (estimate,)})
    backing.jobs.create(estimated, Caps())
    corrected = estimated.correct_usage(
        1, response_id="r", served_model="o3", usage=usage, price_id="o3/standard/2025-06-10", cost_usd=COST
    )
    backing.jobs.save(estimated, corrected)
    assert month_and_day(backing)[0] == Balance(Decimal(0), COST)


def test_full_month_item_fits_one_kilobyte(moto: AwsBacking) -> None:
    tenant = "a" * 40
    for day in range(31):
        at = START.replace(month=10, day=1) + timedelta(days=day)
        job = a_job(day, tenant=tenant, created_at=at)
        held = job.attempts[0].model_copy(update={"held_at": at, "hold_usd": Decimal("12345.678901")})
        moto.jobs.create(job.model_copy(update={"attempts": (held,)}), Caps())
    item = moto.clients.dynamodb.get_item(
        TableName=moto.names.account_table, Key={"pk": {"S": f"BUDGET#{tenant}"}, "sk": {"S": "2026-10"}}
    )["Item"]
    assert len(item) == 2 + 3 + 2 * 31
    assert item_bytes(item) <= WRITE_UNIT_BYTES


class ConflictingClient:
    """A client whose first writes fail with a transaction conflict."""

    def __init__(self, moto: AwsBacking, times: int) -> None:
        errors = moto.clients.dynamodb.exceptions
        self._left = times
        self.calls = 0
        self._cancelled = errors.TransactionCanceledException(
            {"CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}]}, "TransactWriteItems"
        )
        self._conflict = errors.TransactionConflictException(
            {"Error": {"Code": "TransactionConflictException", "Message": "…"}}, "PutItem"
        )

    def transact_write_items(self, **_: object) -> None:
        self._fail(self._cancelled)

    def put_item(self, **_: object) -> None:
        self._fail(self._conflict)

    def _fail(self, error: Exception) -> None:
        self.calls += 1
        self._left -= 1
        if self._left >= 0:
            raise error


WRITES: list[Callable[[Transactions], None]] = [lambda to: to.write([]), lambda to: to.put({})]


@pytest.mark.parametrize("write", WRITES, ids=["transaction", "single write"])
def test_conflicting_write_is_retried(moto: AwsBacking, write: Callable[[Transactions], None]) -> None:
    delays: list[float] = []
    client: Any = ConflictingClient(moto, 3)
    write(Transactions(client, sleep=delays.append, random=lambda: 1.0))
    assert client.calls == 4
    assert delays == sorted(set(delays))


@pytest.mark.parametrize("write", WRITES, ids=["transaction", "single write"])
def test_conflicting_write_gives_up_in_time(moto: AwsBacking, write: Callable[[Transactions], None]) -> None:
    delays: list[float] = []
    client: Any = ConflictingClient(moto, 1000)
    with pytest.raises(TablesBusy) as busy:
        write(Transactions(client, sleep=delays.append, random=lambda: 1.0))
    assert (busy.value.status, busy.value.retryable) == (503, True)
    assert sum(delays) < 10
