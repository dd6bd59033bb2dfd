"""The whole service on the simulator, wired as the functions wire it."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Literal

from afterthought.catalogue import Catalogue, default_catalogue
from afterthought.composition import api as api_composition
from afterthought.composition import run as run_composition
from afterthought.composition.run import RunServices
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.step import Step
from afterthought.domain.ledger.budget import Caps
from afterthought.services.admin.tenants import TenantAdmin
from afterthought.services.intake.submit import Submission
from afterthought.services.notify.deliver import WebhookSender
from afterthought.services.notify.publish import Notifier
from afterthought.services.run.receive_event import ProviderEventReceiver
from afterthought.services.run.sweep import Sweeper
from tests.simulator import stack
from tests.simulator.accounts import SimulatedAccounts
from tests.simulator.calls import CallRecorder, Fault, ProcessDied
from tests.simulator.cipher import SimulatedCipher
from tests.simulator.circuit_breakers import SimulatedCircuitBreakers
from tests.simulator.clock import START, Clock
from tests.simulator.events import SimulatedEventQueue, SimulatedWebhookSecrets
from tests.simulator.ledger import SimulatedLedger
from tests.simulator.provider import SimulatedProvider
from tests.simulator.queues import Queue, QueueFaults, SimulatedJobQueue
from tests.simulator.rate_windows import SimulatedRateWindows
from tests.simulator.receiver import SimulatedReceiver
from tests.simulator.scheduler import NotIdle, Scheduler
from tests.simulator.secret import SimulatedSecret
from tests.simulator.tables import SimulatedContents, SimulatedDeliveries, SimulatedJobs, StreamRecord
from tests.simulator.throttle import SimulatedThrottle
from tests.simulator.topic import SimulatedTopic

__all__ = ["Down", "EventFault", "NotIdle", "World", "a_request"]

WORKERS = 2
"""Processes that call models, each with its own memory. A random one receives a message."""

PROVIDERS = ("vllm", "standin")
"""The first is called directly, and has only models of its own."""
TENANTS = ("acme", "globex")
WEBHOOK_URL = "https://hooks.example.com/done"


def a_request(effort: str = "low", *, webhook: bool = True, **more: Any) -> dict[str, Any]:
    """A request body."""
    body: dict[str, Any] = {"model": "o3", "input": "What is 17 times 23?", "reasoning": {"effort": effort}, **more}
    return {**body, "afterthought": {"webhook_url": WEBHOOK_URL}} if webhook else body


EventFault = Literal["lost", "duplicated", "late"]


@dataclass
class Down:
    """The functions that are down. Their messages and records wait."""

    worker: bool = False
    direct: bool = False
    provider_events: bool = False
    notifier: bool = False
    webhooks: bool = False
    sweeper: bool = False


def _catalogue() -> Catalogue:
    # Not called at import, because a test may replace the function.
    return default_catalogue()


@dataclass
class World:
    """All parts of the service, and the actions of tests. `Scheduler` runs them in virtual time.

    With `events` the provider sends events; `event_faults` are by the number of the event, from 1. `faults` are by the
    index of the call, counted after the tenants are created. `scheduled` are actions with their times.

    Results: `accepted` are the ids of the submissions answered 2xx, `cancel_requests` the jobs with a cancel,
    `cancelled_at` the times of the cancels answered 2xx before the job's end, `caps_by_tenant` the caps that tests set,
    `errors` the exceptions that ended an invocation, `discarded_records` the discarded stream records.
    """

    seed: int = 0
    faults: Mapping[int, Fault] = field(default_factory=dict)
    queue_faults: QueueFaults = field(default_factory=QueueFaults)
    accepted: list[str] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    discarded_records: list[StreamRecord] = field(default_factory=list)
    down: Down = field(default_factory=Down)
    events: bool = False
    event_faults: Mapping[int, EventFault] = field(default_factory=dict)
    scheduled: list[tuple[datetime, Callable[[], object]]] = field(default_factory=list)
    cancel_requests: set[str] = field(default_factory=set)
    cancelled_at: dict[str, datetime] = field(default_factory=dict)
    caps_by_tenant: dict[str, Caps] = field(default_factory=dict)
    start: datetime = START
    catalogue: Catalogue = field(default_factory=_catalogue)

    def __post_init__(self) -> None:
        self.clock = Clock(self.start)
        self.random = Random(self.seed)
        self.calls = CallRecorder(self.clock)
        self.job_messages = self._queue("JobQueue")
        self.direct_messages = self._queue("DirectQueue")
        self.webhook_messages = self._queue("WebhookQueue")
        self.ledger = SimulatedLedger(self.calls)
        self.jobs = SimulatedJobs(self.calls, self.ledger)
        self.rates = SimulatedRateWindows(self.calls)
        self.contents = SimulatedContents(self.calls, self.clock)
        self.accounts = SimulatedAccounts(self.calls)
        self.deliveries = SimulatedDeliveries(self.calls)
        self.cipher = SimulatedCipher(self.calls)
        self.queue = SimulatedJobQueue(self.calls, {"background": self.job_messages, "direct": self.direct_messages})
        self.throttles = SimulatedThrottle(self.calls)
        self.breakers = SimulatedCircuitBreakers(self.calls)
        self.topic = SimulatedTopic(self.calls, self.webhook_messages, stack.webhook_filter())
        self.secret = SimulatedSecret(self.calls, self.clock)
        self.provider = SimulatedProvider(
            self.calls, self.clock, self.secret, self._is_attempt_recorded, events=self.events
        )
        self.receiver = SimulatedReceiver(self.calls, self.clock)
        self._wire()
        self._scheduler = Scheduler(self)
        tenants = TenantAdmin(self.accounts, self.cipher, self.clock, self.random.randbytes)
        # The highest tier, so that only tests of the limits meet them.
        self.secrets = {name: str(tenants.create(name, tier="tier5").webhook_secret) for name in TENANTS}
        self.calls.clear()
        self.calls.faults = self.faults
        self.calls.run_workers = self._run_workers
        self.calls.run_others = lambda seconds: self.run_for(seconds=seconds)

    def _wire(self) -> None:
        api = api_composition.build(
            jobs=self.jobs,
            ledger=self.ledger,
            accounts=self.accounts,
            contents=self.contents,
            queue=self.queue,
            rate_windows=self.rates,
            catalogue=self.catalogue,
            providers=PROVIDERS,
            allowed_origins=frozenset(),
            clock=self.clock,
            random_bytes=self.random.randbytes,
        )
        self.admitter, self.dry_runner, self.intake = api.admitter, api.dry_runner, api.intake
        self.canceller, self.reader = api.canceller, api.reader
        self.workers = [self._new_worker() for _ in range(WORKERS)]
        self.runner, self.direct, self.event_handler = (
            self.workers[0].runner,
            self.workers[0].direct,
            self.workers[0].events,
        )
        self.event_receiver = ProviderEventReceiver(
            SimulatedWebhookSecrets(self.secret), SimulatedEventQueue(self.calls, self.job_messages), self.clock
        )
        self.notifier = Notifier(self.jobs, self.topic)
        self.sweeper = Sweeper(self.jobs, self.queue, self.notifier, self.clock)
        self.webhook_sender = WebhookSender(
            jobs=self.jobs,
            contents=self.contents,
            accounts=self.accounts,
            deliveries=self.deliveries,
            cipher=self.cipher,
            client=self.receiver,
            clock=self.clock,
        )

    def _new_worker(self) -> RunServices:
        """The services of one process that calls models."""
        return run_composition.build(
            jobs=self.jobs,
            contents=self.contents,
            accounts=self.accounts,
            queue=self.queue,
            generations=self.provider,
            rate_windows=self.rates,
            throttle=self.throttles,
            circuit_breakers=self.breakers,
            catalogue=self.catalogue,
            providers=PROVIDERS,
            clock=self.clock,
            random=self.random.random,
            new_token=lambda: self.random.randbytes(16).hex(),
            on_provider_paused=lambda _provider, _code: None,
        )

    # ---- what a test does ----------------------------------------------------------------------------------------

    def submit(self, body: dict[str, Any] | None = None, *, tenant: str = "acme", key: str | None = None) -> Submission:
        """A POST. Raises the service's errors, and ProcessDied when the function crashed."""
        with self.process("api"):
            submitted = self.intake.submit(tenant, self.admitter.admit(json.dumps(body or a_request()).encode()), key)
        self.accepted.append(submitted.job.id)
        return submitted

    def cancel(self, job_id: str, *, tenant: str = "acme") -> Job:
        self.cancel_requests.add(job_id)
        with self.process("api"):
            job = self.canceller.cancel(tenant, job_id).job
        if not job.terminal or job.status == "cancelled":
            self.cancelled_at.setdefault(job_id, self.clock())
        return job

    def set_day_cap(self, tenant: str = "acme", *, day_usd: Decimal) -> None:
        """Caps the tenant's days. May be called once for a tenant."""
        self.accounts.by_name[tenant] = self.accounts.by_name[tenant].model_copy(update={"day_cap_usd": day_usd})
        self.caps_by_tenant[tenant] = Caps(day_usd=day_usd)

    def step(self, job_id: str) -> Step:
        """One step of a worker, without a message."""
        with self.process("worker"):
            return self.runner.run(job_id)

    def run_worker(self, job_id: str) -> None:
        """Like `step`, but adds an exception to `errors`."""
        with self.invocation("worker"):
            self.runner.run(job_id)

    def job(self, job_id: str) -> Job:
        """The stored job."""
        return self.jobs.items[job_id]

    def unpublished(self) -> list[Job]:
        """The jobs that the sweeper still watches: their end is not published."""
        return [job for job in self.jobs.items.values() if job.overdue_at is not None]

    # ---- running in virtual time ---------------------------------------------------------------------------------

    def idle(self) -> bool:
        """Whether no scheduled action, message, stream record, event or unpublished job is left."""
        messages = self.job_messages.messages or self.direct_messages.messages or self.webhook_messages.messages
        events = self.provider.pending_events
        return not (self.scheduled or messages or self.jobs.stream or self.unpublished() or events)

    def run(self, days: float = 8) -> None:
        """Runs until idle. Raises NotIdle when that takes longer."""
        if not self.run_until(self.idle, timedelta(days=days)):
            raise NotIdle(
                f"after {days} days: {self.unpublished()}, {self.job_messages.messages}, "
                f"{self.webhook_messages.messages}, {self.jobs.stream}"
            )

    def run_for(self, **time: float) -> None:
        """Runs for exactly this time (`hours=1`)."""
        end = self.clock() + timedelta(**time)
        self.run_until(lambda: False, end - self.clock())
        self.clock.move_to(end)

    def run_until(self, reached: Callable[[], bool], within: timedelta) -> bool:
        """Runs until `reached`, which is checked after each event; False when the time is over first. Raises NotIdle
        when the service makes calls without end."""
        return self._scheduler.run_until(reached, within)

    # ---- processes -----------------------------------------------------------------------------------------------

    @contextmanager
    def process(self, name: str) -> Iterator[None]:
        """A process of this function, which dies at the function's timeout."""
        before = self.calls.process, self.calls.dies_at
        timeout = stack.timeout_seconds(f"{name.title().replace('_', '')}Function")
        self.calls.process, self.calls.dies_at = name, self.clock() + timedelta(seconds=timeout)
        try:
            yield
        finally:
            self.calls.process, self.calls.dies_at = before

    @contextmanager
    def invocation(self, name: str) -> Iterator[None]:
        """A `process` for a message or record. A crash or an exception causes redelivery."""
        with self.process(name):
            try:
                yield
            except ProcessDied:
                return
            except Exception as error:  # noqa: BLE001 Lambda retries after any exception
                self.errors.append(error)

    def _run_workers(self) -> None:
        """Another worker makes a step of each job."""
        for job_id in list(self.jobs.items):
            self.run_worker(job_id)

    def _is_attempt_recorded(self, job_id: str, token: str) -> bool:
        job = self.jobs.items.get(job_id)
        attempt = job.open_attempt if job is not None else None
        return attempt is not None and attempt.token == token and attempt.state == "calling"

    def _queue(self, name: str) -> Queue:
        return Queue(
            self.clock, self.random, stack.visibility_seconds(name), stack.max_receives(name), self.queue_faults
        )
