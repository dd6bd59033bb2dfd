"""The provider's signed events, and the queue that receives them."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime

from tests.simulator.calls import CallRecorder
from tests.simulator.queues import Queue
from tests.simulator.secret import SimulatedSecret

SECRET = "whsec_" + base64.b64encode(b"the provider signs with this").decode()


@dataclass(frozen=True)
class SimulatedWebhookSecrets:
    """The port `WebhookSecrets`."""

    secret: SimulatedSecret

    def webhook_secrets(self, provider: str, *, fresh: bool = False) -> tuple[str, ...]:
        self.secret.get(fresh=fresh)
        return (SECRET,)


@dataclass(frozen=True)
class SimulatedEventQueue:
    """The port `EventQueue`."""

    calls: CallRecorder
    queue: Queue

    def send(self, provider: str, response_id: str) -> None:
        body = json.dumps({"provider": provider, "response_id": response_id})
        self.calls.call("event_queue.send", lambda: self.queue.put(body))


def provider_event(provider: str, response_id: str, now: datetime) -> tuple[dict[str, str], bytes]:
    """Headers and body of the event of an ended response. Signed without the service's code."""
    body = json.dumps({"id": f"evt_{response_id}", "type": "response.completed", "data": {"id": response_id}}).encode()
    timestamp = str(int(now.timestamp()))
    signed = f"evt_{response_id}.{timestamp}.".encode() + body
    digest = hmac.new(base64.b64decode(SECRET.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(digest).decode()
    headers = {
        "webhook-id": f"evt_{response_id}",
        "webhook-timestamp": timestamp,
        "webhook-signature": signature,
    }
    return headers, body
