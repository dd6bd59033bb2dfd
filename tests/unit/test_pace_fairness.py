"""Tenants of every kind on one provider's pace, job by job in virtual time: who waits, how long, and what is used."""

import heapq
from collections.abc import Iterator
from datetime import datetime, timedelta
from math import ceil, inf
from random import Random
from typing import NamedTuple

import pytest

from afterthought.domain.pace import PaceLimits
from afterthought.domain.provider import Provider
from afterthought.services.pace import Pace
from tests.simulator.calls import CallRecorder
from tests.simulator.clock import START, Clock
from tests.simulator.paces import SimulatedPaces

PROCESSES = 8
MINUTE = timedelta(minutes=1)


class Job(NamedTuple):
    at_seconds: float
    tenant: str
    tokens: int = 1000
    cancelled_at_seconds: float = inf


class Called(NamedTuple):
    at: datetime
    job: Job
    delay_seconds: float
    tries: int


def burst(tenant: str, jobs: int, *, tokens: int = 1000, at_seconds: float = 0, seconds: float = 10) -> Iterator[Job]:
    return (Job(at_seconds + seconds * number / jobs, tenant, tokens) for number in range(jobs))


def run(limits: PaceLimits, *jobs: Job, seed: int = 0) -> list[Called]:
    """All jobs, looked at by any of several processes; a message comes up to a second later than asked, which a queue
    counts in whole seconds. In the order of the calls."""
    random, clock = Random(seed), Clock()
    paces = SimulatedPaces(CallRecorder(Clock()))
    processes = [Pace(paces, clock, random.random) for _ in range(PROCESSES)]
    provider = Provider(
        name="openai", base_url="https://llm.example.com/v1", mode="background", models="*", limits={"*": limits}
    )
    looks = [(START + timedelta(seconds=job.at_seconds), number, 1) for number, job in enumerate(jobs)]
    heapq.heapify(looks)
    called = []
    while looks:
        at, number, tries = heapq.heappop(looks)
        clock.move_to(at)
        job = jobs[number]
        if (at - START).total_seconds() >= job.cancelled_at_seconds:
            continue
        until = random.choice(processes).take(provider, "o3", job.tenant, job.tokens)
        if until is None:
            delay = (clock() - START).total_seconds() - job.at_seconds
            called.append(Called(clock(), job, delay, tries))
        else:
            wait = ceil((until - clock()).total_seconds()) + random.random()
            heapq.heappush(looks, (clock() + timedelta(seconds=wait), number, tries + 1))
    return called


def of(tenant: str, called: list[Called]) -> list[Called]:
    return [each for each in called if each.job.tenant == tenant]


def check_pace(limits: PaceLimits, called: list[Called]) -> None:
    """That no minute saw more than domain/pace.py states."""
    largest = max(each.job.tokens for each in called)
    windows = min(6, *(limit for _, limit in limits if limit is not None))
    for aligned in (True, False):
        first, tokens = 0, 0
        for last, each in enumerate(called):
            tokens += each.job.tokens
            window = (each.at - START).total_seconds() * windows // 60
            oldest = START + MINUTE * ((window - windows + 1) / windows) if aligned else each.at - MINUTE
            while called[first].at < oldest or (not aligned and called[first].at == oldest):
                tokens -= called[first].job.tokens
                first += 1
            requests = last - first + 1
            if (most := limits.requests_per_minute) is not None:
                assert requests <= (most if aligned else most + ceil(most / windows))
            if (most := limits.tokens_per_minute) is not None:
                assert tokens < (most if aligned else most + ceil(most / windows)) + largest


def used(limits: PaceLimits, called: list[Called]) -> float:
    """The part of the pace that was used from the first call to the last."""
    minutes = (called[-1].at - called[0].at) / MINUTE
    parts = [
        (limits.requests_per_minute, len(called)),
        (limits.tokens_per_minute, sum(each.job.tokens for each in called)),
    ]
    return max(taken / limit / minutes for limit, taken in parts if limit is not None)


TIER_1 = PaceLimits(requests_per_minute=500, tokens_per_minute=500_000)


def test_ten_thousand_jobs_of_one_tenant_do_not_delay_anothers_one() -> None:
    singles = [Job(0.5 + 23.7 * number, f"single-{number}") for number in range(50)]
    called = run(TIER_1, *burst("bulk", 10_000), *singles)
    assert max(each.delay_seconds for each in called if each.job.tenant != "bulk") <= 5
    assert sum(each.tries for each in of("bulk", called)) / 10_000 <= 2.2
    check_pace(TIER_1, called)
    assert used(TIER_1, called) >= 0.98


def test_five_tenants_with_backlogs_do_not_delay_anothers_one() -> None:
    # From the second window on: all of the first went to those that came first, when nobody had a line yet.
    singles = [Job(10.5 + 11.3 * number, f"single-{number}") for number in range(40)]
    backlogs = [job for number in range(5) for job in burst(f"bulk-{number}", 1000)]
    called = run(TIER_1, *backlogs, *singles)
    assert max(each.delay_seconds for each in called if "single" in each.job.tenant) <= 5
    check_pace(TIER_1, called)
    assert used(TIER_1, called) >= 0.98


