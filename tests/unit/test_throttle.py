"""The throttle: its windows, what a call costs, and the queues of jobs that find no capacity."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from afterthought.domain.limits.throttle import (
    Capacity,
    Cost,
    Refusal,
    TenantQueue,
    Window,
    WindowUsage,
)
from afterthought.domain.models.provider import Provider, ProviderLimits
from afterthought.services.limits.throttle import Throttle
from tests.simulator.calls import CallRecorder, Fault, TransportFailed
from tests.simulator.clock import START, Clock
from tests.simulator.throttle import SimulatedThrottle

LIMITS = ProviderLimits(requests_per_minute=60, tokens_per_minute=6000)
SECOND = timedelta(seconds=1)
WINDOW_START = datetime(2026, 11, 2, 12, 0, 10, tzinfo=UTC)
WINDOW = Window.at(LIMITS, WINDOW_START)


def limited(requests: int | None = None, tokens: int | None = None) -> ProviderLimits:
    return ProviderLimits(requests_per_minute=requests, tokens_per_minute=tokens)


# ---- windows


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        (limited(500), 10),
        (limited(7), 10),
        (limited(6), 10),
        (limited(5), 12),
        (limited(3), 20),
        (limited(1), 60),
        (limited(None, 30_000), 10),
        (limited(None, 4), 15),
        (limited(500, 2), 30),
        (limited(3, 30_000), 20),
    ],
)
def test_window_has_capacity_for_one_call(limits: ProviderLimits, seconds: int) -> None:
    """It lasts ten seconds, or longer where a sixth of the limit is less than one."""
    window = Window.at(limits, START)
    assert window.start <= START < window.next().start
    assert window.next().start - window.start == timedelta(seconds=seconds)


@given(st.integers(1, 100_000), st.integers(0, 10**9))
def test_windows_of_a_minute_add_up_to_limit(limit: int, first: int) -> None:
    windows = [Window(limited(limit, limit), number) for number in range(first, first + min(6, limit))]
    capacities = [window.capacity for window in windows]
    assert sum(capacity.requests or 0 for capacity in capacities) == limit
    assert sum(capacity.tokens or 0 for capacity in capacities) == limit
    assert all(capacity.requests and capacity.tokens for capacity in capacities)


def test_window_expires_after_five_minutes() -> None:
    assert WINDOW.expires_at == WINDOW_START + timedelta(minutes=5, seconds=10)


@pytest.mark.parametrize(
    ("seconds", "requests", "tokens"), [(0, 5, 500), (2, 6, 600), (6, 8, 800), (9, 10, 950), (9.99, 10, 1000)]
)
def test_open_capacity_grows_from_half_to_all(seconds: float, requests: int, tokens: int) -> None:
    assert WINDOW.open_capacity(WINDOW_START + SECOND * seconds) == Capacity(requests, tokens)
    assert WINDOW.capacity == Capacity(10, 1000)


def test_window_of_one_request_has_no_reserve() -> None:
    assert Window.at(limited(3), WINDOW_START).open_capacity(START).requests == 1


@pytest.mark.parametrize(
    ("usage", "seconds"),
    [
        (WindowUsage(0, 0), 0),
        (WindowUsage(5, 500), 0),
        (WindowUsage(7, 0), 4),
        (WindowUsage(0, 850), 7),
        (WindowUsage(7, 850), 7),
        (WindowUsage(10, 0), 10),
        (WindowUsage(0, 1000), 10),
        (WindowUsage(1, 1999), 10),
        (WindowUsage(1, 2000), 20),
        (WindowUsage(1, 5999), 50),
    ],
    ids=[
        "unused",
        "half",
        "requests",
        "tokens",
        "both",
        "all requests",
        "all tokens",
        "part of the next",
        "all of the next",
        "five windows",
    ],
)
def test_window_opens_when_capacity_exceeds_usage(usage: WindowUsage, seconds: float) -> None:
    """Tokens that were carried over fill later windows."""
    assert WINDOW.opens_at(usage) == WINDOW_START + SECOND * seconds


@pytest.mark.parametrize(
    ("limits", "tokens", "cost"),
    [
        (limited(60), 10**9, Cost(10**9, SECOND)),
        (limited(None, 6000), 100, Cost(100, SECOND)),
        (limited(600, 6000), 100, Cost(100, SECOND)),
        (limited(60, 6000), 1, Cost(1, SECOND)),
        (limited(7), 0, Cost(0, timedelta(microseconds=8_571_429))),
        (limited(None, 6000), 0, Cost(0, timedelta(microseconds=1))),
        (limited(None, 6000), 6001, Cost(6000, SECOND * 60)),
    ],
)
def test_cost_follows_scarcer_limit(limits: ProviderLimits, tokens: int, cost: Cost) -> None:
    assert Cost.of(limits, tokens) == cost


def test_limits_without_a_limit_are_refused() -> None:
    with pytest.raises(ValidationError, match="needs requests_per_minute"):
        ProviderLimits()


# ---- refusals and queues


def refusal(usage: WindowUsage = WindowUsage(10, 0), *, cost_seconds: float = 1, at: float = 3) -> Refusal:  # noqa: B008 immutable
    return Refusal.of(WINDOW, usage, Cost(1, SECOND * cost_seconds), WINDOW_START + SECOND * at)


@pytest.mark.parametrize(
    ("usage", "at", "earliest"),
    [
        (WindowUsage(10, 0), 3, 10),
        (WindowUsage(8, 0), 3, 6),
        (WindowUsage(7, 0), 3, 4),
        (WindowUsage(10, 0), 9.5, 10.5),
        (WindowUsage(), 3, 4),
    ],
)
def test_refused_job_waits_at_least_a_second(usage: WindowUsage, at: float, earliest: float) -> None:
    assert refusal(usage, at=at).earliest == WINDOW_START + SECOND * earliest


@pytest.mark.parametrize(
    ("cost_seconds", "interval_seconds"),
    [(0.12, 0.112150), (0.5, 0.454545), (1, 0.833333), (10, 3.333333), (15, 3.75), (60, 15), (1e-6, 1e-6)],
)
def test_places_are_closer_than_calls(cost_seconds: float, interval_seconds: float) -> None:
    """By 7 %, or two places per window, but by no more than four times."""
    assert refusal(cost_seconds=cost_seconds).interval == SECOND * interval_seconds


@pytest.mark.parametrize(("cost_seconds", "patience_seconds"), [(0.12, 20), (10, 20), (40, 80)])
def test_patience_is_two_windows_or_two_calls(cost_seconds: float, patience_seconds: float) -> None:
    assert refusal(cost_seconds=cost_seconds).patience == SECOND * patience_seconds


@pytest.mark.parametrize(
    ("end", "refused_at", "accepts", "has_waiting_jobs"),
    [
        (3600, 2, True, True),
        (10.001, -16.999, True, True),
        (10, 2, False, True),
        (3.001, 2, False, True),
        (3, 2, False, False),
        (3600, -17, False, False),
    ],
    ids=["long", "just live", "ends at earliest", "ends soon", "has ended", "abandoned"],
)
def test_queue_takes_job_while_live(end: float, refused_at: float, accepts: bool, has_waiting_jobs: bool) -> None:
    queue = TenantQueue(WINDOW_START + SECOND * end, WINDOW_START + SECOND * refused_at)
    assert queue.takes(refusal()) == accepts
    assert queue.has_waiting_jobs(refusal()) == has_waiting_jobs


# ---- the service


class Processes:
    """Several processes share one table. The recorder has its own clock, so calls take no time."""

    def __init__(
        self, limits: ProviderLimits | None = LIMITS, *, processes: int = 1, random: float | None = 0.5
    ) -> None:
        self.clock = Clock(WINDOW_START)
        self.recorder = CallRecorder(Clock())
        self.store = SimulatedThrottle(self.recorder)
        seeded = Random(0)
        self.provider = Provider(
            name="openai",
            base_url="https://llm.example.com/v1",
            mode="background",
            models="*",
            limits={} if limits is None else {"o3": limits},
        )
        draw = seeded.random if random is None else lambda: random
        self.throttles = [Throttle(self.store, self.clock, draw) for _ in range(processes)]

    def take(self, tokens: int = 1, tenant: str = "acme", *, process: int = 0, model: str = "o3") -> datetime | None:
        return self.throttles[process].take(self.provider, model, tenant, tokens)

    def calls(self) -> list[str]:
        return [call.name.removeprefix("throttle.") for call in self.recorder.recorded]

    def usage(self, window: int = 0) -> WindowUsage:
        return self.store.windows.get(("openai", "o3", WINDOW.number + window), WindowUsage())

    def queue(self, tenant: str = "acme") -> TenantQueue:
        return self.store.queues["openai", "o3", tenant]


def test_call_without_contention_costs_one_write() -> None:
    processes = Processes()
    assert processes.take(50) is None
    assert processes.calls() == ["take"]
    assert processes.usage() == WindowUsage(1, 50)


def test_model_without_limits_is_not_throttled() -> None:
    processes = Processes()
    assert [processes.take(10**9, model="o4-mini") for _ in range(100)] == [None] * 100
    assert Processes(None).take() is None
    assert processes.calls() == []


def test_tenant_gets_half_a_window_at_once() -> None:
    """The sixth job starts the tenant's queue, and may use the reserve. The seventh waits."""
    processes = Processes(random=0)
    assert [processes.take() for _ in range(6)] == [None] * 6
    assert processes.take() == WINDOW_START + SECOND * 2
    assert processes.usage() == WindowUsage(6, 6)


