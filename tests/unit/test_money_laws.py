"""The laws of money under failures: no budget is exceeded, and the ledger always equals the jobs.

A hypothesis state machine drives the whole service in virtual time and checks after each step and at each write. The
tests at the end break one part of the service and show that the machine detects it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from afterthought.domain.errors import IdempotencyConflict, MoneyRefused, QueueUnavailable, TablesBusy
from afterthought.domain.jobs.job import Job
from afterthought.domain.ledger import ledger
from afterthought.domain.ledger.budget import Caps, caps_of
from afterthought.domain.tenants.identity import idempotent_job_id
from tests.laws import money
from tests.simulator.calls import Fault, ProcessDied, TransportFailed
from tests.simulator.laws import broken
from tests.simulator.ledger import SimulatedLedger
from tests.simulator.provider import Answer, Ending
from tests.simulator.queues import QueueFaults
from tests.simulator.tables import SimulatedJobs
from tests.simulator.world import TENANTS, World

TINY = Decimal("1e-12")
OUTPUTS = (5_000, 20_000, None)
"""For o3 at $8 a million: holds of 4, 16 and 80 cents. The simulated responses cost less than 4."""


def uncapped(tenant: str) -> Caps:
    return Caps()


@dataclass
class WatchedJobs(SimulatedJobs):
    """Checks the budgets at each write. The used amount may grow only by an admission within the current caps, or by
    what a response cost above its hold."""

    caps: Callable[[str], Caps] = uncapped
    violations: list[str] = field(default_factory=list)
    used: dict[tuple[str, str], Decimal] = field(default_factory=dict)

    def _write(self, job: Job) -> None:
        before = self.items.get(job.id)
        super()._write(job)
        caps = self.caps(job.tenant)
        for day in {attempt.held_at.date() for attempt in job.attempts}:
            balance = self.ledger.balance(job.tenant, day.replace(day=1))
            day_balance = balance.days.get(day, ledger.Balance())
            self._check(before, job, f"{day:%Y-%m}", balance.total.used_usd, caps.month_usd)
            self._check(before, job, f"{day}", day_balance.used_usd, caps.day_usd)

    def _check(self, before: Job | None, job: Job, period: str, used: Decimal, cap: Decimal | None) -> None:
        rise = used - self.used.get((job.tenant, period), Decimal(0))
        self.used[job.tenant, period] = used
        if rise > 0 and before is None and cap is not None and used > cap:
            self.violations.append(f"{job.tenant} {period}: {used} is used after an admission, the cap is {cap}")
        if before is not None and rise > overrun(job) - overrun(before):
            self.violations.append(f"{job.tenant} {period}: {rise} more is used, without an admission")


def overrun(job: Job) -> Decimal:
    """Dollars by which the settled attempts cost more than their holds."""
    settled = [attempt for attempt in job.attempts if attempt.state == money.SETTLED]
    return sum((max(attempt.spent_usd - attempt.hold_usd, Decimal(0)) for attempt in settled), Decimal(0))


class WatchedWorld(World):
    ledger_class: type[SimulatedLedger] = SimulatedLedger
    jobs_class: type[WatchedJobs] = WatchedJobs

    def _wire(self) -> None:
        self.ledger = self.ledger_class(self.calls)
        self.jobs = self.watched = self.jobs_class(self.calls, self.ledger, caps=self.caps)
        super()._wire()

    def caps(self, tenant: str) -> Caps:
        """The current caps, without a recorded call."""
        return caps_of(self.accounts.by_name[tenant])


tenants = st.sampled_from(TENANTS)
amounts = st.sampled_from(("none", "zero", "used", "below used", "one more", "almost one more", "three more"))
call_offsets = st.integers(0, 12)
"""A number of calls from now."""


class Spending(RuleBasedStateMachine):
    """Tenants submit, budgets change, workers and the sweeper run, any call may fail, and time passes."""

    world_class: type[WatchedWorld] = WatchedWorld

    @initialize(seed=st.integers(0, 2**16), duplicates=st.sampled_from((0.0, 0.3)))
    def begin(self, seed: int, duplicates: float) -> None:
        self.faults: dict[int, Fault] = {}
        self.world = self.world_class(seed=seed, faults=self.faults, queue_faults=QueueFaults(duplicates=duplicates))

    # ---- tenants and admins ----

    @rule(
        tenant=tenants,
        output=st.sampled_from(OUTPUTS),
        own_cap=st.sampled_from((None, None, None, Decimal(0), -TINY)),
        tags=st.sampled_from(((), ("a",), ("a", "b"))),
        key=st.sampled_from((None, None, "one", "two")),
    )
    def submit(
        self, tenant: str, output: int | None, own_cap: Decimal | None, tags: Sequence[str], key: str | None
    ) -> None:
        """`own_cap` is `max_cost_usd` minus the maximum cost."""
        hold = self._hold(output)
        body = question(output, tags, None if own_cap is None else hold + own_cap)
        before = money.of_ledger(self.world.ledger)
        today, predictable = self.world.clock().date(), self._is_predictable()
        repeated = key is not None and idempotent_job_id(tenant, key) in self.world.jobs.items
        result = self._submit(tenant, body, key)
        if not predictable or self.world.clock().date() != today:
            return
        held_usd = self._used(tenant, f"{today}") - before.budgets.get((tenant, f"{today}"), money.Budget()).used
        if repeated:
            assert result in ("repeated", "conflict")
        elif own_cap is not None and own_cap < 0:
            assert result == "max_cost_exceeded"
        else:
            assert result == ("accepted" if self._fits(tenant, hold, before, today) else "budget_exceeded")
        assert held_usd == (Fraction(hold) if result == "accepted" else 0)

    @rule(
        tenant=tenants,
        output=st.sampled_from(OUTPUTS),
        room=st.sampled_from((None, 0, 1, 2)),
        budget=st.sampled_from(("month_cap_usd", "day_cap_usd")),
        when=st.integers(1, 5),
        key=st.sampled_from((None, None, None, "one")),
    )
    def submit_three_at_once(
        self, tenant: str, output: int | None, room: int | None, budget: str, when: int, key: str | None
    ) -> None:
        """Each starts during call number `when` of the previous one. `room` of them fit the budget."""
        now = self.world.clock()
        if room is not None:
            used = self._used(tenant, f"{now:%Y-%m}" if budget == "month_cap_usd" else f"{now:%Y-%m-%d}")
            caps = {"month_cap_usd": None, "day_cap_usd": None, budget: dollars(used) + room * self._hold(output)}
            self._set(tenant, caps)
        predictable = self._is_predictable()
        results: list[str] = []

        def submit(others: int) -> None:
            if others:
                calls = self.world.calls
                calls.before_call[len(calls.recorded) + when] = partial(submit, others - 1)
            results.append(self._submit(tenant, question(output), key))

        submit(2)
        if predictable and key is None and len(results) == 3 and self.world.clock().date() == now.date():
            fits = 3 if room is None else room
            if room is not None or self.world.caps(tenant) == Caps():
                assert sorted(results) == ["accepted"] * fits + ["budget_exceeded"] * (3 - fits)

    @rule(tenant=tenants, month=amounts, day=amounts)
    def change_budgets(self, tenant: str, month: str, day: str) -> None:
        """Raises or lowers the caps, also below what is used."""
        now = self.world.clock()
        caps = {
            "month_cap_usd": self._amount(month, self._used(tenant, f"{now:%Y-%m}")),
            "day_cap_usd": self._amount(day, self._used(tenant, f"{now:%Y-%m-%d}")),
        }
        self._set(tenant, caps)

    # ---- the provider and failures ----

    @rule(endings=st.lists(st.sampled_from(get_args(Ending)), min_size=1, max_size=3))
    def set_endings(self, endings: list[Ending]) -> None:
        self.world.provider.plan.endings[:] = endings

    @rule(hours=st.sampled_from((1, 18)))
    def lose_all_workers(self, hours: float) -> None:
        """18 hours are long enough for the sweeper to give up jobs."""
        self.world.down.worker = True
        self.world.run_for(hours=hours)
        self.world.down.worker = False

    @rule(answers=st.lists(st.sampled_from(get_args(Answer)), min_size=1, max_size=3))
    def set_answers(self, answers: list[Answer]) -> None:
        self.world.provider.plan.answers[:] = answers

    @rule(when=call_offsets, fault=st.sampled_from(Fault))
    def fail(self, when: int, fault: Fault) -> None:
        self.faults[len(self.world.calls.recorded) + when] = fault

    @rule(when=call_offsets, seconds=st.sampled_from((1.0, 50.0, 200.0)))
    def stall(self, when: int, seconds: float) -> None:
        self.world.calls.before_call[len(self.world.calls.recorded) + when] = partial(self.world.clock.pass_by, seconds)

    @precondition(lambda self: self.world.job_messages.messages)
    @rule(data=st.data())
    def lose_message(self, data: st.DataObject) -> None:
        messages = self.world.job_messages.messages
        messages.pop(data.draw(st.integers(0, len(messages) - 1)))

    @precondition(lambda self: self.world.jobs.items)
    @rule(data=st.data(), when=call_offsets)
    def poll_concurrently(self, data: st.DataObject, when: int) -> None:
        """Another worker polls a job during the next operation."""
        job_id = data.draw(st.sampled_from(sorted(self.world.jobs.items)))
        self.world.calls.before_call[len(self.world.calls.recorded) + when] = partial(self.world.run_worker, job_id)

    # ---- time ----

    @rule(minutes=st.sampled_from((0.2, 1, 4, 20, 300, 1500)))
    def pass_time(self, minutes: float) -> None:
        self.world.run_for(minutes=minutes)

    @rule(until=st.sampled_from(("midnight", "month", "year")))
    def approach(self, until: str) -> None:
        """Runs until just before the next day, month or year."""
        end = next_start(until, self.world.clock()) - timedelta(milliseconds=40)
        if end > self.world.clock():
            self.world.run_for(seconds=(end - self.world.clock()).total_seconds())

    # ---- the laws ----

    @invariant()
    def no_budget_is_exceeded(self) -> None:
        assert self.world.watched.violations == []

    @invariant()
    def ledger_equals_jobs(self) -> None:
        expected, actual = money.of_jobs(self.world.jobs.items.values()), money.of_ledger(self.world.ledger)
        assert list(money.differences(expected, actual)) == []

    @invariant()
    def month_is_the_sum_of_its_days(self) -> None:
        for (tenant, month), balance in self.world.ledger.months.items():
            days = [day_balance for day, day_balance in balance.days.items() if day.replace(day=1) == month]
            assert sum(day.held_usd for day in days) == balance.total.held_usd, (tenant, month)
            assert sum(day.spent_usd for day in days) == balance.total.spent_usd, (tenant, month)

    def teardown(self) -> None:
        """At the end the held amount is zero, and the spent amount is the cost of the jobs."""
        if not hasattr(self, "world"):
            return
        self.faults.clear()
        self.world.calls.before_call.clear()
        self.world.run()
        self.no_budget_is_exceeded()
        self.ledger_equals_jobs()
        # While no worker runs, jobs end after their deadline.
        assert [breach for breach in broken(self.world) if "after its deadline" not in breach] == []
        months = self.world.ledger.months
        for (tenant, _), balance in months.items():
            assert balance.total.held_usd == 0, tenant
        for job in self.world.jobs.items.values():
            assert list(paid_without_a_call(self.world.jobs.history[job.id])) == []
        for tenant in TENANTS:
            spent = sum(
                balance.total.spent_usd for (tenant_name, _), balance in months.items() if tenant_name == tenant
            )
            jobs = [job for job in self.world.jobs.items.values() if job.tenant == tenant]
            assert spent == sum(attempt.cost_usd or 0 for job in jobs for attempt in job.attempts)

    def _submit(self, tenant: str, body: dict[str, Any], key: str | None) -> str:
        """The result for the caller; "failed" for no response or an internal error."""
        try:
            return "repeated" if self.world.submit(body, tenant=tenant, key=key).repeated else "accepted"
        except MoneyRefused as refused:
            return str(refused.code)
        except IdempotencyConflict:
            return "conflict"
        except (ProcessDied, TransportFailed, QueueUnavailable, TablesBusy):
            return "failed"

    def _set(self, tenant: str, caps: dict[str, Decimal | None]) -> None:
        self.world.accounts.by_name[tenant] = self.world.accounts.by_name[tenant].model_copy(update=caps)

    def _hold(self, output: int | None) -> Decimal:
        return self.world.admitter.admit(encoded(question(output))).max_cost.total_usd

    def _used(self, tenant: str, period: str) -> Fraction:
        return money.of_ledger(self.world.ledger).budgets.get((tenant, period), money.Budget()).used

    def _fits(self, tenant: str, hold: Decimal, before: money.Money, today: object) -> bool:
        caps = self.world.caps(tenant)
        used = [before.budgets.get((tenant, str(today)[:length]), money.Budget()).used for length in (7, 10)]
        return all(cap is None or amount + Fraction(hold) <= cap for cap, amount in zip(caps, used, strict=True))

    def _is_predictable(self) -> bool:
        """Whether no fault and no concurrent operation is scheduled that may change the next result."""
        calls = self.world.calls
        return not calls.before_call and not any(number >= len(calls.recorded) for number in self.faults)

    def _amount(self, amount: str, used: Fraction) -> Decimal | None:
        used_usd, hold = dollars(used), self._hold(5_000)
        return {
            "none": None,
            "zero": Decimal(0),
            "used": used_usd,
            "below used": max(used_usd - TINY, Decimal(0)),
            "one more": used_usd + hold,
            "almost one more": used_usd + hold - TINY,
            "three more": used_usd + 3 * hold,
        }[amount]


def question(output: int | None, tags: Sequence[str] = (), max_cost: Decimal | None = None) -> dict[str, Any]:
    options: dict[str, Any] = {"tags": list(tags)} if tags else {}
    if max_cost is not None:
        options["max_cost_usd"] = format(max_cost, "f")
    body: dict[str, Any] = {"model": "o3", "input": "What is 17 times 23?", "reasoning": {"effort": "low"}}
    if output is not None:
        body["max_output_tokens"] = output
    return {**body, "afterthought": options} if options else body


def dollars(exact: Fraction) -> Decimal:
    return Decimal(exact.numerator) / Decimal(exact.denominator)


def encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def next_start(period: str, now: datetime) -> datetime:
    """The start of the next day, month or year."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "midnight":
        return midnight + timedelta(days=1)
    if period == "year" or midnight.month == 12:
        return midnight.replace(year=midnight.year + 1, month=1, day=1)
    return midnight.replace(month=midnight.month + 1, day=1)


