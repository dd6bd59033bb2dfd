"""A queue as SQS is: at least once, roughly in order, with a delay, a visibility and a dead-letter queue."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from afterthought.domain.errors import QueueUnavailable
from afterthought.domain.jobs.job import Job
from afterthought.domain.models.provider import Mode
from tests.simulator.clock import Clock
from tests.simulator.line import Line

MOST_DELAY_SECONDS = 900


@dataclass(frozen=True)
class Luck:
    """How a queue treats its messages: the share of them it hands out twice, and by how many seconds at most it hands
    one out before or after its time."""

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
    """`dead` is its dead-letter queue."""

    clock: Clock
    random: Random
    visibility_seconds: int
    most_receives: int
    luck: Luck = field(default_factory=Luck)
    messages: list[Message] = field(default_factory=list)
    dead: list[Message] = field(default_factory=list)

    def put(self, body: str, *, group: str | None = None, delay_seconds: float = 0) -> None:
        copies = 2 if self.random.random() < self.luck.duplicates else 1
        for _ in range(copies):
            shift = self.random.uniform(-self.luck.early_seconds, self.luck.late_seconds)
            visible_at = self.clock() + timedelta(seconds=round(max(0.0, delay_seconds + shift), 3))
            self.messages.append(Message(body, group, visible_at))

    def receive(self) -> Message | None:
        """Any message that is visible, out of sight from now on; None when there is none. One received too often
        already is set aside instead."""
        while visible := self.visible():
            message = self.random.choice(visible)
            if message.receives >= self.most_receives:
                self.messages.remove(message)
                self.dead.append(message)
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
        """When the next message shows."""
        return min((message.visible_at for message in self.messages), default=None)


@dataclass(frozen=True)
class SimulatedJobQueue:
    """The port `JobQueue`."""

    line: Line
    queues: Mapping[Mode, Queue]

    def send(self, job: Job, *, delay_seconds: int = 0) -> None:
        def put() -> None:
            if not 0 <= delay_seconds <= MOST_DELAY_SECONDS:
                raise QueueUnavailable(f"a delay of {delay_seconds} s is none that SQS takes")
            body = json.dumps({"job_id": job.id})
            self.queues[job.mode].put(body, group=job.tenant, delay_seconds=delay_seconds)

        self.line.call("queue.send", put)