def test_first_job_of_each_tenant_uses_reserve() -> None:
    processes = Processes()
    while processes.take() is None:
        pass
    tenants = [f"tenant-{number}" for number in range(5)]
    assert [processes.take(tenant=tenant) for tenant in tenants] == [None] * 4 + [WINDOW_START + SECOND * 10.5]
    assert processes.usage().requests == 10


def test_queue_with_waiting_jobs_does_not_use_reserve() -> None:
    """Not even when its end is before the earliest place."""
    processes = Processes(random=0)
    for _ in range(5):
        processes.take()
    for tenant in ("acme", "globex", "initech"):
        assert processes.take(tenant=tenant) is None
    assert processes.queue().end < WINDOW_START + SECOND * 6
    assert processes.take() == WINDOW_START + SECOND * 6
    assert processes.usage().requests == 8


def test_evenly_spaced_jobs_get_the_whole_window() -> None:
    processes = Processes()
    for _ in range(10):
        assert processes.take() is None
        processes.clock.pass_by(1)


def test_jobs_wait_in_their_tenants_queue() -> None:
    processes = Processes(limited(6), random=0)
    assert processes.take() is None
    interval = timedelta(microseconds=3_333_333)
    first = WINDOW_START + SECOND * 10
    assert [processes.take() for _ in range(3)] == [first, first + interval, first + 2 * interval]
    assert processes.take(tenant="globex") == first, "a tenant does not wait for another"
    assert processes.take() == first + 3 * interval


