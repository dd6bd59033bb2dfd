"""The completion topic, with the webhook queue as its one subscriber."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from afterthought.domain.webhooks.event import CompletionEvent
from tests.simulator.line import Line, TransportFailed
from tests.simulator.queues import Queue


@dataclass
class SimulatedTopic:
    """The port `Topic`. `filter` is the subscription's: the attributes an event must have to reach the queue. While it
    is `down`, it takes nothing."""

    line: Line
    webhook_queue: Queue
    filter: Mapping[str, list[str]]
    published: list[CompletionEvent] = field(default_factory=list)
    down: bool = False

    def publish(self, event: CompletionEvent) -> None:
        def hand_on() -> None:
            if self.down:
                raise TransportFailed("the topic is down")
            self.published.append(event)
            attributes = event.attributes()
            if all(attributes.get(name) in allowed for name, allowed in self.filter.items()):
                self.webhook_queue.put(event.payload().decode())

        self.line.call("topic.publish", hand_on)
