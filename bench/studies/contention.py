"""How many jobs a second one tenant's budget sustains: a seeded simulation in virtual time.

Each admission and each settlement is a transaction on the tenant's budget item and on a usage row (day, model, tags);
here always the same row. DynamoDB cancels a transaction that conflicts with another one on an item, and the adapter
retries it as domain/jobs/schedule.py defines. DynamoDB documents 1,000 write units a second for one partition key, and
two units for a transaction's write of up to 1 KB
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html). It does not document how long
a transaction locks its items, so that is a parameter. Everything else takes no time and has no limit.
"""

import heapq
import random
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, repeat
from statistics import fmean, quantiles

from afterthought.domain.jobs import schedule

_LOCK_MS = (5, 10, 20)
TYPICAL_LOCK_MS = 10
_RATES = (1, 2, 5, 10, 20, 50, 100, 200)
_BURSTS = (50, 100, 200, 400)
_WARM_UP_SECONDS = 10.0
_MEASURED_SECONDS = 20.0
_THINKING_SECONDS = (2.0, 8.0)
_TO_DYNAMODB_SECONDS = 0.002
# A transaction reaches its two items at slightly different times, so two transactions can cancel each other.
_SPREAD_SECONDS = 0.001
_UNITS_PER_SECOND = 1000.0
_UNITS_PER_WRITE = 2.0


@dataclass(frozen=True)
class RetryPolicy:
    """When a cancelled transaction is tried again."""

    tries: int = schedule.TRANSACTION_TRIES
    wait_seconds: Callable[[int, float], float] = schedule.conflict_seconds


@dataclass(frozen=True)
class Load:
    """The result of a constant rate of jobs.

    `refused` is the share of admissions answered with 503, `tries` their average number of tries. The times are
    those of admitted jobs, from the first try to the end. `postponed` is the share of settlements that failed until
    their message is delivered again.
    """

    offered_per_second: float
    admitted_per_second: float
    refused: float
    postponed: float
    median_ms: float
    p99_ms: float
    tries: float

    @property
    def sustained(self) -> bool:
        """Less than 1 % are refused, and 99 % take less than a second."""
        return self.refused < 0.01 and self.p99_ms < 1000


@dataclass(frozen=True)
class Burst:
    """The result of jobs that arrive at the same moment: the share refused, and the time of the slowest admission."""

    jobs: int
    refused: float
    slowest_ms: float


@dataclass(frozen=True)
class Contention:
    """`loads` and `bursts` are for `lock_ms`; `limits` has the highest sustained load by lock time."""

    lock_ms: int
    loads: Sequence[Load]
    bursts: Sequence[Burst]
    limits: Mapping[int, Load]


def study() -> Contention:
    return Contention(
        lock_ms=TYPICAL_LOCK_MS,
        loads=[offer(rate, TYPICAL_LOCK_MS) for rate in _RATES],
        bursts=[burst(jobs, TYPICAL_LOCK_MS) for jobs in _BURSTS],
        limits={lock_ms: highest_sustained(lock_ms) for lock_ms in _LOCK_MS},
    )


def report(measured: Contention) -> list[str]:
    limits = ", ".join(f"{load.offered_per_second:.0f} at {lock_ms} ms" for lock_ms, load in measured.limits.items())
    bursts = "; ".join(f"{b.jobs}: {b.refused:.0%}, {b.slowest_ms / 1000:.1f} s" for b in measured.bursts)
    return [
        "ONE TENANT'S BUDGET UNDER LOAD",
        "Simulated: the transactions of admissions and settlements, each of which locks the budget item and the usage",
        f"row for {measured.lock_ms} ms (assumed). Postponed: settlements that gave up until their next message.",
        "",
        f"{'jobs a second':<16}{'admitted':>10}{'refused':>10}{'postponed':>11}{'median':>11}{'p99':>11}{'tries':>8}",
        *(
            f"{load.offered_per_second:<16.0f}{load.admitted_per_second:>10.1f}{load.refused:>10.1%}"
            f"{load.postponed:>11.1%}{load.median_ms:>8.0f} ms{load.p99_ms:>8.0f} ms{load.tries:>8.1f}"
            for load in measured.loads
        ),
        "",
        f"Jobs at the same moment, with the share refused and the slowest admission: {bursts}.",
        f"Sustained (less than 1 % refused, 99 % within a second), by lock time: {limits}.",
    ]


def offer(
    jobs_per_second: float,
    lock_ms: float,
    *,
    policy: RetryPolicy | None = None,
    seed: int = 0,
    seconds: float = _MEASURED_SECONDS,
) -> Load:
    """Jobs that arrive at random, each settled some seconds after its admission. Measures `seconds` after a warm-up."""
    return _Run(lock_ms / 1000, policy or RetryPolicy(), seed).load(jobs_per_second, seconds)


def burst(jobs: int, lock_ms: float, *, policy: RetryPolicy | None = None, seed: int = 0) -> Burst:
    """Jobs that arrive at the same moment. None of them ends meanwhile."""
    return _Run(lock_ms / 1000, policy or RetryPolicy(), seed).burst(jobs)


