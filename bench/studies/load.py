"""Simulates an hour of rising load, second by second: which limits are reached, in which order and at which rate.

The bench counts what a job uses of each part. The limits are the numbers in the template and those that AWS
documents:
- SQS: Lambda starts with 5 concurrent batches and adds up to 300 a minute, up to the mapping's MaximumConcurrency.
  https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
- Lambda: a concurrency of 1,000 in an account, and 1,000 more in ten seconds for a function.
  https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html
- DynamoDB on demand: 4,000 write units a second for a new table, and twice the peak of 30 minutes ago; 1,000 for one
  partition key; one stream shard for each partition.
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
- The HTTP API's throttle applies to each of its routes.
  https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
contention.py simulates how many jobs a second one budget sustains. All jobs use one model, think for a minute and are
woken by an event. Retries add no load.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from afterthought.catalogue import default_catalogue
from bench.driver import MODELS
from bench.fixture import BACKGROUND_PROVIDER
from bench.studies.capacity import STEPS, JobCapacity
from bench.template import event_source, template
from bench.texts import QUESTION_BYTES

HOUR_SECONDS = 3600
MANY_TENANTS = 1000
MAX_PER_SECOND = 500.0
SWEEP_SECONDS = 50
"""The time in each minute in which the sweeper handles jobs: its time limit minus its reserve."""
_THINKING_SECONDS = 60
_LATE_SECONDS = 60
_REFUSED_SHARE, _WINDOW_SECONDS = 0.01, 60
_FIRST_BATCHES, _MORE_BATCHES_PER_SECOND = 5, 300 / 60
_ACCOUNT_CONCURRENCY = 1000
_NEW_TABLE_UNITS, _PARTITION_UNITS = 4000.0, 1000.0
_TABLE_MEMORY_SECONDS = 1800
_UNLIMITED = 1e9

REMEDIES = {
    "provider": "the account's limits at the provider, then those in the catalogue",
    "worker": "MaximumConcurrency of WorkerFunction",
    "webhooks": "MaximumConcurrency of WebhooksFunction",
    "gateway": "the parameters ApiRequestsPerSecond and ApiBurst",
    "notifier": "ParallelizationFactor of NotifierFunction, up to 10",
    "job table": "DynamoDB's warm throughput, or a slower rise",
    "account table": "DynamoDB's warm throughput, or a slower rise",
    "tier": "the tenant's own limits (make tenant ACTION=set)",
    "budget": "shards of the budget item (docs/decisions.md)",
    "account concurrency": "Lambda's quota of the account",
}
"""What raises each limit."""


@dataclass(frozen=True)
class LimitReached:
    """From `full` jobs a second on, more jobs arrive than the part can handle. At `noticed` jobs a second, after
    `minute` minutes, jobs wait for a minute (`delayed`) or one in a hundred is refused."""

    limit: str
    full: float
    noticed: float
    minute: float
    delayed: bool


@dataclass(frozen=True)
class Limits:
    """The limits of the template, of the highest tier, and of the provider for one model."""

    capacity: JobCapacity
    tenants: int
    gateway_per_second: float
    gateway_burst: float
    worker_concurrency: int
    webhooks_concurrency: int
    notifier_parallel: int
    budget_per_second: float
    tier_per_second: float
    provider_per_second: float


def limits(capacity: JobCapacity, *, tenants: int, budget_per_second: float) -> Limits:
    """`budget_per_second` is how many jobs one budget sustains."""
    parameters, catalogue = template()["Parameters"], default_catalogue()
    tokens = catalogue.models[MODELS["woken"]].typical_output_tokens + QUESTION_BYTES // 4
    provider = catalogue.providers[BACKGROUND_PROVIDER].limits_for(MODELS["woken"])
    tier = catalogue.tiers["tier5"]
    if provider is None:
        raise ValueError("the catalogue has no limits for the provider")
    return Limits(
        capacity,
        tenants,
        gateway_per_second=float(parameters["ApiRequestsPerSecond"]["Default"]),
        gateway_burst=float(parameters["ApiBurst"]["Default"]),
        worker_concurrency=event_source("WorkerFunction", "Jobs")["ScalingConfig"]["MaximumConcurrency"],
        webhooks_concurrency=event_source("WebhooksFunction", "Webhooks")["ScalingConfig"]["MaximumConcurrency"],
        notifier_parallel=event_source("NotifierFunction", "Outcomes")["ParallelizationFactor"],
        budget_per_second=budget_per_second,
        tier_per_second=_jobs_per_second(tier.requests_per_minute, tier.tokens_per_minute, tokens),
        provider_per_second=_jobs_per_second(provider.requests_per_minute, provider.tokens_per_minute, tokens),
    )


def rate(second: float) -> float:
    """Jobs that arrive in this second."""
    return 1 + (MAX_PER_SECOND - 1) * second / HOUR_SECONDS


def first_limit(of: Limits, lifted: frozenset[str] = frozenset()) -> LimitReached | None:
    """The first limit that is reached in an hour without those `lifted`."""
    return _Hour(of, lifted).play()


def limits_reached(of: Limits) -> list[LimitReached]:
    """In order: each one is reached after those before it have been lifted."""
    reached: list[LimitReached] = []
    while (limit := first_limit(of, frozenset(each.limit for each in reached))) is not None:
        reached.append(limit)
    return reached


def report(many: Sequence[LimitReached], one: Sequence[LimitReached], capacity: JobCapacity) -> list[str]:
    """For many tenants, and for one."""
    keys = ", ".join(f"{name} {units * MAX_PER_SECOND:.0f}" for name, units in capacity.key_units.items())
    sweeps_per_second = SWEEP_SECONDS / capacity.sweep_seconds / 60
    return [
        "AN HOUR OF RISING LOAD",
        f"Simulated second by second: from 1 to {MAX_PER_SECOND:.0f} jobs a second in an hour, each thinks a minute.",
        "The limits are documented by AWS or set in the template. Full: from this rate on, more jobs arrive than the",
        "part can handle. Noticed: a wait of a minute, or one in a hundred refused. Each limit is reached after those",
        "above it have been lifted.",
        *_table("many tenants", many),
        *_table("one tenant", one),
        "",
        f"The busiest partition keys at {MAX_PER_SECOND:.0f} jobs a second, of 1,000 write units a second: {keys}.",
        f"The sweeper can postpone {sweeps_per_second:.0f} jobs a second that think longer than their effort suggests.",
    ]


def _table(tenants: str, reached: Sequence[LimitReached]) -> Iterator[str]:
    yield ""
    yield f"{tenants:<22}{'full at':>9}{'noticed at':>12}{'minute':>8}   {'':<9}raised by"
    for each in reached:
        effect = "waits" if each.delayed else "refused"
        numbers = f"{each.full:>9.0f}{each.noticed:>12.0f}{each.minute:>8.0f}"
        yield f"{each.limit:<22}{numbers}   {effect:<9}{REMEDIES[each.limit]}"


@dataclass
class _Gate:
    """Passes a limited number per second, plus a burst, and refuses the rest."""

    name: str
    per_second: Callable[[], float]
    burst: float = 0.0
    saved: float = 0.0
    window: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_WINDOW_SECONDS))
    full_since: int | None = None
    refused_at: int | None = None

    def take(self, number: float, second: int) -> float:
        capacity = self.per_second() + self.saved
        passed = min(number, capacity)
        self.saved = min(self.burst, capacity - passed)
        self.window.append((number, number - passed))
        if number <= passed:
            self.full_since = None
            return passed
        self.refused_at = second
        if self.full_since is None:
            self.full_since = second
        return passed

    def noticed(self, second: int) -> bool:
        if self.refused_at is None or second - self.refused_at >= _WINDOW_SECONDS:
            return False
        refused = sum(refused for _, refused in self.window)
        return refused > _REFUSED_SHARE * sum(number for number, _ in self.window) > 0


@dataclass
class _Queue:
    """Serves a limited number per second, oldest first. The rest waits."""

    name: str
    per_second: Callable[[], float]
    waiting: deque[tuple[int, str, float]] = field(default_factory=deque)
    full_since: int | None = None

    def put(self, number: float, second: int, kind: str = "") -> None:
        if number:
            self.waiting.append((second, kind, number))

    def serve(self, second: int) -> Iterator[tuple[str, float]]:
        capacity = self.per_second()
        while self.waiting and capacity > 0:
            arrived_at, kind, number = self.waiting.popleft()
            served = min(number, capacity)
            capacity -= served
            yield kind, served
            if served < number:
                self.waiting.appendleft((arrived_at, kind, number - served))
        if not self.waiting:
            self.full_since = None
        elif self.full_since is None:
            self.full_since = second

    def noticed(self, second: int) -> bool:
        return bool(self.waiting) and second - self.waiting[0][0] > _LATE_SECONDS


class _Table:
    """An on-demand table."""

    def __init__(self) -> None:
        self.used: list[float] = []
        self._peak = 0.0

    def allowed(self) -> float:
        if len(self.used) > _TABLE_MEMORY_SECONDS:
            self._peak = max(self._peak, self.used[-1 - _TABLE_MEMORY_SECONDS])
        return max(_NEW_TABLE_UNITS, 2 * self._peak)


class _Pollers:
    """The number of a queue's batches that Lambda runs at the same time. It grows every second."""

    def __init__(self, maximum: float) -> None:
        self._maximum = maximum
        self._batches = float(min(_FIRST_BATCHES, maximum))

    def grow(self) -> float:
        self._batches = min(self._maximum, self._batches + _MORE_BATCHES_PER_SECOND)
        return self._batches


