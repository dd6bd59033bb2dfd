"""An hour of rising load, second by second: which limit is met first, at how many jobs a second, and which next.

What a job asks for is what the bench has counted of it; what there is of each part are the template's own numbers and
what AWS documents:
- SQS: Lambda begins with 5 batches at a time and takes up to 300 a minute more, to the mapping's MaximumConcurrency.
  https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
- Lambda: 1,000 at a time in an account, and 1,000 more in ten seconds for a function.
  https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html
- DynamoDB on demand: 4,000 write units a second for a new table, and double the peak of half an hour ago; 1,000 for one
  partition key, and a stream's shard for each partition.
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
- The HTTP API's throttle counts for each of its routes.
  https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
How many jobs a second one budget bears is simulated apart (contention.py). All jobs are of one model, think for a
minute and are woken. What is tried again for want of capacity adds no load here.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from afterthought.catalogue import default_catalogue
from bench.driver import MODELS
from bench.fixture import BACKGROUND
from bench.studies.capacity import STEPS, Demand
from bench.texts import QUESTION_BYTES

HOUR_SECONDS = 3600
MANY_TENANTS = 1000
MOST_PER_SECOND = 500.0
SWEEPING_SECONDS = 50
"""Of each minute: the sweeper's time limit less what it keeps in hand."""
_THINKING_SECONDS = 60
_LATE_SECONDS = 60
_REFUSED_SHARE = 0.01
_FIRST_BATCHES, _MORE_BATCHES_PER_SECOND = 5, 300 / 60
_ACCOUNT_CONCURRENCY = 1000
_NEW_TABLE_UNITS, _PARTITION_UNITS = 4000.0, 1000.0
_TABLE_MEMORY_SECONDS = 1800


@dataclass(frozen=True)
class Met:
    """A limit that was met: from `full` jobs a second on there was more than it bears; at `felt`, `minute` minutes into
    the hour, a minute's wait or one in a hundred refused."""

    limit: str
    full: float
    felt: float
    minute: float
    waits: bool


@dataclass(frozen=True)
class Stack:
    """The template's numbers, those of the highest tier, and the provider's for one model."""

    demand: Demand
    tenants: int
    gateway_per_second: float
    gateway_burst: float
    worker_concurrency: int
    webhooks_concurrency: int
    notifier_parallel: int
    budget_per_second: float
    tier_per_second: float
    provider_per_second: float


def stack(demand: Demand, template: Mapping[str, Any], *, tenants: int, budget_per_second: float) -> Stack:
    """`budget_per_second` is how many jobs one budget bears."""

    def mapping(function: str, event: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = template["Resources"][function]["Properties"]["Events"][event]["Properties"]
        return found

    parameters, catalogue = template["Parameters"], default_catalogue()
    tokens = catalogue.models[MODELS["woken"]].typical_output_tokens + QUESTION_BYTES // 4
    limits, tier = catalogue.providers[BACKGROUND].limits_for(MODELS["woken"]), catalogue.tiers["tier5"]
    if limits is None:
        raise ValueError("the provider has limits")
    return Stack(
        demand,
        tenants,
        gateway_per_second=float(parameters["ApiRequestsPerSecond"]["Default"]),
        gateway_burst=float(parameters["ApiBurst"]["Default"]),
        worker_concurrency=mapping("WorkerFunction", "Jobs")["ScalingConfig"]["MaximumConcurrency"],
        webhooks_concurrency=mapping("WebhooksFunction", "Webhooks")["ScalingConfig"]["MaximumConcurrency"],
        notifier_parallel=mapping("NotifierFunction", "Outcomes")["ParallelizationFactor"],
        budget_per_second=budget_per_second,
        tier_per_second=_per_second(tier.requests_per_minute, tier.tokens_per_minute, tokens),
        provider_per_second=_per_second(limits.requests_per_minute, limits.tokens_per_minute, tokens),
    )


def rate(second: float) -> float:
    """Jobs offered in that second."""
    return 1 + (MOST_PER_SECOND - 1) * second / HOUR_SECONDS


def hour(of: Stack, lifted: frozenset[str] = frozenset()) -> Met | None:
    """The first limit that is met in an hour in which those `lifted` do not count."""
    return _Hour(of, lifted).play()


def limits_met(of: Stack) -> list[Met]:
    """One after the other: each is met when those before it have been lifted."""
    found: list[Met] = []
    while (met := hour(of, frozenset(each.limit for each in found))) is not None:
        found.append(met)
    return found


@dataclass
class _Gate:
    """Lets through what it can in a second, with a burst; the rest is refused."""

    name: str
    per_second: Callable[[], float]
    burst: float = 0.0
    saved: float = 0.0
    asked: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=60))
    since: int | None = None

    def take(self, number: float, second: int) -> float:
        room = self.per_second() + self.saved
        passed = min(number, room)
        self.saved = min(self.burst, room - passed)
        self.asked.append((number, number - passed))
        if number <= passed:
            self.since = None
        elif self.since is None:
            self.since = second
        return passed

    def felt(self, _: int) -> bool:
        return sum(refused for _, refused in self.asked) > _REFUSED_SHARE * sum(number for number, _ in self.asked) > 0


