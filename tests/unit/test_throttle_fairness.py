"""Tenants share one model, in virtual time: how long jobs wait, and how much of the limit is used."""

import heapq
from collections.abc import Iterator
from datetime import datetime, timedelta
from math import ceil, inf
from random import Random
from typing import NamedTuple

import pytest

from afterthought.domain.models.provider import Provider, ProviderLimits
from afterthought.services.limits.throttle import Throttle
from tests.simulator.calls import CallRecorder
from tests.simulator.clock import START, Clock
from tests.simulator.throttle import SimulatedThrottle

PROCESSES = 8
MINUTE = timedelta(minutes=1)


class Job(NamedTuple):
    at_seconds: float
    tenant: str
    tokens: int = 1000
    cancelled_at_seconds: float = inf


class ModelCall(NamedTuple):
    at: datetime
    job: Job
    delay_seconds: float
    tries: int


def burst(tenant: str, jobs: int, *, tokens: int = 1000, at_seconds: float = 0, seconds: float = 10) -> Iterator[Job]:
    return (Job(at_seconds + seconds * number / jobs, tenant, tokens) for number in range(jobs))


def run(limits: ProviderLimits, *jobs: Job, seed: int = 0, recorder: CallRecorder | None = None) -> list[ModelCall]:
    """The calls in order. A random process handles each message. Messages are delayed by whole seconds, and arrive up
    to a second late."""
    random, clock = Random(seed), Clock()
    store = SimulatedThrottle(recorder or CallRecorder(Clock()))
    processes = [Throttle(store, clock, random.random) for _ in range(PROCESSES)]
    provider = Provider(
        name="openai", base_url="https://llm.example.com/v1", mode="background", models="*", limits={"*": limits}
    )
    messages = [(START + timedelta(seconds=job.at_seconds), number, 1) for number, job in enumerate(jobs)]
    heapq.heapify(messages)
    calls = []
    while messages:
        at, number, tries = heapq.heappop(messages)
        clock.move_to(at)
        job = jobs[number]
        if (at - START).total_seconds() >= job.cancelled_at_seconds:
            continue
        retry_at = random.choice(processes).take(provider, "o3", job.tenant, job.tokens)
        if retry_at is None:
            delay = (clock() - START).total_seconds() - job.at_seconds
            calls.append(ModelCall(clock(), job, delay, tries))
        else:
            wait = ceil((retry_at - clock()).total_seconds()) + random.random()
            heapq.heappush(messages, (clock() + timedelta(seconds=wait), number, tries + 1))
    return calls


def calls_of(tenant: str, calls: list[ModelCall]) -> list[ModelCall]:
    return [call for call in calls if call.job.tenant == tenant]


def check_limits(limits: ProviderLimits, calls: list[ModelCall]) -> None:
    """No minute has more calls than docs/throttle.md states."""
    largest = max(call.job.tokens for call in calls)
    windows = min(6, *(limit for _, limit in limits if limit is not None))
    for aligned in (True, False):
        first, tokens = 0, 0
        for last, call in enumerate(calls):
            tokens += call.job.tokens
            window = (call.at - START).total_seconds() * windows // 60
            earliest = START + MINUTE * ((window - windows + 1) / windows) if aligned else call.at - MINUTE
            while calls[first].at < earliest or (not aligned and calls[first].at == earliest):
                tokens -= calls[first].job.tokens
                first += 1
            requests = last - first + 1
            if (most := limits.requests_per_minute) is not None:
                assert requests <= (most if aligned else most + ceil(most / windows))
            if (most := limits.tokens_per_minute) is not None:
                assert tokens < (most if aligned else most + ceil(most / windows)) + largest


def used(limits: ProviderLimits, calls: list[ModelCall]) -> float:
    """The part of the limits that is used from the first call to the last."""
    minutes = (calls[-1].at - calls[0].at) / MINUTE
    parts = [
        (limits.requests_per_minute, len(calls)),
        (limits.tokens_per_minute, sum(call.job.tokens for call in calls)),
    ]
    return max(taken / limit / minutes for limit, taken in parts if limit is not None)


TIER_1 = ProviderLimits(requests_per_minute=500, tokens_per_minute=500_000)


