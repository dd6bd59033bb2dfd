"""The books that move with the jobs, on every backing: held, spent, caps, in one write with STATE or not at all."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from afterthought.adapters.transactions import Transactions
from afterthought.domain.books import Standing
from afterthought.domain.budget import Caps, MonthBook, OverBudget
from afterthought.domain.errors import JobChanged, JobExists, TablesBusy
from afterthought.domain.job import Job
from bench.units import WRITE_UNIT_BYTES, item_bytes
from tests.contract.backing import AwsBacking, Backing
from tests.simulator.clock import START
from tests.simulator.examples import a_job, a_settled_job

TODAY = START.date()
MONTH = TODAY.replace(day=1)
HOLD = a_job().held_usd
COST = a_settled_job().spent_usd


def book(backing: Backing, tenant: str = "acme", month: date = MONTH) -> MonthBook:
    return backing.books.month(tenant, month)


def standing(backing: Backing) -> tuple[Standing, Standing]:
    """Of the month and of its first job's day; nothing else may stand."""
    stands = book(backing)
    assert set(stands.days) <= {TODAY}
    return stands.total, stands.days.get(TODAY, Standing())


def called(job: Job) -> Job:
    return job.begin(token="t", provider="standin", now=START)


def test_nothing_stands_before_the_first_job(backing: Backing) -> None:
    assert book(backing) == MonthBook()


def test_a_new_job_holds_its_bound_in_its_month_and_its_day(backing: Backing) -> None:
    backing.jobs.create(a_job(), Caps())
    assert standing(backing) == (Standing(HOLD, Decimal(0)),) * 2


def test_what_is_held_in_a_day_is_not_held_in_another(backing: Backing) -> None:
    backing.jobs.create(a_job(), Caps())
    later = START + timedelta(days=1)
    tomorrow = a_job(1, created_at=later)
    tomorrow = tomorrow.model_copy(update={"attempts": (tomorrow.attempts[0].model_copy(update={"held_at": later}),)})
    backing.jobs.create(tomorrow, Caps(day_usd=HOLD))
    assert book(backing).total == Standing(HOLD * 2, Decimal(0))
    assert book(backing).days[later.date()] == Standing(HOLD, Decimal(0))


def test_tenants_have_books_of_their_own(backing: Backing) -> None:
    backing.jobs.create(a_job(tenant="globex"), Caps())
    assert book(backing) == MonthBook()


def test_an_end_gives_the_hold_back_and_books_the_cost(backing: Backing) -> None:
    backing.jobs.create(a_job(), Caps())
    before = a_job()
    backing.jobs.save(before, a_settled_job().model_copy(update={"version": 2}))
    assert standing(backing) == (Standing(Decimal(0), COST),) * 2


