"""The books as a function of the jobs: what moves adds up to what stands, to the last digit."""

from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from afterthought.domain import ledger
from afterthought.domain.job import Job
from afterthought.domain.ledger import Balance, Contribution, UsageKey, contribution, delta
from afterthought.domain.pricing import Usage, exact_sum
from tests.simulator.clock import START
from tests.simulator.examples import a_job, a_settled_job
from tests.simulator.examples import jobs as any_job

TODAY = START.date()
HOLD = a_job().held_usd


def usage_of(part: Contribution) -> dict[str, Decimal]:
    ((key, counts),) = part.usage.items()
    assert key == UsageKey(TODAY, "o3", ())
    return dict(counts)


def test_an_open_job_holds_and_has_spent_nothing() -> None:
    part = contribution(a_job())
    assert part.days == {TODAY: Balance(HOLD, Decimal(0))}
    assert usage_of(part) == {"open_jobs": 1, "open_held_usd": HOLD}


def test_an_ended_job_has_spent_and_used_under_its_status() -> None:
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


def test_a_job_that_ended_without_a_call_is_counted_and_costs_nothing() -> None:
    part = contribution(a_job().failed("deadline_exceeded", "…", now=START))
    assert part.days == {}
    assert usage_of(part) == {"failed_jobs": 1}


def test_a_job_over_midnight_is_booked_where_its_hold_was_taken() -> None:
    born = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    job = a_job(created_at=born)
    job = job.model_copy(update={"attempts": (job.attempts[0].model_copy(update={"held_at": born}),)})
    later = datetime(2026, 12, 1, 0, 30, tzinfo=UTC)
    begun = job.begin(token="t", provider="openai", now=later)
    ended = begun.settled(
        "completed",
        now=later,
        served_model="o3",
        usage=Usage(input_tokens=1, output_tokens=1),
        price_id="row",
        cost_usd=Decimal("0.25"),
    )
    moved = delta(begun, ended)
    assert moved.days == {date(2026, 11, 30): Balance(HOLD.copy_negate(), Decimal("0.25"))}
    assert {key.day for key in moved.usage} == {date(2026, 11, 30)}


def test_a_step_that_changes_neither_money_nor_status_moves_nothing() -> None:
    begun = a_job().begin(token="t", provider="openai", now=START)
    assert not delta(a_job(), begun)
    assert not delta(begun, begun.submitted(response_id="r", now=START, check_seconds=1))


@given(st.lists(any_job, min_size=1, max_size=6))
def test_movements_add_up_to_what_the_last_version_contributes(versions: list[Job]) -> None:
    befores = [None, *versions[:-1]]
    moved = ledger.total(delta(before, after) for before, after in zip(befores, versions, strict=True))
    assert moved == contribution(versions[-1])


@given(st.lists(any_job, max_size=6))
def test_the_money_of_the_days_is_that_of_the_usage(jobs: list[Job]) -> None:
    whole = ledger.total(contribution(job) for job in jobs)
    for place, measure in enumerate(("_held_usd", "_spent_usd")):
        days = exact_sum(*(standing[place] for standing in whole.days.values()))
        rows = exact_sum(*(n for counts in whole.usage.values() for k, n in counts.items() if k.endswith(measure)))
        assert days == rows == exact_sum(*((job.held_usd, job.spent_usd)[place] for job in jobs))
