"""The law of the money, under all that can happen: no budget is ever passed, and the books are what the jobs say.

A machine drives the whole service in virtual time and looks after every step, and at every single write. That it sees
what is wrong is shown by services with one part broken, each of which it finds.
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

from afterthought.domain import books
from afterthought.domain.budget import Caps
from afterthought.domain.errors import IdempotencyConflict, MoneyRefused, QueueUnavailable, TablesBusy
from afterthought.domain.identity import keyed_job_id
from afterthought.domain.jobs.job import Job
from tests.simulator import money
from tests.simulator.books import SimulatedBooks
from tests.simulator.calls import Fault, ProcessDied, TransportFailed
from tests.simulator.laws import broken
from tests.simulator.provider import Answer, Ending
from tests.simulator.queues import QueueFaults
from tests.simulator.tables import SimulatedJobs
from tests.simulator.world import TENANTS, World

TINY = Decimal("1e-12")
OUTPUTS = (5_000, 20_000, None)
"""Of o3, at $8 a million: holds of 4 cents, 16 and 80. What the provider plays uses less than 4."""


def uncapped(tenant: str) -> Caps:
    return Caps()


@dataclass
class WatchedJobs(SimulatedJobs):
    """Looks at the budgets at every write: what is used may rise by an admission within the caps in force, or by what
    an answer cost above its hold."""

    caps: Callable[[str], Caps] = uncapped
    seen: list[str] = field(default_factory=list)
    used: dict[tuple[str, str], Decimal] = field(default_factory=dict)

    def _write(self, job: Job) -> None:
        before = self.items.get(job.id)
        super()._write(job)
        caps = self.caps(job.tenant)
        for day in {entry.held_at.date() for entry in job.attempts}:
            book = self.books.stands(job.tenant, day.replace(day=1))
            of_day = book.days.get(day, books.Standing())
            self._look(before, job, f"{day:%Y-%m}", book.total.used_usd, caps.month_usd)
            self._look(before, job, f"{day}", of_day.used_usd, caps.day_usd)

    def _look(self, before: Job | None, job: Job, period: str, used: Decimal, cap: Decimal | None) -> None:
        rise = used - self.used.get((job.tenant, period), Decimal(0))
        self.used[job.tenant, period] = used
        if rise > 0 and before is None and cap is not None and used > cap:
            self.seen.append(f"{job.tenant} {period}: {used} is used after an admission, the cap is {cap}")
        if before is not None and rise > overrun(job) - overrun(before):
            self.seen.append(f"{job.tenant} {period}: {rise} more is used, and no job was admitted")


def overrun(job: Job) -> Decimal:
    """Dollars by which what has ended cost more than was held for it."""
    ended = [entry for entry in job.attempts if entry.state == money.SETTLED]
    return sum((max(entry.spent_usd - entry.hold_usd, Decimal(0)) for entry in ended), Decimal(0))


class WatchedWorld(World):
    books_class: type[SimulatedBooks] = SimulatedBooks
    jobs_class: type[WatchedJobs] = WatchedJobs

    def _wire(self) -> None:
        self.books = self.books_class(self.calls)
        self.jobs = self.watched = self.jobs_class(self.calls, self.books, caps=self.caps)
        super()._wire()

    def caps(self, tenant: str) -> Caps:
        """What is in force now; not a recorded call."""
        named = self.accounts.by_name[tenant]
        return Caps(month_usd=named.month_cap_usd, day_usd=named.day_cap_usd)


tenants = st.sampled_from(TENANTS)
amounts = st.sampled_from(("none", "nothing", "used", "below used", "one more", "almost one more", "three more"))
soon = st.integers(0, 12)
"""So many calls from now."""


class Spending(RuleBasedStateMachine):
    """Tenants submit, budgets change, workers and the sweeper run, everything fails now and then, and time passes."""

    world_class: type[WatchedWorld] = WatchedWorld

    @initialize(seed=st.integers(0, 2**16), duplicates=st.sampled_from((0.0, 0.3)))
    def begin(self, seed: int, duplicates: float) -> None:
        self.faults: dict[int, Fault] = {}
        self.world = self.world_class(seed=seed, faults=self.faults, queue_faults=QueueFaults(duplicates=duplicates))

    # ---- what tenants and admins do ----

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
        """`own_cap` is what `max_cost_usd` is above the bound."""
        hold = self._hold(output)
        body = question(output, tags, None if own_cap is None else hold + own_cap)
        before = money.of_books(self.world.books)
        today, certain = self.world.clock().date(), self._is_certain()
        known = key is not None and keyed_job_id(tenant, key) in self.world.jobs.items
        told = self._try(tenant, body, key)
        if not certain or self.world.clock().date() != today:
            return
        held = self._used(tenant, f"{today}") - before.budgets.get((tenant, f"{today}"), money.Budget()).used
        if known:
            assert told in ("repeated", "conflict")
        elif own_cap is not None and own_cap < 0:
            assert told == "max_cost_exceeded"
        else:
            assert told == ("accepted" if self._fitted(tenant, hold, before, today) else "budget_exceeded")
        assert held == (Fraction(hold) if told == "accepted" else 0)

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
        """Each begins while the one before it is at its call number `when`, and so many of them fit."""
        now = self.world.clock()
        if room is not None:
            used = self._used(tenant, f"{now:%Y-%m}" if budget == "month_cap_usd" else f"{now:%Y-%m-%d}")
            caps = {"month_cap_usd": None, "day_cap_usd": None, budget: dollars(used) + room * self._hold(output)}
            self._set(tenant, caps)
        certain = self._is_certain()
        told: list[str] = []

        def submit(others: int) -> None:
            if others:
                calls = self.world.calls
                calls.before_call[len(calls.recorded) + when] = partial(submit, others - 1)
            told.append(self._try(tenant, question(output), key))

        submit(2)
        if certain and key is None and len(told) == 3 and self.world.clock().date() == now.date():
            fits = 3 if room is None else room
            if room is not None or self.world.caps(tenant) == Caps():
                assert sorted(told) == ["accepted"] * fits + ["budget_exceeded"] * (3 - fits)

    @rule(tenant=tenants, month=amounts, day=amounts)
    def change_budgets(self, tenant: str, month: str, day: str) -> None:
        """Up or down, below what is used too."""
        now = self.world.clock()
        caps = {
            "month_cap_usd": self._amount(month, self._used(tenant, f"{now:%Y-%m}")),
            "day_cap_usd": self._amount(day, self._used(tenant, f"{now:%Y-%m-%d}")),
        }
        self._set(tenant, caps)

    # ---- what goes well and badly ----

    @rule(endings=st.lists(st.sampled_from(get_args(Ending)), min_size=1, max_size=3))
    def end_so(self, endings: list[Ending]) -> None:
        self.world.provider.plan.endings[:] = endings

    @rule(hours=st.sampled_from((1, 18)))
    def lose_all_workers(self, hours: float) -> None:
        """For so long that the sweeper gives jobs up, too."""
        self.world.down.worker = True
        self.world.run_for(hours=hours)
        self.world.down.worker = False

    @rule(answers=st.lists(st.sampled_from(get_args(Answer)), min_size=1, max_size=3))
    def answer_so(self, answers: list[Answer]) -> None:
        self.world.provider.plan.answers[:] = answers

    @rule(when=soon, fault=st.sampled_from(Fault))
    def fail(self, when: int, fault: Fault) -> None:
        self.faults[len(self.world.calls.recorded) + when] = fault

    @rule(when=soon, seconds=st.sampled_from((1.0, 50.0, 200.0)))
    def stall(self, when: int, seconds: float) -> None:
        self.world.calls.before_call[len(self.world.calls.recorded) + when] = partial(self.world.clock.pass_by, seconds)

    @precondition(lambda self: self.world.job_messages.messages)
    @rule(data=st.data())
    def lose_a_message(self, data: st.DataObject) -> None:
        messages = self.world.job_messages.messages
        messages.pop(data.draw(st.integers(0, len(messages) - 1)))

    @precondition(lambda self: self.world.jobs.items)
    @rule(data=st.data(), when=soon)
    def look_meanwhile(self, data: st.DataObject, when: int) -> None:
        """Another worker looks at a job, in the midst of what is done next."""
        job_id = data.draw(st.sampled_from(sorted(self.world.jobs.items)))
        self.world.calls.before_call[len(self.world.calls.recorded) + when] = partial(self.world.run_worker, job_id)

    # ---- time ----

    @rule(minutes=st.sampled_from((0.2, 1, 4, 20, 300, 1500)))
    def pass_time(self, minutes: float) -> None:
        self.world.run_for(minutes=minutes)

    @rule(until=st.sampled_from(("midnight", "month", "year")))
    def approach(self, until: str) -> None:
        """A moment before the next midnight, the next month or the next year."""
        end = next_end(until, self.world.clock()) - timedelta(milliseconds=40)
        if end > self.world.clock():
            self.world.run_for(seconds=(end - self.world.clock()).total_seconds())

    # ---- the law ----

    @invariant()
    def no_budget_is_passed(self) -> None:
        assert self.world.watched.seen == []

    @invariant()
    def the_books_are_what_the_jobs_say(self) -> None:
        told, stands = money.of_jobs(self.world.jobs.items.values()), money.of_books(self.world.books)
        assert list(money.differences(told, stands)) == []

    @invariant()
    def a_month_is_the_sum_of_its_days(self) -> None:
        for (tenant, month), book in self.world.books.months.items():
            days = [standing for day, standing in book.days.items() if day.replace(day=1) == month]
            assert sum(day.held_usd for day in days) == book.total.held_usd, (tenant, month)
            assert sum(day.spent_usd for day in days) == book.total.spent_usd, (tenant, month)

    def teardown(self) -> None:
        """When all is over nothing is held, and what is spent is what the jobs have cost."""
        if not hasattr(self, "world"):
            return
        self.faults.clear()
        self.world.calls.before_call.clear()
        self.world.run()
        self.no_budget_is_passed()
        self.the_books_are_what_the_jobs_say()
        # Without workers nobody ends a job at its deadline.
        assert [what for what in broken(self.world) if "after its deadline" not in what] == []
        for (tenant, _), book in self.world.books.months.items():
            assert book.total.held_usd == 0, tenant
        for one in self.world.jobs.items.values():
            assert list(paid_for_nothing(self.world.jobs.history[one.id])) == []
        for tenant in TENANTS:
            spent = sum(book.total.spent_usd for (whose, _), book in self.world.books.months.items() if whose == tenant)
            jobs = [one for one in self.world.jobs.items.values() if one.tenant == tenant]
            assert spent == sum(entry.cost_usd or 0 for one in jobs for entry in one.attempts)

    def _try(self, tenant: str, body: dict[str, Any], key: str | None) -> str:
        """What the caller is told; "failed" where that is nothing or an error of ours."""
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
        return self.world.admit(encoded(question(output))).bound.total_usd

    def _used(self, tenant: str, period: str) -> Fraction:
        return money.of_books(self.world.books).budgets.get((tenant, period), money.Budget()).used

    def _fitted(self, tenant: str, hold: Decimal, before: money.Money, today: object) -> bool:
        caps = self.world.caps(tenant)
        stood = [before.budgets.get((tenant, str(today)[:length]), money.Budget()).used for length in (7, 10)]
        return all(cap is None or used + Fraction(hold) <= cap for cap, used in zip(caps, stood, strict=True))

    def _is_certain(self) -> bool:
        """Whether nothing but the caller's own doing decides what the next request comes to."""
        calls = self.world.calls
        return not calls.before_call and not any(number >= len(calls.recorded) for number in self.faults)

    def _amount(self, amount: str, used: Fraction) -> Decimal | None:
        stands, hold = dollars(used), self._hold(5_000)
        return {
            "none": None,
            "nothing": Decimal(0),
            "used": stands,
            "below used": max(stands - TINY, Decimal(0)),
            "one more": stands + hold,
            "almost one more": stands + hold - TINY,
            "three more": stands + 3 * hold,
        }[amount]