def test_places_are_spread_over_their_interval() -> None:
    """Otherwise two queues could keep step, and one tenant would always be first."""
    processes = Processes(limited(6), random=0.75)
    processes.take()
    interval = timedelta(microseconds=3_333_333)
    assert processes.take() == WINDOW_START + SECOND * 10.75
    assert processes.take() == WINDOW_START + SECOND * 10 + interval + interval * 0.75


def test_full_window_is_not_tried_again() -> None:
    processes = Processes(limited(6))
    for _ in range(3):
        processes.take()
    assert processes.calls() == ["take", "join_queue", "start_queue", "join_queue"]
    processes.clock.pass_by(10)
    assert processes.take() is None


def test_other_process_tries_a_full_window_once() -> None:
    processes = Processes(limited(6), processes=2)
    processes.take()
    processes.take(process=1)
    processes.take(process=1)
    assert processes.calls().count("take") == 2


def test_writes_per_take_are_bounded() -> None:
    """One if there is capacity. A refused job needs up to three, and one less in a process that knows the window. The
    first job of a queue needs a fourth for the reserve."""
    processes = Processes(processes=4)
    for _ in range(5):
        processes.take()
    counts = []
    for process, tenant in ((1, "acme"), (2, "acme"), (3, "acme"), (3, "acme")):
        before = len(processes.calls())
        processes.take(tenant=tenant, process=process)
        counts.append(len(processes.calls()) - before)
    assert counts == [4, 3, 2, 1]