def test_bulk_does_not_delay_single_jobs() -> None:
    single_jobs = [Job(0.5 + 23.7 * number, f"single-{number}") for number in range(50)]
    calls = run(TIER_1, *burst("bulk", 10_000), *single_jobs)
    assert max(call.delay_seconds for call in calls if call.job.tenant != "bulk") <= 5
    assert sum(call.tries for call in calls_of("bulk", calls)) / 10_000 <= 2.2
    check_limits(TIER_1, calls)
    assert used(TIER_1, calls) >= 0.98


def test_five_bulks_do_not_delay_single_jobs() -> None:
    single_jobs = [Job(0.5 + 11.3 * number, f"single-{number}") for number in range(40)]
    backlogs = [job for number in range(5) for job in burst(f"bulk-{number}", 1000)]
    calls = run(TIER_1, *backlogs, *single_jobs)
    assert max(call.delay_seconds for call in calls if "single" in call.job.tenant) <= 5
    check_limits(TIER_1, calls)
    assert used(TIER_1, calls) >= 0.98


@pytest.mark.parametrize(
    ("limits", "jobs", "tokens", "minimum_use"),
    [
        (ProviderLimits(requests_per_minute=500), 5000, 1000, 0.9),
        (ProviderLimits(requests_per_minute=20), 200, 1000, 0.9),
        (ProviderLimits(requests_per_minute=7), 100, 1000, 0.9),
        (ProviderLimits(requests_per_minute=3), 100, 1000, 0.9),
        (ProviderLimits(requests_per_minute=1), 40, 1000, 0.9),
        (ProviderLimits(tokens_per_minute=500_000), 3000, 1500, 0.9),
        (ProviderLimits(requests_per_minute=500, tokens_per_minute=30_000), 200, 6000, 0.9),
        (ProviderLimits(requests_per_minute=500, tokens_per_minute=30_000), 200, 3000, 0.9),
        (ProviderLimits(requests_per_minute=500, tokens_per_minute=30_000), 60, 20_000, 0.9),
        (ProviderLimits(requests_per_minute=500, tokens_per_minute=30_000), 60, 30_000, 0.9),
    ],
    ids=str,
)
def test_single_tenant_uses_the_whole_limit(limits: ProviderLimits, jobs: int, tokens: int, minimum_use: float) -> None:
    calls = run(limits, *burst("bulk", jobs, tokens=tokens))
    assert used(limits, calls) >= minimum_use
    check_limits(limits, calls)


