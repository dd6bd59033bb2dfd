"""The completion topic with its one subscriber, the webhook queue."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from afterthought.domain.webhooks.event import CompletionEvent
from tests.simulator.calls import CallRecorder, TransportFailed
from tests.simulator.queues import Queue


@dataclass
class SimulatedTopic:
    """The port `Topic`. `filter` is the filter policy of the queue's subscription."""

    calls: CallRecorder
    webhook_queue: Queue
    filter: Mapping[str, list[str]]
    published: list[CompletionEvent] = field(default_factory=list)
    down: bool = False

    def publish(self, event: CompletionEvent) -> None:
        def effect() -> None:
            if self.down:
                raise TransportFailed("the topic is down")
            self.published.append(event)
            attributes = event.attributes()
            if all(attributes.get(name) in allowed for name, allowed in self.filter.items()):
                self.webhook_queue.put(event.payload().decode())

        self.calls.call("topic.publish", effect)