def paid_without_a_call(history: Sequence[Job]) -> Iterator[str]:
    """An attempt whose call was not made when its job ended must cost nothing."""
    for before, after in pairwise(history):
        attempt, ended = before.attempt, after.attempt
        if (
            attempt is not None
            and ended is not None
            and attempt.state == "pending"
            and after.terminal
            and ended.cost_usd
        ):
            yield f"{after.id} was not called and cost {ended.cost_usd}"


TestMoneyLaws = Spending.TestCase
TestMoneyLaws.settings = settings(stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow])


# ---- the laws detect defects


class WithoutCondition(WatchedJobs):
    def create(self, job: Job, caps: Caps) -> None:
        super().create(job, Caps())


class WithoutDayCondition(WatchedJobs):
    def create(self, job: Job, caps: Caps) -> None:
        super().create(job, caps._replace(day_usd=None))


class HeldTwice(WatchedJobs):
    """A repeated create of a job takes a second hold."""

    def create(self, job: Job, caps: Caps) -> None:
        if job.id in self.items:
            self.ledger.apply(job.tenant, ledger.delta(None, job), caps)
        super().create(job, caps)


class HoldNotReleased(SimulatedLedger):
    def apply(self, tenant: str, delta: ledger.Contribution, caps: Caps) -> None:
        days = {day: change._replace(held_usd=max(change.held_usd, Decimal(0))) for day, change in delta.days.items()}
        super().apply(tenant, delta._replace(days=days), caps)