def test_concurrent_starts_get_different_places() -> None:
    processes = Processes(limited(6), processes=2, random=0)
    processes.take()
    other: list[datetime | None] = []
    # Between the first process's join and its start.
    processes.recorder.before_call[2] = lambda: other.append(processes.take(process=1))
    place = processes.take(process=0)
    assert processes.calls()[1:] == ["join_queue", "start_queue", "take", "join_queue", "start_queue", "join_queue"]
    first = WINDOW_START + SECOND * 10
    assert {place, *other} == {first, first + timedelta(microseconds=3_333_333)}


def test_ended_queue_is_replaced() -> None:
    processes = Processes(limited(6), random=0)
    processes.take()
    processes.take()
    processes.clock.pass_by(3600)
    processes.take()
    assert processes.take() == processes.clock() + SECOND * 10


def test_abandoned_queue_is_replaced() -> None:
    """Its jobs were cancelled: no job of the tenant was refused for two windows."""
    processes = Processes(limited(60), random=0)
    for _ in range(200):
        processes.take()
    assert processes.queue().end > WINDOW_START + SECOND * 120
    processes.clock.pass_by(30)
    assert [processes.take() for _ in range(6)] == [None] * 6
    assert processes.take() == processes.clock() + SECOND * 2


def test_concurrent_replacements_get_different_places() -> None:
    processes = Processes(limited(60), processes=2, random=0)
    for _ in range(200):
        processes.take()
    processes.clock.pass_by(30)
    for _ in range(5):
        processes.take()
    other: list[datetime | None] = []
    number = len(processes.calls())
    # Between the first process's join and its start.
    processes.recorder.before_call[number + 1] = lambda: other.append(processes.take(process=1))
    place = processes.take()
    assert processes.calls()[number:] == [
        "join_queue",
        "start_queue",
        "take",
        "join_queue",
        "start_queue",
        "take",
        "join_queue",
    ]
    assert other == [None], "one of them used the reserve"
    assert place == processes.clock() + SECOND + timedelta(microseconds=833_333)


def test_queue_belongs_to_one_model() -> None:
    processes = Processes(limited(6))
    processes.provider = processes.provider.model_copy(update={"limits": {"*": limited(6)}})
    for _ in range(3):
        processes.take()
    assert processes.take(model="o4-mini") is None
    assert set(processes.store.queues) == {("openai", "o3", "acme")}


def test_large_request_fills_following_windows() -> None:
    processes = Processes()
    assert processes.take(2500) is None
    assert processes.calls() == ["take", "add_tokens", "add_tokens"]
    assert [processes.usage(window).tokens for window in (0, 1, 2, 3)] == [2500, 1500, 500, 0]
    assert processes.take(1, "globex") is not None
    processes.clock.pass_by(10)
    assert processes.take(1, "globex") is not None
    processes.clock.pass_by(10)
    assert processes.take(1, "initech") is None


def test_only_excess_tokens_are_carried_over() -> None:
    processes = Processes()
    assert processes.take(490) is None
    assert processes.take(300) is None
    assert processes.take(410, "globex") is None
    assert (processes.usage().tokens, processes.usage(1).tokens) == (1200, 200)
    assert processes.calls() == ["take"] * 2 + ["join_queue", "start_queue", "take", "add_tokens"]


def test_excess_meets_usage_of_next_window() -> None:
    """The clock of another process is ahead: it uses a window before this process carries tokens into it."""
    processes = Processes(processes=2)
    processes.clock.pass_by(10)
    assert processes.take(900, "globex", process=1) is None
    processes.clock.pass_by(-10)
    assert processes.take(1500) is None
    assert [processes.usage(window).tokens for window in (1, 2)] == [1400, 400]


def test_request_larger_than_a_minute_costs_a_minute() -> None:
    processes = Processes()
    assert processes.take(10**9) is None
    assert [processes.usage(window).tokens for window in range(7)] == [6000, 5000, 4000, 3000, 2000, 1000, 0]


