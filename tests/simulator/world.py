"""The whole service, wired as the functions wire it, on the simulator; run event by event in virtual time."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Literal

from afterthought.catalogue import Catalogue, default_catalogue
from afterthought.domain.errors import ProviderError, VersionConflict
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.schedule import delivery_seconds, event_seconds
from afterthought.domain.jobs.step import Step
from afterthought.domain.ledger.budget import Caps
from afterthought.services.admin.tenants import TenantAdmin
from afterthought.services.calling import calling
from afterthought.services.intake.admit import Admitter
from afterthought.services.intake.cancel import Canceller
from afterthought.services.intake.dry_run import DryRunner
from afterthought.services.intake.submit import Intake, Submission
from afterthought.services.limits.rate_limiter import RateLimiter
from afterthought.services.notify.deliver import WebhookSender
from afterthought.services.notify.publish import Notifier
from afterthought.services.query.read import JobReader
from afterthought.services.run.await_call import DirectRunner
from afterthought.services.run.handle_event import ProviderEventHandler
from afterthought.services.run.receive_event import ProviderEventReceiver
from afterthought.services.run.run_job import JobRunner
from afterthought.services.run.sweep import Sweeper
from tests.simulator import stack
from tests.simulator.accounts import SimulatedAccounts
from tests.simulator.cipher import SimulatedCipher
from tests.simulator.circuit_breakers import SimulatedCircuitBreakers
from tests.simulator.clock import START, Clock
from tests.simulator.event_loop import VirtualLoop, in_virtual_time
from tests.simulator.events import SimulatedEventQueue, SimulatedWebhookSecrets, provider_event
from tests.simulator.ledger import SimulatedLedger
from tests.simulator.line import Fault, Line, ProcessDied
from tests.simulator.pattern import passes_stream_filter
from tests.simulator.provider import SimulatedProvider
from tests.simulator.queues import Luck, Message, Queue, SimulatedJobQueue
from tests.simulator.rate_windows import SimulatedRateWindows
from tests.simulator.receiver import SimulatedReceiver
from tests.simulator.secret import SimulatedSecret
from tests.simulator.tables import (
    SimulatedContents,
    SimulatedDeliveries,
    SimulatedJobs,
    StreamRecord,
)
from tests.simulator.throttle import SimulatedThrottle
from tests.simulator.topic import SimulatedTopic

WORKERS = 2
"""Processes that call models, each with a memory of its own. Which one takes a message is chance."""

PROVIDERS = ("vllm", "standin")
"""The first is called directly, and serves models of its own only."""
TENANTS = ("acme", "globex")
WEBHOOK_URL = "https://hooks.example.com/done"
SWEEP_EVERY = timedelta(minutes=1)
ANNOUNCED_AGAIN_AFTER = timedelta(seconds=30)
ANNOUNCED_LATE = timedelta(hours=2)
RETRY_RECORD_AFTER = timedelta(seconds=1)
MOST_CALLS = 50_000


class NotQuiet(AssertionError):
    """Something still went on when the time was up."""


def question(effort: str = "low", *, webhook: bool = True, **more: Any) -> dict[str, Any]:
    """A request's body."""
    body: dict[str, Any] = {"model": "o3", "input": "What is 17 times 23?", "reasoning": {"effort": effort}, **more}
    return {**body, "afterthought": {"webhook_url": WEBHOOK_URL}} if webhook else body


Announced = Literal["lost", "doubled", "late"]


@dataclass
class Down:
    """Which parts are not running: their messages and records wait."""

    worker: bool = False
    direct: bool = False
    provider_events: bool = False
    notifier: bool = False
    webhooks: bool = False
    sweeper: bool = False


def _catalogue() -> Catalogue:
    # Looked up only now: a test may have put its own in the place of the function.
    return default_catalogue()