@dataclass
class _Line:
    """Serves what it can in a second, the oldest first; the rest waits."""

    name: str
    per_second: Callable[[], float]
    waiting: deque[tuple[int, str, float]] = field(default_factory=deque)
    since: int | None = None

    def put(self, number: float, second: int, kind: str = "") -> None:
        if number:
            self.waiting.append((second, kind, number))

    def serve(self, second: int) -> Iterator[tuple[str, float]]:
        room = self.per_second()
        while self.waiting and room > 0:
            came, kind, number = self.waiting.popleft()
            served = min(number, room)
            room -= served
            yield kind, served
            if served < number:
                self.waiting.appendleft((came, kind, number - served))
        if not self.waiting:
            self.since = None
        elif self.since is None:
            self.since = second

    def felt(self, second: int) -> bool:
        return bool(self.waiting) and second - self.waiting[0][0] > _LATE_SECONDS


class _Table:
    """A table on demand."""

    def __init__(self) -> None:
        self.used: list[float] = []
        self.peak = 0.0

    def allowed(self) -> float:
        if len(self.used) > _TABLE_MEMORY_SECONDS:
            self.peak = max(self.peak, self.used[-1 - _TABLE_MEMORY_SECONDS])
        return max(_NEW_TABLE_UNITS, 2 * self.peak)


class _Pollers:
    """How many batches of a queue Lambda takes at a time: more while there is more."""

    def __init__(self, most: float) -> None:
        self._most = most
        self._batches = float(min(_FIRST_BATCHES, most))

    def grow(self) -> float:
        self._batches = min(self._most, self._batches + _MORE_BATCHES_PER_SECOND)
        return self._batches