@pytest.mark.parametrize(
    ("limits", "jobs", "tokens", "least"),
    [
        (PaceLimits(requests_per_minute=500), 5000, 1000, 0.9),
        (PaceLimits(requests_per_minute=20), 200, 1000, 0.9),
        # Five windows of one call and one of two: the second call of that one is not always there in time.
        (PaceLimits(requests_per_minute=7), 100, 1000, 0.85),
        (PaceLimits(requests_per_minute=3), 100, 1000, 0.9),
        (PaceLimits(requests_per_minute=1), 40, 1000, 0.9),
        (PaceLimits(tokens_per_minute=500_000), 3000, 1500, 0.9),
        (PaceLimits(requests_per_minute=500, tokens_per_minute=30_000), 200, 6000, 0.9),
        (PaceLimits(requests_per_minute=500, tokens_per_minute=30_000), 200, 3000, 0.9),
        (PaceLimits(requests_per_minute=500, tokens_per_minute=30_000), 60, 20_000, 0.9),
        (PaceLimits(requests_per_minute=500, tokens_per_minute=30_000), 60, 30_000, 0.9),
    ],
    ids=str,
)
def test_one_tenant_alone_uses_the_whole_pace_and_never_more(
    limits: PaceLimits, jobs: int, tokens: int, least: float
) -> None:
    called = run(limits, *burst("bulk", jobs, tokens=tokens))
    assert used(limits, called) >= least
    check_pace(limits, called)


@pytest.mark.parametrize("seconds_between", [0, 90])
@pytest.mark.parametrize(
    ("limits", "sizes", "off"),
    [
        (TIER_1, (500, 500), 0.05),
        (TIER_1, (4000, 1000), 0.05),
        (PaceLimits(requests_per_minute=500, tokens_per_minute=30_000), (1000, 1000), 0.05),
        # Of so few calls more is left to chance, and at first the early one's line still asks as often as one alone.
        (PaceLimits(requests_per_minute=6), (1, 1), 0.15),
    ],
    ids=str,
)
def test_two_tenants_with_backlogs_share_evenly(
    limits: PaceLimits, sizes: tuple[int, int], off: float, seconds_between: int
) -> None:
    minutes = 20 if limits.requests_per_minute == 6 else 5
    pace = limits.requests_per_minute if limits.tokens_per_minute is None else limits.tokens_per_minute
    assert pace is not None
    counts = [minutes * (pace if limits.tokens_per_minute is None else min(pace // size, 500)) for size in sizes]
    called = run(
        limits,
        *burst("early", counts[0], tokens=sizes[0]),
        *burst("late", counts[1], tokens=sizes[1], at_seconds=seconds_between),
    )
    # While both wait: from the second's coming until the first of them has its last call.
    end = min(of(tenant, called)[-1].at for tenant in ("early", "late"))
    both = [each for each in called if START + timedelta(seconds=seconds_between) <= each.at <= end]
    shares = [sum(share_of(limits, each.job) for each in of(tenant, both)) for tenant in ("early", "late")]
    assert abs(shares[0] / sum(shares) - 0.5) <= off
    check_pace(limits, called)


def share_of(limits: PaceLimits, job: Job) -> float:
    parts = [1 / limits.requests_per_minute] if limits.requests_per_minute else []
    return max([*parts, job.tokens / limits.tokens_per_minute] if limits.tokens_per_minute else parts)


def test_even_a_pace_of_three_in_a_minute_lets_a_single_job_by() -> None:
    """One slot in twenty seconds, and a hundred jobs that wait for it."""
    limits = PaceLimits(requests_per_minute=3)
    called = run(limits, *burst("bulk", 100), *(Job(60 + 130.3 * number, f"single-{number}") for number in range(12)))
    delays = sorted(each.delay_seconds for each in called if each.job.tenant != "bulk")
    assert delays[len(delays) // 2] <= 20
    assert delays[-1] <= 80


# ---- jobs that never come to their places

CANCELLED = 120


def cancelled(jobs: int, *, every: int = 1) -> list[Job]:
    """A burst of which all but each `every`th job are cancelled after two minutes; 1: all of it."""
    return [
        job if every > 1 and number % every == 0 else job._replace(cancelled_at_seconds=CANCELLED)
        for number, job in enumerate(burst("acme", jobs))
    ]


def new(called: list[Called]) -> list[Called]:
    return [each for each in called if each.job.at_seconds > CANCELLED]


@pytest.mark.parametrize(("every", "seconds_later"), [(1, 20), (1, 600), (10, 60)], ids=str)
def test_ten_thousand_that_were_cancelled_do_not_delay_their_tenants_next(every: int, seconds_later: float) -> None:
    called = run(TIER_1, *cancelled(10_000, every=every), *burst("acme", 300, at_seconds=CANCELLED + seconds_later))
    assert len(new(called)) == 300
    # At 500 a minute they take 36 seconds, of which they came over ten.
    assert max(each.delay_seconds for each in new(called)) <= 45
    assert sum(each.tries for each in new(called)) / 300 <= 2.2
    check_pace(TIER_1, called)


def test_nor_where_another_tenant_has_the_pace_meanwhile() -> None:
    called = run(TIER_1, *cancelled(10_000), *burst("globex", 5000), *burst("acme", 300, at_seconds=CANCELLED + 30))
    assert max(each.delay_seconds for each in new(called)) <= 90
    check_pace(TIER_1, called)


@pytest.mark.parametrize("requests", [1, 6, 20])
def test_nor_where_calls_are_few(requests: int) -> None:
    limits = PaceLimits(requests_per_minute=requests)
    later = burst("acme", 3 * requests, at_seconds=CANCELLED + 180)
    called = run(limits, *cancelled(30 * requests), *later)
    # Three minutes of the pace, of thirty that were lined up.
    assert max(each.delay_seconds for each in new(called)) <= 200
    check_pace(limits, called)
