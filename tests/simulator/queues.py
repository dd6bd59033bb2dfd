"""A queue like SQS: at-least-once delivery, delays, a visibility timeout and a dead-letter queue."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from afterthought.domain.errors import QueueUnavailable
from afterthought.domain.jobs.job import Job
from afterthought.domain.models.provider import Mode
from tests.simulator.calls import CallRecorder
from tests.simulator.clock import Clock

MAX_DELAY_SECONDS = 900


@dataclass(frozen=True)
class QueueFaults:
    """The share of messages that are delivered twice, and by how many seconds at most one is early or late."""

    duplicates: float = 0.0
    early_seconds: float = 0.0
    late_seconds: float = 0.0


@dataclass
class Message:
    body: str
    group: str | None
    visible_at: datetime
    receives: int = 0


@dataclass
class Queue:
    clock: Clock
    random: Random
    visibility_seconds: int
    max_receives: int
    faults: QueueFaults = field(default_factory=QueueFaults)
    messages: list[Message] = field(default_factory=list)
    dead_letters: list[Message] = field(default_factory=list)

    def put(self, body: str, *, group: str | None = None, delay_seconds: float = 0) -> None:
        copies = 2 if self.random.random() < self.faults.duplicates else 1
        for _ in range(copies):
            error_seconds = self.random.uniform(-self.faults.early_seconds, self.faults.late_seconds)
            visible_at = self.clock() + timedelta(seconds=round(max(0.0, delay_seconds + error_seconds), 3))
            self.messages.append(Message(body, group, visible_at))

    def receive(self) -> Message | None:
        """A random visible message, which becomes invisible. Moves messages received too often to the dead letters."""
        while visible := self.visible():
            message = self.random.choice(visible)
            if message.receives >= self.max_receives:
                self.messages.remove(message)
                self.dead_letters.append(message)
                continue
            message.receives += 1
            self.hide(message, self.visibility_seconds)
            return message
        return None

    def visible(self) -> list[Message]:
        now = self.clock()
        return [message for message in self.messages if message.visible_at <= now]

    def hide(self, message: Message, seconds: float) -> None:
        message.visible_at = self.clock() + timedelta(seconds=seconds)

    def delete(self, message: Message) -> None:
        self.messages.remove(message)

    def next_at(self) -> datetime | None:
        """When the next message becomes visible."""
        return min((message.visible_at for message in self.messages), default=None)


@dataclass(frozen=True)
class SimulatedJobQueue:
    """The port `JobQueue`."""

    calls: CallRecorder
    queues: Mapping[Mode, Queue]

    def send(self, job: Job, *, delay_seconds: int = 0) -> None:
        def put() -> None:
            if not 0 <= delay_seconds <= MAX_DELAY_SECONDS:
                raise QueueUnavailable(f"SQS refuses a delay of {delay_seconds} s")
            body = json.dumps({"job_id": job.id})
            self.queues[job.mode].put(body, group=job.tenant, delay_seconds=delay_seconds)

        self.calls.call("queue.send", put)