def highest_sustained(lock_ms: float, *, policy: RetryPolicy | None = None, seed: int = 0) -> Load:
    """The highest rate that is sustained, to the nearest job a second, by bisection."""
    # The upper limit is two transactions a job, one after the other.
    low, high = offer(1, lock_ms, policy=policy, seed=seed), round(500 / lock_ms) + 1
    while high - low.offered_per_second > 1:
        middle = offer((low.offered_per_second + high) // 2, lock_ms, policy=policy, seed=seed)
        if middle.sustained:
            low = middle
        else:
            high = round(middle.offered_per_second)
    return low


class _Item:
    """An item on a partition key of its own, with the write units of one key."""

    def __init__(self) -> None:
        self._locked_until = 0.0
        self._units = _UNITS_PER_SECOND
        self._refilled_at = 0.0

    def lock(self, now: float, until: float) -> bool:
        """False if the item is locked or its partition has no units left."""
        self._units = min(_UNITS_PER_SECOND, self._units + (now - self._refilled_at) * _UNITS_PER_SECOND)
        self._refilled_at = now
        if now < self._locked_until or self._units < _UNITS_PER_WRITE:
            return False
        self._units -= _UNITS_PER_WRITE
        self._locked_until = until
        return True

    def release(self, at: float) -> None:
        self._locked_until = at


_Process = Generator[float, None, None]
"""Yields the virtual time at which it continues."""


@dataclass(frozen=True)
class _Transaction:
    """A finished transaction. Times are in seconds."""

    started_at: float
    ended_at: float
    tries: int
    written: bool

    @property
    def milliseconds(self) -> float:
        return 1000 * (self.ended_at - self.started_at)


class _Run:
    def __init__(self, lock_seconds: float, policy: RetryPolicy, seed: int) -> None:
        self._lock_seconds = lock_seconds
        self._policy = policy
        self._random = random.Random(seed)  # noqa: S311 - not a secret: each run is the same
        self._items = (_Item(), _Item())
        self._admissions: list[_Transaction] = []
        self._settlements: list[_Transaction] = []

    def load(self, jobs_per_second: float, seconds: float) -> Load:
        self._play(self._arrivals(jobs_per_second, _WARM_UP_SECONDS + seconds), self._job)
        admissions = [each for each in self._admissions if each.started_at >= _WARM_UP_SECONDS]
        settlements = [each for each in self._settlements if each.started_at >= _WARM_UP_SECONDS]
        admitted = [each for each in admissions if each.written]
        percentiles = quantiles((each.milliseconds for each in admitted), n=100, method="inclusive")
        return Load(
            offered_per_second=jobs_per_second,
            admitted_per_second=len(admitted) / seconds,
            refused=1 - len(admitted) / len(admissions),
            postponed=1 - fmean(each.written for each in settlements),
            median_ms=percentiles[49],
            p99_ms=percentiles[98],
            tries=fmean(each.tries for each in admissions),
        )

    def burst(self, jobs: int) -> Burst:
        self._play(repeat(0.0, jobs), self._admission)
        admitted = [each for each in self._admissions if each.written]
        return Burst(jobs, 1 - len(admitted) / jobs, max((each.milliseconds for each in admitted), default=0.0))

    def _arrivals(self, jobs_per_second: float, until: float) -> Iterator[float]:
        at = 0.0
        while (at := at + self._random.expovariate(jobs_per_second)) < until:
            yield at

    def _play(self, arrivals: Iterable[float], start: Callable[[float], _Process]) -> None:
        numbers = count()
        agenda = [(at, next(numbers), start(at)) for at in arrivals]
        heapq.heapify(agenda)
        while agenda:
            _, _, process = heapq.heappop(agenda)
            if (continues_at := next(process, None)) is not None:
                heapq.heappush(agenda, (continues_at, next(numbers), process))

    def _admission(self, at: float) -> _Process:
        self._admissions.append((yield from self._transaction(at)))

    def _job(self, at: float) -> _Process:
        admission = yield from self._transaction(at)
        self._admissions.append(admission)
        if admission.written:
            settled_at = admission.ended_at + self._random.uniform(*_THINKING_SECONDS)
            yield settled_at
            self._settlements.append((yield from self._transaction(settled_at)))

    def _transaction(self, started_at: float) -> Generator[float, None, _Transaction]:
        at = started_at
        for tries in range(self._policy.tries):
            if tries:
                at += self._policy.wait_seconds(tries, self._random.random())
            written, at = yield from self._try(at + _TO_DYNAMODB_SECONDS)
            at += _TO_DYNAMODB_SECONDS
            if written:
                return _Transaction(started_at, at, tries + 1, written=True)
        return _Transaction(started_at, at, self._policy.tries, written=False)

    def _try(self, at: float) -> Generator[float, None, tuple[bool, float]]:
        """Returns whether it wrote, and when it ended. It locks both items; if one is not available it releases the
        other after half of the lock time."""
        end = at + self._lock_seconds
        locked = []
        for item in self._random.sample(self._items, 2):
            yield at
            if item.lock(at, end):
                locked.append(item)
            at += self._random.uniform(0, _SPREAD_SECONDS)
        if len(locked) == len(self._items):
            return True, end
        release_at = max(at, end - self._lock_seconds / 2)
        for item in locked:
            item.release(release_at)
        return False, release_at
