"""How many jobs a second one tenant's budget bears: a simulation, seeded and in virtual time.

An admission and a settlement are each a transaction on the tenant's budget item and on the usage row of the day, the
model and the tags: here always the same two. DynamoDB cancels a transaction that meets another on an item, and the
adapter tries it again, by the rules of domain/schedule.py. Of DynamoDB these limits are documented: 1,000 write units a
second on one partition key, and two of them for a transaction's write of up to a kilobyte
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html). For how long a transaction
keeps others off its items is not, so it is a parameter. All else in the service is taken to be instant and without
limits, such as the number of workers.
"""

import heapq
import random
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, repeat
from statistics import fmean, quantiles

from afterthought.domain import schedule

_LOCKED_MS = (5, 10, 20)
_USUAL_LOCKED_MS = 10
_RATES = (1, 2, 5, 10, 20, 50, 100, 200)
_BURSTS = (50, 100, 200, 400)
_WARMING_SECONDS = 10.0
_MEASURED_SECONDS = 20.0
_THINKING_SECONDS = (2.0, 8.0)
_TO_DYNAMODB_SECONDS = 0.002
# The two items hear of a transaction at nearly the same moment: two transactions can thus cancel each other.
_SPREAD_SECONDS = 0.001
_UNITS_A_SECOND = 1000.0
_UNITS_A_WRITE = 2.0


@dataclass(frozen=True)
class Policy:
    """When a cancelled transaction is tried again."""

    tries: int = schedule.TRANSACTION_TRIES
    wait_seconds: Callable[[int, float], float] = schedule.conflict_seconds


@dataclass(frozen=True)
class Load:
    """What came of the admissions that began while it was measured: `refused` is the share answered 503, `tries` their
    mean, and the times are of those admitted, from the transaction's first try to its end. `put_off` is the share of
    the settlements that gave up, until their message comes again."""

    offered_per_second: float
    admitted_per_second: float
    refused: float
    put_off: float
    median_ms: float
    p99_ms: float
    tries: float

    @property
    def borne(self) -> bool:
        """Fewer than one in a hundred refused, and fewer than one in a hundred that take a second."""
        return self.refused < 0.01 and self.p99_ms < 1000


@dataclass(frozen=True)
class Burst:
    """Jobs that come all at once: the share refused, and how long the slowest of the others took."""

    jobs: int
    refused: float
    slowest_ms: float


@dataclass(frozen=True)
class Survey:
    """`loads` at rising rates, and `bursts`, where a transaction locks its items for `locked_ms`; `most` is the most
    that is borne, by how long they are locked."""

    locked_ms: int
    loads: Sequence[Load]
    bursts: Sequence[Burst]
    most: Mapping[int, Load]


def survey() -> Survey:
    """Takes a few seconds."""
    return Survey(
        locked_ms=_USUAL_LOCKED_MS,
        loads=[offer(rate, _USUAL_LOCKED_MS) for rate in _RATES],
        bursts=[burst(jobs, _USUAL_LOCKED_MS) for jobs in _BURSTS],
        most={locked_ms: most_borne(locked_ms) for locked_ms in _LOCKED_MS},
    )


def offer(jobs_per_second: float, locked_ms: float, *, policy: Policy | None = None, seed: int = 0) -> Load:
    """Jobs that come at random, each settled some seconds after its admission."""
    return _Run(locked_ms / 1000, policy or Policy(), seed).load(jobs_per_second)


def burst(jobs: int, locked_ms: float, *, policy: Policy | None = None, seed: int = 0) -> Burst:
    """So many jobs at the same moment, none of which ends meanwhile."""
    return _Run(locked_ms / 1000, policy or Policy(), seed).burst(jobs)