class _Hour:
    def __init__(self, of: Limits, lifted: frozenset[str]) -> None:
        self._of = of
        self._lifted = lifted
        self._job_table, self._account_table = _Table(), _Table()
        self._gates: dict[str, _Gate] = {}
        self._queues: dict[str, _Queue] = {}
        self._ending: deque[float] = deque([0.0] * _THINKING_SECONDS)
        seconds, single = of.capacity.seconds, of.tenants == 1
        worker = _Pollers(self._concurrency("worker", of.worker_concurrency))
        webhooks = _Pollers(self._concurrency("webhooks", of.webhooks_concurrency))
        self._add_gate("gateway", lambda: of.gateway_per_second, of.gateway_burst)
        self._add_gate("gateway, events", lambda: of.gateway_per_second, of.gateway_burst, "gateway")
        self._add_gate("tier", lambda: of.tier_per_second if single else _UNLIMITED)
        self._add_gate("budget", lambda: of.budget_per_second if single else _UNLIMITED)
        self._add_gate("account concurrency", lambda: _ACCOUNT_CONCURRENCY)
        self._add_gate("job table", self._job_table.allowed)
        self._add_gate("account table", self._account_table.allowed)
        self._add_queue("worker", lambda: worker.grow() / seconds["worker"])
        self._add_queue("provider", lambda: of.provider_per_second)
        self._add_queue("notifier", lambda: self._shards() * of.notifier_parallel / seconds["notifier"])
        self._add_queue("webhooks", lambda: webhooks.grow() / seconds["webhooks"])

    def play(self) -> LimitReached | None:
        parts: list[_Gate | _Queue] = [*self._gates.values(), *self._queues.values()]
        for second in range(HOUR_SECONDS):
            self._tick(second)
            for part in parts:
                if part.noticed(second):
                    full = rate(second if part.full_since is None else part.full_since)
                    delayed = isinstance(part, _Queue)
                    return LimitReached(part.name, full, rate(second), second / 60, delayed)
        return None

    def _tick(self, second: int) -> None:
        done = dict.fromkeys(STEPS, 0.0)
        admitted = rate(second)
        for gate in ("gateway", "tier", "budget"):
            admitted = self._gates[gate].take(admitted, second)
        done["admitted"] = admitted
        worker, notifier, webhooks = (self._queues[name] for name in ("worker", "notifier", "webhooks"))
        worker.put(admitted, second, "called")
        worker.put(self._gates["gateway, events"].take(self._ending.popleft(), second), second, "settled")
        for step, number in worker.serve(second):
            done[step] += number
        self._queues["provider"].put(done["called"], second)
        self._ending.append(sum(number for _, number in self._queues["provider"].serve(second)))
        notifier.put(done["settled"], second)
        done["published"] = sum(number for _, number in notifier.serve(second))
        webhooks.put(done["published"], second)
        done["delivered"] = sum(number for _, number in webhooks.serve(second))
        self._use(done, second)

    def _use(self, done: Mapping[str, float], second: int) -> None:
        capacity = self._of.capacity
        for name, table, units in (
            ("job table", self._job_table, capacity.job_units),
            ("account table", self._account_table, capacity.account_units),
        ):
            table.used.append(self._gates[name].take(sum(done[step] * units[step] for step in STEPS), second))
        functions = ("api", "worker", "worker", "notifier", "webhooks")
        busy = sum(done[step] * capacity.seconds[name] for step, name in zip(STEPS, functions, strict=True))
        self._gates["account concurrency"].take(busy + done["settled"] * capacity.seconds["provider_events"], second)

    def _shards(self) -> float:
        return -(-self._job_table.allowed() // _PARTITION_UNITS)

    def _concurrency(self, name: str, number: float) -> float:
        """The limit of the account if this one is lifted."""
        return _ACCOUNT_CONCURRENCY if name in self._lifted else number

    def _add_gate(self, name: str, per_second: Callable[[], float], burst: float = 0.0, limit: str = "") -> None:
        """`limit` is the limit's name, if it is not the gate's."""
        lifted = (limit or name) in self._lifted
        self._gates[name] = _Gate(limit or name, (lambda: _UNLIMITED) if lifted else per_second, burst)

    def _add_queue(self, name: str, per_second: Callable[[], float]) -> None:
        lifted = name in self._lifted and name not in ("worker", "webhooks")
        self._queues[name] = _Queue(name, (lambda: _UNLIMITED) if lifted else per_second)


def _jobs_per_second(requests: int | None, tokens: int | None, tokens_per_job: int) -> float:
    per_minute = [requests, None if tokens is None else tokens / tokens_per_job]
    return min(number for number in per_minute if number is not None) / 60