@pytest.mark.parametrize("seconds_between", [0, 90])
@pytest.mark.parametrize(
    ("limits", "sizes", "tolerance"),
    [
        (TIER_1, (500, 500), 0.05),
        (TIER_1, (4000, 1000), 0.05),
        (ProviderLimits(requests_per_minute=500, tokens_per_minute=30_000), (1000, 1000), 0.05),
        # With so few calls, random differences are larger.
        (ProviderLimits(requests_per_minute=6), (1, 1), 0.15),
    ],
    ids=str,
)
def test_two_bulks_share_evenly(
    limits: ProviderLimits, sizes: tuple[int, int], tolerance: float, seconds_between: int
) -> None:
    minutes = 20 if limits.requests_per_minute == 6 else 5
    requests, tokens = limits.requests_per_minute, limits.tokens_per_minute
    assert requests is not None
    counts = [minutes * (requests if tokens is None else min(tokens // size, 500)) for size in sizes]
    calls = run(
        limits,
        *burst("early", counts[0], tokens=sizes[0]),
        *burst("late", counts[1], tokens=sizes[1], at_seconds=seconds_between),
    )
    # The calls while both have waiting jobs.
    end = min(calls_of(tenant, calls)[-1].at for tenant in ("early", "late"))
    shared_calls = [call for call in calls if START + timedelta(seconds=seconds_between) <= call.at <= end]
    shares = [
        sum(part_of_limits(limits, call.job) for call in calls_of(tenant, shared_calls)) for tenant in ("early", "late")
    ]
    assert abs(shares[0] / sum(shares) - 0.5) <= tolerance
    check_limits(limits, calls)


def part_of_limits(limits: ProviderLimits, job: Job) -> float:
    parts = [1 / limits.requests_per_minute] if limits.requests_per_minute else []
    return max([*parts, job.tokens / limits.tokens_per_minute] if limits.tokens_per_minute else parts)


def test_single_job_passes_bulk_at_low_limit() -> None:
    """One call per twenty seconds, and a hundred waiting jobs."""
    limits = ProviderLimits(requests_per_minute=3)
    calls = run(limits, *burst("bulk", 100), *(Job(60 + 130.3 * number, f"single-{number}") for number in range(12)))
    delays = sorted(call.delay_seconds for call in calls if call.job.tenant != "bulk")
    assert delays[len(delays) // 2] <= 20
    assert delays[-1] <= 80


# ---- abandoned queues

CANCELLED = 120


def cancelled(jobs: int, *, kept_every: int = 1) -> list[Job]:
    """A burst whose jobs are cancelled after two minutes. Of N = `kept_every` > 1 jobs, one is not cancelled."""
    return [
        job if kept_every > 1 and number % kept_every == 0 else job._replace(cancelled_at_seconds=CANCELLED)
        for number, job in enumerate(burst("acme", jobs))
    ]


def new(calls: list[ModelCall]) -> list[ModelCall]:
    return [call for call in calls if call.job.at_seconds > CANCELLED]


@pytest.mark.parametrize(("kept_every", "seconds_later"), [(1, 20), (1, 600), (10, 60)], ids=str)
def test_cancelled_jobs_do_not_delay_later_ones(kept_every: int, seconds_later: float) -> None:
    calls = run(
        TIER_1, *cancelled(10_000, kept_every=kept_every), *burst("acme", 300, at_seconds=CANCELLED + seconds_later)
    )
    assert len(new(calls)) == 300
    # At 500 per minute, 300 calls take 36 seconds. The jobs arrive within ten.
    assert max(call.delay_seconds for call in new(calls)) <= 45
    assert sum(call.tries for call in new(calls)) / 300 <= 2.2
    check_limits(TIER_1, calls)


def test_cancelled_jobs_do_not_delay_beside_bulk() -> None:
    calls = run(TIER_1, *cancelled(10_000), *burst("globex", 5000), *burst("acme", 300, at_seconds=CANCELLED + 30))
    assert max(call.delay_seconds for call in new(calls)) <= 90
    check_limits(TIER_1, calls)


@pytest.mark.parametrize("requests", [1, 6, 20])
def test_cancelled_jobs_do_not_delay_at_low_limit(requests: int) -> None:
    limits = ProviderLimits(requests_per_minute=requests)
    later = burst("acme", 3 * requests, at_seconds=CANCELLED + 180)
    calls = run(limits, *cancelled(30 * requests), *later)
    # Three minutes of calls. The abandoned queue has thirty.
    assert max(call.delay_seconds for call in new(calls)) <= 200
    check_limits(limits, calls)


@pytest.mark.parametrize("tenants", [1, 2, pytest.param(5, marks=pytest.mark.slow_proof)])
@pytest.mark.parametrize(
    ("limits", "tokens"),
    [
        (TIER_1, 1000),
        (ProviderLimits(requests_per_minute=60), 1),
        (ProviderLimits(requests_per_minute=20), 1),
        (ProviderLimits(requests_per_minute=6), 1),
        (ProviderLimits(requests_per_minute=1), 1),
        (ProviderLimits(tokens_per_minute=30_000), 3000),
        (ProviderLimits(tokens_per_minute=30_000), 20_000),
    ],
    ids=str,
)
def test_live_queue_is_not_replaced(limits: ProviderLimits, tokens: int, tenants: int) -> None:
    """A live queue is refused often enough. After the first minute, hardly any queue is replaced while jobs wait."""
    recorder = CallRecorder(Clock())
    jobs = 10 * max(1, round(1 / part_of_limits(limits, Job(0, "", tokens))))
    calls = run(
        limits,
        *(job for number in range(tenants) for job in burst(f"bulk-{number}", jobs, tokens=tokens)),
        recorder=recorder,
    )
    names = [call.name for call in recorder.recorded]
    assert names.count("throttle.start_queue") <= 0.02 * sum(call.tries for call in calls) + 6 * tenants