class CostNotSpent(SimulatedLedger):
    def apply(self, tenant: str, delta: ledger.Contribution, caps: Caps) -> None:
        days = {day: change._replace(spent_usd=Decimal(0)) for day, change in delta.days.items()}
        super().apply(tenant, delta._replace(days=days), caps)


def bill_each_poll(patch: pytest.MonkeyPatch) -> None:
    original = Job.record_poll

    def billed(job: Job, **fields: Any) -> Job:
        after = original(job, **fields)
        attempt = after.called_attempt
        return after.model_copy(
            update={"attempts": (attempt.model_copy(update={"cost_usd": attempt.spent_usd + Decimal("0.01")}),)}
        )

    patch.setattr(Job, "record_poll", billed)


def count_on_last_day(patch: pytest.MonkeyPatch) -> None:
    """Counts the cost on the day of the end instead of the day of the hold."""
    contribution = ledger.contribution

    def contribution_at_end(job: Job) -> ledger.Contribution:
        if job.finished_at is None:
            return contribution(job)
        attempts = (attempt.model_copy(update={"held_at": job.finished_at}) for attempt in job.attempts)
        return contribution(job.model_copy(update={"attempts": tuple(attempts)}))

    patch.setattr(ledger, "contribution", contribution_at_end)


def add_cost_to_estimate(patch: pytest.MonkeyPatch) -> None:
    original = Job.correct_usage

    def correct_usage(job: Job, number: int, *, cost_usd: Decimal, **fields: Any) -> Job:
        return original(job, number, cost_usd=job.spent_usd + cost_usd, **fields)

    patch.setattr(Job, "correct_usage", correct_usage)