class _Hour:
    def __init__(self, of: Stack, lifted: frozenset[str]) -> None:
        self._of = of
        self._lifted = lifted
        self._job_table, self._account_table = _Table(), _Table()
        self._gates: dict[str, _Gate] = {}
        self._lines: dict[str, _Line] = {}
        self._ending: deque[float] = deque([0.0] * _THINKING_SECONDS)
        seconds, one = of.demand.seconds, of.tenants == 1
        worker = _Pollers(self._unless("worker", of.worker_concurrency))
        webhooks = _Pollers(self._unless("webhooks", of.webhooks_concurrency))
        self._gate("gateway", lambda: of.gateway_per_second, of.gateway_burst)
        self._gate("gateway, events", lambda: of.gateway_per_second, of.gateway_burst, "gateway")
        self._gate("tier", lambda: of.tier_per_second if one else _NO_LIMIT)
        self._gate("budget", lambda: of.budget_per_second if one else _NO_LIMIT)
        self._gate("account concurrency", lambda: _ACCOUNT_CONCURRENCY)
        self._gate("job table", self._job_table.allowed)
        self._gate("account table", self._account_table.allowed)
        self._line("worker", lambda: worker.grow() / seconds["worker"])
        self._line("provider", lambda: of.provider_per_second)
        self._line("notifier", lambda: self._shards() * of.notifier_parallel / seconds["notifier"])
        self._line("webhooks", lambda: webhooks.grow() / seconds["webhooks"])

    def play(self) -> Met | None:
        for second in range(HOUR_SECONDS):
            self._tick(second)
            limits: list[_Gate | _Line] = [*self._gates.values(), *self._lines.values()]
            for each in limits:
                if each.felt(second):
                    full = rate(second if each.since is None else each.since)
                    waits = isinstance(each, _Line)
                    return Met(each.name, full, rate(second), second / 60, waits)
        return None

    def _tick(self, second: int) -> None:
        done = dict.fromkeys(STEPS, 0.0)
        admitted = rate(second)
        for gate in ("gateway", "tier", "budget"):
            admitted = self._gates[gate].take(admitted, second)
        done["admitted"] = admitted
        worker, notifier, webhooks = (self._lines[name] for name in ("worker", "notifier", "webhooks"))
        worker.put(admitted, second, "submitted")
        worker.put(self._gates["gateway, events"].take(self._ending.popleft(), second), second, "settled")
        for kind, number in worker.serve(second):
            done[kind] += number
        self._lines["provider"].put(done["submitted"], second)
        self._ending.append(sum(number for _, number in self._lines["provider"].serve(second)))
        notifier.put(done["settled"], second)
        done["announced"] = sum(number for _, number in notifier.serve(second))
        webhooks.put(done["announced"], second)
        done["delivered"] = sum(number for _, number in webhooks.serve(second))
        self._use(done, second)

    def _use(self, done: Mapping[str, float], second: int) -> None:
        demand = self._of.demand
        for name, table, units in (
            ("job table", self._job_table, demand.job_units),
            ("account table", self._account_table, demand.account_units),
        ):
            table.used.append(self._gates[name].take(sum(done[step] * units[step] for step in STEPS), second))
        taken_by = ("api", "worker", "worker", "notifier", "webhooks")
        busy = sum(done[step] * demand.seconds[name] for step, name in zip(STEPS, taken_by, strict=True))
        self._gates["account concurrency"].take(busy + done["settled"] * demand.seconds["provider_events"], second)

    def _shards(self) -> float:
        return -(-self._job_table.allowed() // _PARTITION_UNITS)

    def _unless(self, name: str, number: float) -> float:
        """A concurrency that was raised is raised as far as a mapping goes."""
        return _ACCOUNT_CONCURRENCY if name in self._lifted else number

    def _gate(self, name: str, per_second: Callable[[], float], burst: float = 0.0, lifted_as: str = "") -> None:
        free = (lifted_as or name) in self._lifted
        self._gates[name] = _Gate(lifted_as or name, (lambda: _NO_LIMIT) if free else per_second, burst)

    def _line(self, name: str, per_second: Callable[[], float]) -> None:
        free = name in self._lifted and name not in ("worker", "webhooks")
        self._lines[name] = _Line(name, (lambda: _NO_LIMIT) if free else per_second)


_NO_LIMIT = 1e9


def _per_second(requests: int | None, tokens: int | None, tokens_each: int) -> float:
    parts = [requests, None if tokens is None else tokens / tokens_each]
    return min(part for part in parts if part is not None) / 60


RAISED_BY = {
    "provider": "the account's limits at the provider, and then those of the catalogue",
    "worker": "MaximumConcurrency of WorkerFunction",
    "webhooks": "MaximumConcurrency of WebhooksFunction",
    "gateway": "the parameters ApiRequestsPerSecond and ApiBurst",
    "notifier": "ParallelizationFactor of NotifierFunction, up to 10",
    "job table": "DynamoDB's warm throughput, or a slower rise",
    "account table": "DynamoDB's warm throughput, or a slower rise",
    "tier": "a limit of the tenant's own (make tenant ACTION=set)",
    "budget": "shards of the budget item (docs/decisions.md)",
    "account concurrency": "Lambda's quota of the account",
}