def test_a_job_that_was_never_called_gives_all_back(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    backing.jobs.save(job, job.failed("deadline_exceeded", "…", now=START))
    assert standing(backing) == (Standing(),) * 2


def test_a_call_of_which_nothing_is_known_costs_its_hold(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    backing.jobs.save(job, called(job))
    backing.jobs.save(called(job), called(job).failed("outcome_unknown", "…", now=START))
    assert standing(backing) == (Standing(Decimal(0), HOLD),) * 2


def test_a_step_that_moves_no_money_leaves_the_books_alone(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    before = book(backing)
    backing.jobs.save(job, called(job))
    assert book(backing) == before


@pytest.mark.parametrize("caps", [Caps(month_usd=HOLD * 2), Caps(day_usd=HOLD * 2), Caps(HOLD * 3, HOLD * 2)])
def test_a_budget_takes_what_fits_exactly_and_not_a_bit_more(backing: Backing, caps: Caps) -> None:
    for number in range(2):
        backing.jobs.create(a_job(number), caps)
    with pytest.raises(OverBudget) as over:
        backing.jobs.create(a_job(2), caps)
    assert over.value.book == book(backing)
    assert backing.jobs.get(a_job(2).id) is None
    assert standing(backing) == (Standing(HOLD * 2, Decimal(0)),) * 2


@pytest.mark.parametrize("caps", [Caps(month_usd=HOLD - Decimal("1e-18")), Caps(day_usd=Decimal(0))])
def test_a_hold_above_the_whole_budget_is_refused_when_nothing_stands_yet(backing: Backing, caps: Caps) -> None:
    with pytest.raises(OverBudget) as over:
        backing.jobs.create(a_job(), caps)
    assert over.value.book == MonthBook()
    assert backing.jobs.get(a_job().id) is None


def test_a_cap_below_what_is_used_blocks_new_jobs_and_no_settlement(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    lowered = Caps(month_usd=Decimal("0.01"))
    with pytest.raises(OverBudget):
        backing.jobs.create(a_job(1), lowered)
    backing.jobs.save(job, a_settled_job().model_copy(update={"version": 2}))
    assert standing(backing)[0] == Standing(Decimal(0), COST)


def test_a_taken_id_takes_no_second_hold(backing: Backing) -> None:
    backing.jobs.create(a_job(), Caps())
    with pytest.raises(JobExists):
        backing.jobs.create(a_job(), Caps())
    assert standing(backing)[0].held_usd == HOLD


def test_a_taken_id_is_told_from_a_full_budget(backing: Backing) -> None:
    backing.jobs.create(a_job(), Caps(month_usd=HOLD))
    with pytest.raises(JobExists):
        backing.jobs.create(a_job(), Caps(month_usd=HOLD))


def test_of_two_ends_of_one_job_only_the_first_moves_the_books(backing: Backing) -> None:
    job = a_job()
    backing.jobs.create(job, Caps())
    backing.jobs.save(job, called(job))
    first, second = (called(job).failed(code, "…", now=START) for code in ("outcome_unknown", "internal_error"))
    backing.jobs.save(called(job), first)
    with pytest.raises(JobChanged):
        backing.jobs.save(called(job), second)
    assert standing(backing)[0] == Standing(Decimal(0), HOLD)


def test_a_corrected_estimate_lowers_what_is_spent(backing: Backing) -> None:
    ended = a_settled_job()
    usage = ended.attempts[0].usage
    assert usage is not None
    guess = ended.attempts[0].model_copy(update={"usage": None, "cost_usd": HOLD, "price_id": None})
    estimated = ended.model_copy(update={"attempts": (guess,)})
    backing.jobs.create(estimated, Caps())
    known = estimated.corrected(
        1, response_id="r", served_model="o3", usage=usage, price_id="o3/standard/2025-06-10", cost_usd=COST
    )
    backing.jobs.save(estimated, known)
    assert standing(backing)[0] == Standing(Decimal(0), COST)


def test_a_month_of_a_busy_tenant_is_billed_as_one_kilobyte(moto: AwsBacking) -> None:
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


class Meeting:
    """A client whose writes meet somebody else's so many times."""

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
        self._meet(self._cancelled)

    def put_item(self, **_: object) -> None:
        self._meet(self._conflict)

    def _meet(self, error: Exception) -> None:
        self.calls += 1
        self._left -= 1
        if self._left >= 0:
            raise error


WRITES: list[Callable[[Transactions], None]] = [lambda to: to.write([]), lambda to: to.put({})]


@pytest.mark.parametrize("write", WRITES, ids=["a transaction", "a write by itself"])
def test_a_write_that_meets_a_transaction_is_tried_again_after_a_growing_while(
    moto: AwsBacking, write: Callable[[Transactions], None]
) -> None:
    waited: list[float] = []
    client: Any = Meeting(moto, 3)
    write(Transactions(client, sleep=waited.append, chance=lambda: 1.0))
    assert client.calls == 4
    assert waited == sorted(set(waited))


@pytest.mark.parametrize("write", WRITES, ids=["a transaction", "a write by itself"])
def test_a_write_that_always_meets_others_is_given_up_in_time_for_an_answer(
    moto: AwsBacking, write: Callable[[Transactions], None]
) -> None:
    waited: list[float] = []
    client: Any = Meeting(moto, 1000)
    with pytest.raises(TablesBusy) as busy:
        write(Transactions(client, sleep=waited.append, chance=lambda: 1.0))
    assert (busy.value.status, busy.value.retryable) == (503, True)
    assert sum(waited) < 10