def limit_cost_to_hold(patch: pytest.MonkeyPatch) -> None:
    original = Job.settle

    def settle(job: Job, *args: Any, cost_usd: Decimal | None, **fields: Any) -> Job:
        return original(
            job, *args, cost_usd=min(cost_usd or job.called_attempt.hold_usd, job.called_attempt.hold_usd), **fields
        )

    patch.setattr(Job, "settle", settle)


def bill_without_a_call(patch: pytest.MonkeyPatch) -> None:
    original = Job.fail

    def billed(job: Job, *failure: str, **fields: Any) -> Job:
        after = original(job, *failure, **fields)
        attempt = after.attempts[-1]
        settled = attempt.model_copy(update={"state": "settled", "cost_usd": attempt.hold_usd})
        return after.model_copy(update={"attempts": (*after.attempts[:-1], settled)})

    patch.setattr(Job, "fail", billed)


def missing_usage_costs_nothing(patch: pytest.MonkeyPatch) -> None:
    """A call without usage costs nothing, instead of its hold."""
    original = Job.settle

    def settle(job: Job, *args: Any, cost_usd: Decimal | None, **fields: Any) -> Job:
        return original(job, *args, cost_usd=cost_usd or Decimal(0), **fields)

    patch.setattr(Job, "settle", settle)


