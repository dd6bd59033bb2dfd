"""The callers' webhook endpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from afterthought.domain.errors import DeliveryFailed
from tests.simulator.calls import CallRecorder
from tests.simulator.clock import Clock


@dataclass(frozen=True)
class Received:
    at: datetime
    url: str
    body: bytes
    headers: dict[str, str]
    status: int


@dataclass
class SimulatedReceiver:
    """The port `Receiver`. `status` is its response, None when it is down. `received` are all requests."""

    calls: CallRecorder
    clock: Clock
    status: int | None = 200
    received: list[Received] = field(default_factory=list)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        def effect() -> int:
            if self.status is None:
                raise DeliveryFailed("connection refused")
            self.received.append(Received(self.clock(), url, body, dict(headers), self.status))
            if not 200 <= self.status < 300:
                raise DeliveryFailed(f"the endpoint answered {self.status}", status=self.status)
            return self.status

        return self.calls.call("receiver.post", effect)

    @property
    def accepted(self) -> list[Received]:
        return [each for each in self.received if 200 <= each.status < 300]
