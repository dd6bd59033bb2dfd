"""Runs a World event by event in virtual time, as Lambda, SQS, the table's stream and the provider would."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from afterthought.domain.errors import ProviderError, VersionConflict
from afterthought.domain.jobs.schedule import delivery_seconds, event_seconds
from tests.simulator import stack
from tests.simulator.event_loop import VirtualLoop, in_virtual_time
from tests.simulator.events import provider_event
from tests.simulator.pattern import passes_stream_filter
from tests.simulator.queues import Message, Queue

if TYPE_CHECKING:
    from tests.simulator.world import World

SWEEP_INTERVAL = timedelta(minutes=1)
EVENT_RETRY = timedelta(seconds=30)
EVENT_DELAY = timedelta(hours=2)
"""The delay of a `late` event."""
STREAM_RETRY = timedelta(seconds=1)
MAX_CALLS = 50_000


class NotIdle(AssertionError):
    """The world was still busy at the end of its time."""


class Scheduler:
    """Runs a random one of the due events. If none is due, moves the clock to the next event."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._last_sweep = world.clock()
        self._stream_retry_at = world.clock()
        self._events_sent = 0
        self._direct_is_running = False

    def run_until(self, reached: Callable[[], bool], within: timedelta) -> bool:
        world = self._world
        end = world.clock() + within
        while not reached():
            if len(world.calls.recorded) > MAX_CALLS:
                raise NotIdle(f"more than {MAX_CALLS} calls; the last ones: {world.calls.recorded[-10:]}")
            if due := list(self._due()):
                world.random.choice(due)()
                continue
            next_at = self._next_at()
            if next_at is None or next_at > end:
                return False
            world.clock.move_to(next_at)
        return True

    def _due(self) -> Iterator[Callable[[], None]]:
        world, now = self._world, self._world.clock()
        if world.jobs.stream and not world.down.notifier and self._stream_retry_at <= now:
            yield self._run_notifier
        if world.job_messages.visible() and not world.down.worker:
            yield self._run_worker
        if world.direct_messages.visible() and not self._direct_blocked:
            yield self._run_direct
        if self._due_event() is not None and not world.down.provider_events:
            yield self._receive_event
        if world.webhook_messages.visible() and not world.down.webhooks:
            yield self._send_webhook
        if (sweep_at := self._sweep_at()) is not None and sweep_at <= now:
            yield self._run_sweeper
        if any(at <= now for at, _ in world.scheduled):
            yield self._run_scheduled

    def _next_at(self) -> datetime | None:
        world = self._world
        times = (
            None if world.down.worker else world.job_messages.next_at(),
            None if self._direct_blocked else world.direct_messages.next_at(),
            None if world.down.provider_events else min((at for at, _ in world.provider.pending_events), default=None),
            None if world.down.webhooks else world.webhook_messages.next_at(),
            self._stream_retry_at if world.jobs.stream and not world.down.notifier else None,
            self._sweep_at(),
            min((at for at, _ in world.scheduled), default=None),
        )
        return min((time for time in times if time is not None), default=None)

    def _run_scheduled(self) -> None:
        first = min(self._world.scheduled, key=lambda each: each[0])
        self._world.scheduled.remove(first)
        first[1]()

    def _sweep_at(self) -> datetime | None:
        """The next sweep that has an overdue job; the others are skipped."""
        jobs = self._world.unpublished()
        first = min((job.overdue_at for job in jobs if job.overdue_at is not None), default=None)
        if first is None or self._world.down.sweeper:
            return None
        since = max(first - self._last_sweep, timedelta())
        return self._last_sweep + (since // SWEEP_INTERVAL + 1) * SWEEP_INTERVAL

    def _run_sweeper(self) -> None:
        self._last_sweep = self._world.clock()
        with self._world.invocation("sweeper"):
            self._world.sweeper.sweep(enough_time=lambda: True)

    def _run_worker(self) -> None:
        world = self._world
        message = world.job_messages.receive()
        if message is None:
            return
        with world.invocation("worker"):
            body = json.loads(message.body)
            worker = world.random.choice(world.workers)
            if "response_id" in body:
                try:
                    worker.events.handle(body["provider"], body["response_id"])
                except (ProviderError, VersionConflict):
                    if (seconds := event_seconds(message.receives)) is not None:
                        self._hide(world.job_messages, message, seconds)
                        return
            else:
                worker.runner.run(body["job_id"])
            world.job_messages.delete(message)

    def _run_direct(self) -> None:
        """One invocation receives all visible messages, on one event loop. Everything else continues while it waits."""
        world = self._world
        messages = list(self._direct_batch())
        if not messages:
            return
        ends_at = world.clock() + timedelta(seconds=stack.timeout_seconds("DirectFunction"))

        def seconds_left() -> float:
            return (ends_at - world.clock()).total_seconds()

        async def run(message: Message) -> None:
            try:
                direct = world.random.choice(world.workers).direct
                await direct.run(json.loads(message.body)["job_id"], seconds_left)
                world.direct_messages.delete(message)
            except Exception as error:  # noqa: BLE001 SQS delivers the message again after any exception
                world.errors.append(error)

        async def run_all(_: VirtualLoop) -> None:
            await asyncio.gather(*(run(message) for message in messages))

        self._direct_is_running = True
        try:
            with world.invocation("direct"):
                in_virtual_time(run_all, world.clock, lambda seconds: world.run_for(seconds=seconds))
        finally:
            self._direct_is_running = False

    def _direct_batch(self) -> Iterator[Message]:
        queue = self._world.direct_messages
        while queue.visible() and (message := queue.receive()) is not None:
            yield message

    @property
    def _direct_blocked(self) -> bool:
        # An event loop cannot run inside another.
        return self._world.down.direct or self._direct_is_running

    def _due_event(self) -> tuple[datetime, str] | None:
        now = self._world.clock()
        return next((each for each in self._world.provider.pending_events if each[0] <= now), None)

    def _receive_event(self) -> None:
        """The provider sends an event again until it is received."""
        world, event = self._world, self._due_event()
        if event is None:
            return
        pending = world.provider.pending_events
        pending.remove(event)
        _, response_id = event
        self._events_sent += 1
        fault = world.event_faults.get(self._events_sent)
        if fault == "late":
            pending.append((world.clock() + EVENT_DELAY, response_id))
        for _ in range({"lost": 0, "duplicated": 2, "late": 0}[fault] if fault else 1):
            received = False
            with world.invocation("provider_events"):
                headers, body = provider_event("standin", response_id, world.clock())
                received = world.event_receiver.receive("standin", headers, body).outcome == "received"
            if not received:
                pending.append((world.clock() + EVENT_RETRY, response_id))

    def _send_webhook(self) -> None:
        world = self._world
        message = world.webhook_messages.receive()
        if message is None:
            return
        with world.invocation("webhooks"):
            delivery = world.webhook_sender.send(str(json.loads(message.body)["data"]["id"]))
            if delivery.outcome == "failed":
                self._hide(world.webhook_messages, message, delivery_seconds(message.receives))
            else:
                world.webhook_messages.delete(message)

    def _run_notifier(self) -> None:
        world = self._world
        record = world.jobs.stream.pop(0)
        if not passes_stream_filter(record.image()):
            return
        published = False
        with world.invocation("notifier"):
            world.notifier.publish(record.job_id)
            published = True
        if published:
            return
        record.tries += 1
        if record.tries > stack.stream_mapping()["MaximumRetryAttempts"]:
            world.discarded_records.append(record)
        else:
            world.jobs.stream.insert(0, record)
            self._stream_retry_at = world.clock() + STREAM_RETRY

    def _hide(self, queue: Queue, message: Message, seconds: float) -> None:
        self._world.calls.call("messages.hide", lambda: queue.hide(message, seconds))
