"""A model provider and a webhook receiver on loopback.

Each response takes `thinking` by the bench's clock and returns `answer` for any request. A call without
background mode moves the clock forward by `thinking`.
"""

import json
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from afterthought.domain.webhooks import signature
from bench.clock import ShiftedClock
from bench.loopback_server import LoopbackServer, Reply

Json = dict[str, Any]

CREATE, CREATE_DIRECT, RETRIEVE, WEBHOOK = "create", "awaited create", "retrieve", "webhook"
"""The kinds of calls, as bench/prices.toml names them."""

SIGNING_SECRET = signature.new_secret(bytes(range(32)))
"""Signs the provider's events."""

_USAGE = {
    "input_tokens": 243,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 2391,
    "output_tokens_details": {"reasoning_tokens": 1920},
    "total_tokens": 2634,
}


@dataclass(frozen=True)
class _Run:
    """A background response."""

    request: Json
    ends_at: datetime


class FakeProvider(LoopbackServer):
    """`calls` counts the requests by kind. `pending_events` has the background responses whose event has not been sent,
    with the time of their end."""

    def __init__(self, clock: ShiftedClock) -> None:
        super().__init__()
        self.thinking = timedelta(0)
        self.answer = ""
        self.calls: Counter[str] = Counter()
        self.pending_events: dict[str, datetime] = {}
        self._runs: dict[str, _Run] = {}
        self._clock = clock

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    def connection(self, *, events: bool) -> Json:
        """The provider's entry in the provider secret, with or without the secret of its events."""
        connection: Json = {"api_key": "sk-bench", "base_url": self.base_url}
        return {**connection, "webhook_secrets": [SIGNING_SECRET]} if events else connection

    def reply(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:  # noqa: ARG002
        if path == "/hook":
            self.calls[WEBHOOK] += 1
            answer: Json = {}
        elif method == "POST":
            answer = self.create(json.loads(body))
        else:
            answer = self._retrieve(path.rpartition("/")[2])
        return Reply("application/json", json.dumps(answer).encode())

    def create(self, request: Json) -> Json:
        response_id = f"resp_{secrets.token_hex(24)}"
        if not request.get("background"):
            self.calls[CREATE_DIRECT] += 1
            self._clock.forward(self.thinking)
            return self._response(response_id, request, ended=True)
        self.calls[CREATE] += 1
        ends_at = self.pending_events[response_id] = self._clock.now() + self.thinking
        self._runs[response_id] = _Run(request, ends_at)
        return self._response(response_id, request, ended=False)

    def event(self, response_id: str) -> tuple[Json, bytes]:
        """Headers and body of the event that a response has completed."""
        now = int(self._clock.now().timestamp())
        event_id = f"evt_{secrets.token_hex(24)}"
        event = {"id": event_id, "object": "event", "created_at": now, "type": "response.completed"}
        body = json.dumps({**event, "data": {"id": response_id}}).encode()
        return signature.headers((SIGNING_SECRET,), message_id=event_id, timestamp=now, body=body), body

    def _retrieve(self, response_id: str) -> Json:
        self.calls[RETRIEVE] += 1
        run = self._runs[response_id]
        return self._response(response_id, run.request, ended=self._clock.now() >= run.ends_at)

    def _response(self, response_id: str, request: Json, *, ended: bool) -> Json:
        return {
            "id": response_id,
            "object": "response",
            "created_at": int(self._clock.now().timestamp()),
            "status": "completed" if ended else "queued",
            "background": bool(request.get("background")),
            "metadata": request["metadata"],
            "model": request["model"],
            "output": _output(self.answer) if ended else [],
            "service_tier": "default",
            "usage": _USAGE if ended else None,
        }


def _output(text: str) -> list[Json]:
    """An empty reasoning item and a message, as OpenAI returns them."""
    return [
        {"id": f"rs_{secrets.token_hex(24)}", "type": "reasoning", "summary": []},
        {
            "id": f"msg_{secrets.token_hex(24)}",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}],
        },
    ]