@pytest.mark.parametrize("call", range(3))
@pytest.mark.parametrize("fault", [Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER])
def test_store_error_while_taking_is_raised(call: int, fault: Fault) -> None:
    """The model must then not be called."""
    processes = Processes()
    processes.recorder.faults = {call: fault}
    with pytest.raises(TransportFailed):
        processes.take(2500)


@pytest.mark.parametrize("call", [1, 2])
def test_store_error_while_queueing_is_raised(call: int) -> None:
    processes = Processes(limited(6))
    processes.take()
    processes.recorder.faults = {call: Fault.TIMEOUT_AFTER}
    with pytest.raises(TransportFailed):
        processes.take()
    assert processes.take() is not None


def test_memory_does_not_grow_with_tenants() -> None:
    processes = Processes(limited(6))
    for number in range(200):
        processes.take(tenant=f"tenant-{number}")
        processes.clock.pass_by(1)
    assert len(processes.throttles[0]._usage) == 1


class FullStore:
    """Has no capacity, and answers at once."""

    def take(self, *_: object) -> tuple[bool, WindowUsage]:
        return False, WindowUsage(10**9)

    def add_tokens(self, *_: object) -> WindowUsage:
        return WindowUsage(10**9)

    def join_queue(self, *_: object) -> datetime | None:
        return WINDOW_START + SECOND * 60

    def start_queue(self, *_: object) -> TenantQueue | None:
        return None


def test_threads_may_share_a_throttle() -> None:
    throttle, provider = Throttle(FullStore(), Clock(WINDOW_START), lambda: 0.5), Processes().provider
    failures: list[BaseException] = []

    def queue_up(thread: int) -> None:
        try:
            for number in range(600):
                throttle.take(provider, "o3", f"tenant-{thread}-{number}", 1)
        except RuntimeError as failure:
            failures.append(failure)

    threads = [Thread(target=queue_up, args=(thread,)) for thread in range(10)]
    switch_interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch_interval)
    assert failures == []


# ---- laws


def allowed_calls(takes: Iterable[tuple[float, int, int, int]]) -> list[tuple[datetime, int]]:
    """When calls were allowed, and the tokens of each."""
    processes = Processes(limited(12, 1200), processes=3, random=None)
    allowed: list[tuple[datetime, int]] = []
    for seconds, tenant, process, tokens in takes:
        processes.clock.pass_by(seconds)
        retry_at = processes.take(tokens, f"tenant-{tenant}", process=process)
        if retry_at is None:
            allowed.append((processes.clock(), min(tokens, 1200)))
        else:
            assert retry_at >= processes.clock() + SECOND
    return allowed


TAKES = st.lists(
    st.tuples(st.floats(0, 12) | st.just(0.0), st.integers(0, 3), st.integers(0, 2), st.integers(0, 1500)), max_size=80
)


@given(TAKES)
def test_no_minute_exceeds_the_limit(takes: list[tuple[float, int, int, int]]) -> None:
    """By more than docs/throttle.md states."""
    allowed = allowed_calls(takes)
    largest = max((tokens for _, tokens in allowed), default=0)
    for at, _ in allowed:
        aligned = at - timedelta(seconds=at.second % 10, microseconds=at.microsecond)
        for begin, requests, tokens in ((aligned, 12, 1200), (at, 12 + 2, 1200 + 200)):
            minute = [used for call_at, used in allowed if begin <= call_at < begin + SECOND * 60]
            assert len(minute) <= requests
            assert sum(minute) <= tokens + max(0, largest - 1)


@given(TAKES)
def test_evenly_refilled_bucket_is_never_empty(takes: list[tuple[float, int, int, int]]) -> None:
    """OpenAI's limit is such a bucket. It holds for requests of at most two thirds of a minute's tokens."""
    allowed = allowed_calls((seconds, tenant, process, tokens % 800) for seconds, tenant, process, tokens in takes)
    for full, costs in ((12, [1] * len(allowed)), (1200, [tokens for _, tokens in allowed])):
        level, last = Fraction(full), WINDOW_START
        for (at, _), cost in zip(allowed, costs, strict=True):
            refilled = Fraction((at - last) // timedelta(microseconds=1) * full, 60_000_000)
            level, last = min(Fraction(full), level + refilled) - cost, at
            assert level >= 0
