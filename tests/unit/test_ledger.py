"""The ledger as a function of the jobs: deltas add up exactly to the contributions."""

from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from afterthought.domain.jobs.job import Job
from afterthought.domain.ledger import ledger
from afterthought.domain.ledger.ledger import Balance, Contribution, UsageKey, contribution, delta
from afterthought.domain.models.pricing import Usage, exact_sum
from tests.simulator.clock import START
from tests.simulator.examples import a_job, a_settled_job
from tests.simulator.examples import jobs as any_job

TODAY = START.date()
HOLD = a_job().held_usd


def usage_of(part: Contribution) -> dict[str, Decimal]:
    ((key, amounts),) = part.usage.items()
    assert key == UsageKey(TODAY, "o3", ())
    return dict(amounts)


def test_open_job_holds_its_max_cost() -> None:
    part = contribution(a_job())
    assert part.days == {TODAY: Balance(HOLD, Decimal(0))}
    assert usage_of(part) == {"open_jobs": 1, "open_held_usd": HOLD}


def test_ended_job_counts_by_its_status() -> None:
    job = a_settled_job()
    part = contribution(job)
    assert part.days == {TODAY: Balance(Decimal(0), job.spent_usd)}
    assert usage_of(part) == {
        "completed_jobs": 1,
        "completed_spent_usd": job.spent_usd,
        "completed_input_tokens": 12_345,
        "completed_cached_input_tokens": 1024,
        "completed_output_tokens": 23_456,
        "completed_reasoning_tokens": 20_480,
    }


def test_job_without_a_call_costs_nothing() -> None:
    part = contribution(a_job().fail("deadline_exceeded", "…", now=START))
    assert part.days == {}
    assert usage_of(part) == {"failed_jobs": 1}


def test_job_past_midnight_counts_on_hold_day() -> None:
    created_at = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    job = a_job(created_at=created_at)
    job = job.model_copy(update={"attempts": (job.attempts[0].model_copy(update={"held_at": created_at}),)})
    later = datetime(2026, 12, 1, 0, 30, tzinfo=UTC)
    started = job.start_call(token="t", provider="openai", now=later)
    ended = started.settle(
        "completed",
        now=later,
        served_model="o3",
        usage=Usage(input_tokens=1, output_tokens=1),
        price_id="row",
        cost_usd=Decimal("0.25"),
    )
    change = delta(started, ended)
    assert change.days == {date(2026, 11, 30): Balance(HOLD.copy_negate(), Decimal("0.25"))}
    assert {key.day for key in change.usage} == {date(2026, 11, 30)}


def test_step_without_money_has_no_delta() -> None:
    started = a_job().start_call(token="t", provider="openai", now=START)
    assert not delta(a_job(), started)
    assert not delta(started, started.mark_running(response_id="r", now=START, poll_seconds=1))


@given(st.lists(any_job, min_size=1, max_size=6))
def test_deltas_add_up_to_last_contribution(versions: list[Job]) -> None:
    previous_versions = [None, *versions[:-1]]
    changes = ledger.total(delta(before, after) for before, after in zip(previous_versions, versions, strict=True))
    assert changes == contribution(versions[-1])


@given(st.lists(any_job, max_size=6))
def test_days_and_usage_have_equal_money(jobs: list[Job]) -> None:
    totals = ledger.total(contribution(job) for job in jobs)
    for column, measure in enumerate(("_held_usd", "_spent_usd")):
        days = exact_sum(*(balance[column] for balance in totals.days.values()))
        rows = exact_sum(
            *(n for amounts in totals.usage.values() for name, n in amounts.items() if name.endswith(measure))
        )
        assert days == rows == exact_sum(*((job.held_usd, job.spent_usd)[column] for job in jobs))