def detection_settings() -> settings:
    """The same examples in each run, and no shrinking."""
    return settings(
        max_examples=1000,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


def run_machine(**parts: Any) -> None:
    """Runs the machine on a world with these parts."""
    world_class = type("BrokenWorld", (WatchedWorld,), parts)
    run_state_machine_as_test(type("Broken", (Spending,), {"world_class": world_class}), settings=detection_settings())


@pytest.mark.parametrize("jobs_class", [WithoutCondition, WithoutDayCondition, HeldTwice])
def test_broken_hold_is_detected(jobs_class: type[WatchedJobs]) -> None:
    with pytest.raises(AssertionError):
        run_machine(jobs_class=jobs_class)


@pytest.mark.parametrize("ledger_class", [HoldNotReleased, CostNotSpent])
def test_incomplete_settlement_is_detected(ledger_class: type[SimulatedLedger]) -> None:
    with pytest.raises(AssertionError):
        run_machine(ledger_class=ledger_class)


@pytest.mark.parametrize(
    "defect",
    [
        bill_each_poll,
        count_on_last_day,
        add_cost_to_estimate,
        pytest.param(limit_cost_to_hold, marks=pytest.mark.slow_proof),
        pytest.param(bill_without_a_call, marks=pytest.mark.slow_proof),
        missing_usage_costs_nothing,
    ],
)
def test_wrong_cost_is_detected(defect: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    defect(monkeypatch)
    with pytest.raises(AssertionError):
        run_machine()