def question(output: int | None, tags: Sequence[str] = (), max_cost: Decimal | None = None) -> dict[str, Any]:
    ours: dict[str, Any] = {"tags": list(tags)} if tags else {}
    if max_cost is not None:
        ours["max_cost_usd"] = format(max_cost, "f")
    asked: dict[str, Any] = {"model": "o3", "input": "What is 17 times 23?", "reasoning": {"effort": "low"}}
    if output is not None:
        asked["max_output_tokens"] = output
    return {**asked, "afterthought": ours} if ours else asked


def dollars(exact: Fraction) -> Decimal:
    return Decimal(exact.numerator) / Decimal(exact.denominator)


def encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def next_end(of: str, now: datetime) -> datetime:
    """The beginning of the next day, month or year."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if of == "midnight":
        return midnight + timedelta(days=1)
    if of == "year" or midnight.month == 12:
        return midnight.replace(year=midnight.year + 1, month=1, day=1)
    return midnight.replace(month=midnight.month + 1, day=1)


def paid_for_nothing(history: Sequence[Job]) -> Iterator[str]:
    """An entry whose call was not made when its job ended costs nothing."""
    for before, after in pairwise(history):
        entry, ended = before.attempt, after.attempt
        if entry is not None and ended is not None and entry.state == "pending" and after.terminal and ended.cost_usd:
            yield f"{after.id} was never called and cost {ended.cost_usd}"


TestNoBudgetIsPassed = Spending.TestCase
TestNoBudgetIsPassed.settings = settings(
    max_examples=200, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# ---- that the machine sees what is wrong


class WithoutCondition(WatchedJobs):
    def create(self, job: Job, caps: Caps) -> None:
        super().create(job, Caps())


class WithoutDaysCondition(WatchedJobs):
    def create(self, job: Job, caps: Caps) -> None:
        super().create(job, caps._replace(day_usd=None))


class HeldTwice(WatchedJobs):
    """A write that finds its job there already takes the hold all the same."""

    def create(self, job: Job, caps: Caps) -> None:
        if job.id in self.items:
            self.books.move(job.tenant, books.movement(None, job), caps)
        super().create(job, caps)


class NothingGivenBack(SimulatedBooks):
    def move(self, tenant: str, movement: books.Books, caps: Caps) -> None:
        days = {day: moved._replace(held_usd=max(moved.held_usd, Decimal(0))) for day, moved in movement.days.items()}
        super().move(tenant, movement._replace(days=days), caps)


class CostForgotten(SimulatedBooks):
    def move(self, tenant: str, movement: books.Books, caps: Caps) -> None:
        days = {day: moved._replace(spent_usd=Decimal(0)) for day, moved in movement.days.items()}
        super().move(tenant, movement._replace(days=days), caps)


def bill_each_poll(patch: pytest.MonkeyPatch) -> None:
    checked = Job.record_poll

    def billed(job: Job, **known: Any) -> Job:
        after = checked(job, **known)
        entry = after.called_attempt
        return after.model_copy(
            update={"attempts": (entry.model_copy(update={"cost_usd": entry.spent_usd + Decimal("0.01")}),)}
        )

    patch.setattr(Job, "record_poll", billed)


def book_at_the_end(patch: pytest.MonkeyPatch) -> None:
    """In the day on which a job ends, not in the one from which its hold was taken."""
    booked = books.booked

    def late(job: Job) -> books.Books:
        if job.finished_at is None:
            return booked(job)
        moved = (entry.model_copy(update={"held_at": job.finished_at}) for entry in job.attempts)
        return booked(job.model_copy(update={"attempts": tuple(moved)}))

    patch.setattr(books, "booked", late)


def add_to_the_estimate(patch: pytest.MonkeyPatch) -> None:
    corrected = Job.correct_usage

    def added(job: Job, number: int, *, cost_usd: Decimal, **known: Any) -> Job:
        return corrected(job, number, cost_usd=job.spent_usd + cost_usd, **known)

    patch.setattr(Job, "correct_usage", added)


def book_no_more_than_the_hold(patch: pytest.MonkeyPatch) -> None:
    settled = Job.settle

    def clipped(job: Job, *args: Any, cost_usd: Decimal | None, **known: Any) -> Job:
        return settled(
            job, *args, cost_usd=min(cost_usd or job.called_attempt.hold_usd, job.called_attempt.hold_usd), **known
        )

    patch.setattr(Job, "settle", clipped)


def bill_what_was_not_called(patch: pytest.MonkeyPatch) -> None:
    failed = Job.fail

    def billed(job: Job, *told: str, **known: Any) -> Job:
        after = failed(job, *told, **known)
        entry = after.attempts[-1]
        paid = entry.model_copy(update={"state": "settled", "cost_usd": entry.hold_usd})
        return after.model_copy(update={"attempts": (*after.attempts[:-1], paid)})

    patch.setattr(Job, "fail", billed)


def take_silence_for_nothing(patch: pytest.MonkeyPatch) -> None:
    """Nobody said what was used, so nothing is booked."""
    settled = Job.settle

    def free(job: Job, *args: Any, cost_usd: Decimal | None, **known: Any) -> Job:
        return settled(job, *args, cost_usd=cost_usd or Decimal(0), **known)

    patch.setattr(Job, "settle", free)


def settings_to_find() -> settings:
    """The same examples each time, and no time spent on making them small."""
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


def find(**parts: Any) -> None:
    """Runs the machine on a world with these parts."""
    world_class = type("BrokenWorld", (WatchedWorld,), parts)
    run_state_machine_as_test(type("Broken", (Spending,), {"world_class": world_class}), settings=settings_to_find())


@pytest.mark.parametrize("jobs_class", [WithoutCondition, WithoutDaysCondition, HeldTwice])
def test_a_hold_taken_without_its_condition_or_twice_is_found(jobs_class: type[WatchedJobs]) -> None:
    with pytest.raises(AssertionError):
        find(jobs_class=jobs_class)


@pytest.mark.parametrize("books_class", [NothingGivenBack, CostForgotten])
def test_a_settlement_that_moves_half_of_the_books_is_found(books_class: type[SimulatedBooks]) -> None:
    with pytest.raises(AssertionError):
        find(books_class=books_class)


@pytest.mark.parametrize(
    "defect",
    [
        bill_each_poll,
        book_at_the_end,
        add_to_the_estimate,
        book_no_more_than_the_hold,
        bill_what_was_not_called,
        take_silence_for_nothing,
    ],
)
def test_a_wrong_bill_is_found(defect: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    defect(monkeypatch)
    with pytest.raises(AssertionError):
        find()