def most_borne(locked_ms: float, *, policy: Policy | None = None, seed: int = 0) -> Load:
    """The most that one budget bears, to a whole job a second, found by halving."""
    # Two transactions a job, one at a time: more there cannot be.
    fewest, most = offer(1, locked_ms, policy=policy, seed=seed), round(500 / locked_ms) + 1
    while most - fewest.offered_per_second > 1:
        middle = offer((fewest.offered_per_second + most) // 2, locked_ms, policy=policy, seed=seed)
        if middle.borne:
            fewest = middle
        else:
            most = round(middle.offered_per_second)
    return fewest


class _Item:
    """On a partition key of its own, with the write units of one."""

    def __init__(self) -> None:
        self._locked_until = 0.0
        self._units = _UNITS_A_SECOND
        self._filled_at = 0.0

    def take(self, now: float, until: float) -> bool:
        """Whether the item was free and its partition had units left."""
        self._units = min(_UNITS_A_SECOND, self._units + (now - self._filled_at) * _UNITS_A_SECOND)
        self._filled_at = now
        if now < self._locked_until or self._units < _UNITS_A_WRITE:
            return False
        self._units -= _UNITS_A_WRITE
        self._locked_until = until
        return True

    def give_back(self, at: float) -> None:
        self._locked_until = at


_Moments = Generator[float, None, None]
"""What goes on in virtual time gives the moment at which it wants to go on."""


@dataclass(frozen=True)
class _Ended:
    """A transaction's end, in seconds."""

    began: float
    at: float
    tries: int
    written: bool

    @property
    def milliseconds(self) -> float:
        return 1000 * (self.at - self.began)


class _Run:
    def __init__(self, locked_seconds: float, policy: Policy, seed: int) -> None:
        self._locked_seconds = locked_seconds
        self._policy = policy
        self._random = random.Random(seed)  # noqa: S311 - nothing secret: the same run each time
        self._items = (_Item(), _Item())
        self._admissions: list[_Ended] = []
        self._settlements: list[_Ended] = []

    def load(self, jobs_per_second: float) -> Load:
        self._play(self._arrivals(jobs_per_second), self._job)
        admissions = [each for each in self._admissions if each.began >= _WARMING_SECONDS]
        settlements = [each for each in self._settlements if each.began >= _WARMING_SECONDS]
        admitted = [each for each in admissions if each.written]
        hundredths = quantiles((each.milliseconds for each in admitted), n=100, method="inclusive")
        return Load(
            offered_per_second=jobs_per_second,
            admitted_per_second=len(admitted) / _MEASURED_SECONDS,
            refused=1 - len(admitted) / len(admissions),
            put_off=1 - fmean(each.written for each in settlements),
            median_ms=hundredths[49],
            p99_ms=hundredths[98],
            tries=fmean(each.tries for each in admissions),
        )

    def burst(self, jobs: int) -> Burst:
        self._play(repeat(0.0, jobs), self._admission)
        admitted = [each for each in self._admissions if each.written]
        return Burst(jobs, 1 - len(admitted) / jobs, max((each.milliseconds for each in admitted), default=0.0))

    def _arrivals(self, jobs_per_second: float) -> Iterator[float]:
        at = 0.0
        while (at := at + self._random.expovariate(jobs_per_second)) < _WARMING_SECONDS + _MEASURED_SECONDS:
            yield at

    def _play(self, arrivals: Iterable[float], what: Callable[[float], _Moments]) -> None:
        numbers = count()
        line = [(at, next(numbers), what(at)) for at in arrivals]
        heapq.heapify(line)
        while line:
            _, _, going = heapq.heappop(line)
            if (wanted := next(going, None)) is not None:
                heapq.heappush(line, (wanted, next(numbers), going))

    def _admission(self, at: float) -> _Moments:
        self._admissions.append((yield from self._transaction(at)))

    def _job(self, at: float) -> _Moments:
        admission = yield from self._transaction(at)
        self._admissions.append(admission)
        if admission.written:
            settled_at = admission.at + self._random.uniform(*_THINKING_SECONDS)
            yield settled_at
            self._settlements.append((yield from self._transaction(settled_at)))

    def _transaction(self, began: float) -> Generator[float, None, _Ended]:
        at = began
        for tries in range(self._policy.tries):
            if tries:
                at += self._policy.wait_seconds(tries, self._random.random())
            written, at = yield from self._try(at + _TO_DYNAMODB_SECONDS)
            at += _TO_DYNAMODB_SECONDS
            if written:
                return _Ended(began, at, tries + 1, written=True)
        return _Ended(began, at, self._policy.tries, written=False)

    def _try(self, at: float) -> Generator[float, None, tuple[bool, float]]:
        """Whether it wrote, and until when that took. It prepares both items, and when one of them is not to be had it
        gives the other back, after half of the time that the whole takes."""
        done = at + self._locked_seconds
        taken = []
        for item in self._random.sample(self._items, 2):
            yield at
            if item.take(at, done):
                taken.append(item)
            at += self._random.uniform(0, _SPREAD_SECONDS)
        if len(taken) == len(self._items):
            return True, done
        half = max(at, done - self._locked_seconds / 2)
        for item in taken:
            item.give_back(half)
        return False, half