@dataclass
class World:
    """With `events` the provider announces what has ended: `announced` says by its number what becomes of an
    announcement, else it comes once and in time. `faults` go by the number of the call on the line, and begin to count
    once the tenants are made. `accepted` are the ids of the jobs whose caller got a 2xx; `cancelled` says when those
    whose cancel got one had not ended by then; `capped` are the budgets that `cap` has set; `later` is what somebody
    does at a given time; `errors` is what a function ended a record with.
    """

    seed: int = 0
    faults: Mapping[int, Fault] = field(default_factory=dict)
    luck: Luck = field(default_factory=Luck)
    accepted: list[str] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    lost_records: list[StreamRecord] = field(default_factory=list)
    down: Down = field(default_factory=Down)
    events: bool = False
    announced: Mapping[int, "Announced"] = field(default_factory=dict)
    later: list[tuple[datetime, Callable[[], object]]] = field(default_factory=list)
    asked_to_cancel: set[str] = field(default_factory=set)
    cancelled: dict[str, datetime] = field(default_factory=dict)
    capped: dict[str, Caps] = field(default_factory=dict)
    start: datetime = START
    catalogue: Catalogue = field(default_factory=_catalogue)

    def __post_init__(self) -> None:
        self.clock = Clock(self.start)
        self.random = Random(self.seed)
        self.line = Line(self.clock)
        self.job_messages = self._queue("JobQueue")
        self.direct_messages = self._queue("DirectQueue")
        self.webhook_messages = self._queue("WebhookQueue")
        self.ledger = SimulatedLedger(self.line)
        self.jobs = SimulatedJobs(self.line, self.ledger)
        self.rates = SimulatedRateWindows(self.line)
        self.contents = SimulatedContents(self.line, self.clock)
        self.accounts = SimulatedAccounts(self.line)
        self.deliveries = SimulatedDeliveries(self.line)
        self.cipher = SimulatedCipher(self.line)
        self.queue = SimulatedJobQueue(self.line, {"background": self.job_messages, "direct": self.direct_messages})
        self.throttles = SimulatedThrottle(self.line)
        self.breakers = SimulatedCircuitBreakers(self.line)
        self.topic = SimulatedTopic(self.line, self.webhook_messages, stack.webhook_filter())
        self.secret = SimulatedSecret(self.line, self.clock)
        self.provider = SimulatedProvider(self.line, self.clock, self.secret, self._in_ledger, events=self.events)
        self.receiver = SimulatedReceiver(self.line, self.clock)
        self._wire()
        self._last_sweep = self.clock()
        self._record_again_at = self.clock()
        self._announcements = 0
        self._calling_directly = False
        tenants = TenantAdmin(self.accounts, self.cipher, self.clock, self.random.randbytes)
        # What is no test of the limits must not meet them.
        self.secrets = {name: str(tenants.create(name, tier="tier5").webhook_secret) for name in TENANTS}
        self.line.calls.clear()
        self.line.ways.clear()
        self.line.faults = self.faults
        self.line.others = self._look_at_all
        self.line.go_on = lambda seconds: self.run_for(seconds=seconds)

    def _wire(self) -> None:
        catalogue = self.catalogue
        limit = RateLimiter(self.rates, catalogue, self.clock)
        self.admitter = Admitter(
            catalogue=catalogue, providers=PROVIDERS, allowed_origins=frozenset(), clock=self.clock
        )
        self.dry_runner = DryRunner(self.ledger, self.accounts, limit, self.clock)
        self.intake = Intake(
            jobs=self.jobs,
            ledger=self.ledger,
            accounts=self.accounts,
            contents=self.contents,
            queue=self.queue,
            limit=limit,
            clock=self.clock,
            random_bytes=self.random.randbytes,
        )
        self.reader = JobReader(self.jobs, self.contents, catalogue)
        self._workers = [self._calling(catalogue) for _ in range(WORKERS)]
        self.runner, self.event_handler, self.direct = self._workers[0]
        self.event_receiver = ProviderEventReceiver(
            SimulatedWebhookSecrets(self.secret), SimulatedEventQueue(self.line, self.job_messages), self.clock
        )
        self.cancel_service = Canceller(self.jobs, self.queue, self.clock)
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

    def _calling(self, catalogue: Catalogue) -> tuple[JobRunner, ProviderEventHandler, DirectRunner]:
        """One process that calls models, with what it remembers."""
        made = calling(
            jobs=self.jobs,
            contents=self.contents,
            accounts=self.accounts,
            queue=self.queue,
            generations=self.provider,
            rates=self.rates,
            throttles=self.throttles,
            breakers=self.breakers,
            catalogue=catalogue,
            providers=PROVIDERS,
            clock=self.clock,
            random=self.random.random,
            new_token=lambda: self.random.randbytes(16).hex(),
            on_provider_paused=lambda _provider, _code: None,
        )
        direct = DirectRunner(
            runner=made.direct,
            jobs=self.jobs,
            generations=self.provider,
            max_call_seconds=max(catalogue.providers[name].direct_seconds for name in PROVIDERS),
            clock=self.clock,
        )
        return made.runner, made.events, direct

    def submit(self, body: dict[str, Any] | None = None, *, tenant: str = "acme", key: str | None = None) -> Submission:
        """A request, as the api takes it in. Raises as the service does; ProcessDied when the function died."""
        with self._process("api"):
            submitted = self.intake.submit(tenant, self.admitter.admit(json.dumps(body or question()).encode()), key)
        self.accepted.append(submitted.job.id)
        return submitted

    def cancel(self, job_id: str, *, tenant: str = "acme") -> Job:
        """The owner's wish, as the api takes it in."""
        self.asked_to_cancel.add(job_id)
        with self._process("api"):
            cancelled = self.cancel_service.cancel(tenant, job_id).job
        if not cancelled.terminal or cancelled.status == "cancelled":
            self.cancelled.setdefault(job_id, self.clock())
        return cancelled

    def cap(self, tenant: str = "acme", *, day_usd: Decimal) -> None:
        """Sets its budget of a day, once; not a call on the line."""
        self.accounts.by_name[tenant] = self.accounts.by_name[tenant].model_copy(update={"day_cap_usd": day_usd})
        self.capped[tenant] = Caps(day_usd=day_usd)

    def step(self, job_id: str) -> Step:
        """One look of a worker at a job, with no message behind it."""
        with self._process("worker"):
            return self.runner.run(job_id)

    def look(self, job_id: str) -> None:
        """The same as the queue would have it done: what comes out of it is kept in `errors`."""
        with self._border("worker"):
            self.runner.run(job_id)

    def job(self, job_id: str) -> Job:
        """The job as it stands in the table; not a call on the line."""
        return self.jobs.items[job_id]

    def due(self) -> list[Job]:
        return [job for job in self.jobs.items.values() if job.overdue_at is not None]

    def quiet(self) -> bool:
        """Whether nothing will ever happen again by itself."""
        messages = self.job_messages.messages or self.direct_messages.messages or self.webhook_messages.messages
        return not (self.later or messages or self.jobs.stream or self.due() or self.provider.announcements)

    def run(self, days: float = 8) -> None:
        """Runs until all is quiet. Raises NotQuiet when that takes more than so many days."""
        if not self.run_until(self.quiet, timedelta(days=days)):
            raise NotQuiet(
                f"after {days} days: {self.due()}, {self.job_messages.messages}, {self.webhook_messages.messages}, "
                f"{self.jobs.stream}"
            )

    def run_for(self, **time: float) -> None:
        """Runs for so much time (`hours=1`), which then has passed whatever happened."""
        end = self.clock() + timedelta(**time)
        self.run_until(lambda: False, end - self.clock())
        self.clock.move_to(end)

    def run_until(self, reached: Callable[[], bool], within: timedelta) -> bool:
        """Runs until `reached`, looked at after each event. False when it was not within that time. Raises NotQuiet
        when the service runs in a circle that costs it no time."""
        end = self.clock() + within
        while not reached():
            if len(self.line.calls) > MOST_CALLS:
                raise NotQuiet(f"{MOST_CALLS} calls, of which the last were {self.line.calls[-10:]}")
            if ready := list(self._ready()):
                self.random.choice(ready)()
                continue
            moment = self._next_moment()
            if moment is None or moment > end:
                return False
            self.clock.move_to(moment)
        return True

    def _ready(self) -> Iterator[Callable[[], None]]:
        """What could happen now; which of it comes first is chance."""
        if self.jobs.stream and not self.down.notifier and self._record_again_at <= self.clock():
            yield self._notify
        if self.job_messages.visible() and not self.down.worker:
            yield self._work
        if self.direct_messages.visible() and not self._direct_down:
            yield self._work_directly
        if self._announcement() is not None and not self.down.provider_events:
            yield self._receive_announcement
        if self.webhook_messages.visible() and not self.down.webhooks:
            yield self._send_webhook
        if (sweep_at := self._sweep_at()) is not None and sweep_at <= self.clock():
            yield self._sweep_overdue
        if any(at <= self.clock() for at, _ in self.later):
            yield self._do_later

    def _next_moment(self) -> datetime | None:
        moments = (
            None if self.down.worker else self.job_messages.next_at(),
            None if self._direct_down else self.direct_messages.next_at(),
            None if self.down.provider_events else min((at for at, _ in self.provider.announcements), default=None),
            None if self.down.webhooks else self.webhook_messages.next_at(),
            self._record_again_at if self.jobs.stream and not self.down.notifier else None,
            self._sweep_at(),
            min((at for at, _ in self.later), default=None),
        )
        return min((moment for moment in moments if moment is not None), default=None)

    def _sweep_at(self) -> datetime | None:
        """The sweeper runs every minute; a minute in which it would find nothing is passed over."""
        first = min((job.overdue_at for job in self.due() if job.overdue_at is not None), default=None)
        if first is None or self.down.sweeper:
            return None
        since = max(first - self._last_sweep, timedelta())
        return self._last_sweep + (since // SWEEP_EVERY + 1) * SWEEP_EVERY

    def _do_later(self) -> None:
        first = min(self.later, key=lambda each: each[0])
        self.later.remove(first)
        first[1]()

    def _sweep_overdue(self) -> None:
        self._last_sweep = self.clock()
        with self._border("sweeper"):
            self.sweeper.sweep(enough_time=lambda: True)

    def _work(self) -> None:
        message = self.job_messages.receive()
        if message is None:
            return
        with self._border("worker"):
            told = json.loads(message.body)
            runner, events, _ = self.random.choice(self._workers)
            if "response_id" in told:
                try:
                    events.handle(told["provider"], told["response_id"])
                except (ProviderError, VersionConflict):
                    if (seconds := event_seconds(message.receives)) is not None:
                        self._hide(self.job_messages, message, seconds)
                        return
            else:
                runner.run(told["job_id"])
            self.job_messages.delete(message)

    def _work_directly(self) -> None:
        """One invocation takes all there is, on one event loop; while it awaits, the others go on."""
        messages = list(self._direct_batch())
        if not messages:
            return
        ends_at = self.clock() + timedelta(seconds=stack.timeout_seconds("DirectFunction"))

        def seconds_left() -> float:
            return (ends_at - self.clock()).total_seconds()

        async def call(message: Message) -> None:
            try:
                _, _, direct = self.random.choice(self._workers)
                await direct.run(json.loads(message.body)["job_id"], seconds_left)
                self.direct_messages.delete(message)
            except Exception as error:  # noqa: BLE001 whatever it is, Lambda hands the message out again
                self.errors.append(error)

        async def all_of_them(_: VirtualLoop) -> None:
            await asyncio.gather(*(call(message) for message in messages))

        self._calling_directly = True
        try:
            with self._border("direct"):
                in_virtual_time(all_of_them, self.clock, lambda seconds: self.run_for(seconds=seconds))
        finally:
            self._calling_directly = False

    def _direct_batch(self) -> Iterator[Message]:
        while len(self.direct_messages.visible()) and (message := self.direct_messages.receive()) is not None:
            yield message

    def _announcement(self) -> tuple[datetime, str] | None:
        return next((each for each in self.provider.announcements if each[0] <= self.clock()), None)

    def _receive_announcement(self) -> None:
        """The provider sends it again until it is taken."""
        announcement = self._announcement()
        if announcement is None:
            return
        self.provider.announcements.remove(announcement)
        _, response_id = announcement
        number = self._announcements = self._announcements + 1
        fate = self.announced.get(number)
        if fate == "late":
            self.provider.announcements.append((self.clock() + ANNOUNCED_LATE, response_id))
        for _ in range({"lost": 0, "doubled": 2, "late": 0}[fate] if fate else 1):
            taken = False
            with self._border("provider_events"):
                headers, body = provider_event("standin", response_id, self.clock())
                taken = self.event_receiver.receive("standin", headers, body).outcome == "received"
            if not taken:
                self.provider.announcements.append((self.clock() + ANNOUNCED_AGAIN_AFTER, response_id))

    def _send_webhook(self) -> None:
        message = self.webhook_messages.receive()
        if message is None:
            return
        with self._border("webhooks"):
            delivery = self.webhook_sender.send(str(json.loads(message.body)["data"]["id"]))
            if delivery.outcome == "failed":
                self._hide(self.webhook_messages, message, delivery_seconds(message.receives))
            else:
                self.webhook_messages.delete(message)

    def _notify(self) -> None:
        record = self.jobs.stream.pop(0)
        if not passes_stream_filter(record.image()):
            return
        announced = False
        with self._border("notifier"):
            self.notifier.publish(record.job_id)
            announced = True
        if announced:
            return
        record.tries += 1
        if record.tries > stack.stream_mapping()["MaximumRetryAttempts"]:
            self.lost_records.append(record)
        else:
            self.jobs.stream.insert(0, record)
            self._record_again_at = self.clock() + RETRY_RECORD_AFTER

    @contextmanager
    def _process(self, name: str) -> Iterator[None]:
        before = self.line.process, self.line.killed_at
        timeout = stack.timeout_seconds(f"{name.title().replace('_', '')}Function")
        self.line.process, self.line.killed_at = name, self.clock() + timedelta(seconds=timeout)
        try:
            yield
        finally:
            self.line.process, self.line.killed_at = before

    @contextmanager
    def _border(self, name: str) -> Iterator[None]:
        """The border of a record: what comes out of it, or its process dying, leaves the record to be handed out again
        by its queue or stream."""
        with self._process(name):
            try:
                yield
            except ProcessDied:
                return
            except Exception as error:  # noqa: BLE001 whatever it is, Lambda hands the record out again
                self.errors.append(error)

    @property
    def _direct_down(self) -> bool:
        # One event loop cannot run within another.
        return self.down.direct or self._calling_directly

    def _hide(self, queue: Queue, message: Message, seconds: float) -> None:
        self.line.call("messages.hide", lambda: queue.hide(message, seconds))

    def _look_at_all(self) -> None:
        """What other workers do that are a little faster."""
        for job_id in list(self.jobs.items):
            self.look(job_id)

    def _in_ledger(self, job_id: str, token: str) -> bool:
        job = self.jobs.items.get(job_id)
        entry = job.open_attempt if job is not None else None
        return entry is not None and entry.token == token and entry.state == "calling"

    def _queue(self, name: str) -> Queue:
        return Queue(self.clock, self.random, stack.visibility_seconds(name), stack.most_receives(name), self.luck)
