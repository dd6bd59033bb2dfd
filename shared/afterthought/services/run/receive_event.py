"""Receives webhooks of model providers: verifies the signature and queues the id of the response that ended.

Only the response id is used. The worker retrieves the response and finds the job by its metadata, so an event that is
lost, repeated, late or unrelated does no harm.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from afterthought.domain.errors import ProviderBusy, QueueUnavailable
from afterthought.domain.webhooks import signature

MAX_BYTES = 64 * 1024
"""An event has a few hundred bytes. A larger body is refused before it is verified."""

REFRESH_INTERVAL = timedelta(minutes=1)
"""A wrong signature refreshes the secret at most this often, because anyone can send one."""

TERMINAL_EVENTS = frozenset({"response.completed", "response.failed", "response.incomplete", "response.cancelled"})

Outcome = Literal[
    "received",
    "ignored",
    "unknown_provider",
    "too_large",
    "unsigned",
    "bad_signature",
    "stale",
    "malformed",
    "unavailable",
]

_REFUSAL_OUTCOMES: Mapping[type[signature.SignatureRefused], Outcome] = {
    signature.HeaderMissing: "unsigned",
    signature.MessageTooOld: "stale",
    signature.MessageTooNew: "stale",
}

_PROVIDER = re.compile(r"[a-z0-9-]{1,40}")
# The id becomes a part of a URL path: no slash, no dots.
_RESPONSE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


@dataclass(frozen=True)
class ReceivedEvent:
    """`response_id` is set only for a verified event."""

    outcome: Outcome
    response_id: str | None = None
    reason: str | None = None


class WebhookSecrets(Protocol):
    """The secrets that providers sign their webhooks with."""

    def webhook_secrets(self, provider: str, *, fresh: bool = False) -> tuple[str, ...]:
        """Empty when the provider is unknown or sends no events. Raises ProviderBusy."""


class EventQueue(Protocol):
    """Messages that say "this response of that provider has ended"."""

    def send(self, provider: str, response_id: str) -> None:
        """Raises QueueUnavailable."""


class UnknownProvider(Exception):
    """No webhook of this provider is set up."""


class MalformedEvent(Exception):
    """The body is signed by the provider but is not an event."""


class ProviderEventReceiver:
    """One instance per process: it remembers when it last refreshed the secret."""

    def __init__(self, secrets: WebhookSecrets, queue: EventQueue, clock: Callable[[], datetime]) -> None:
        self._secrets = secrets
        self._queue = queue
        self._clock = clock
        self._refreshed_at: datetime | None = None

    def receive(self, provider: str, headers: Mapping[str, str], body: bytes) -> ReceivedEvent:
        """`headers` by lower-case name; `body` as raw bytes. After `received` the event is in the queue; after
        `unavailable` the provider must send it again. No event content makes this raise."""
        if len(body) > MAX_BYTES:
            return ReceivedEvent("too_large")
        try:
            self._verify(provider, headers, body)
            response_id = ended_response(body)
            if response_id is not None:
                self._queue.send(provider, response_id)
        except UnknownProvider:
            return ReceivedEvent("unknown_provider")
        except signature.SignatureRefused as error:
            return ReceivedEvent(_REFUSAL_OUTCOMES.get(type(error), "bad_signature"), reason=str(error))
        except MalformedEvent as error:
            return ReceivedEvent("malformed", reason=str(error))
        except (ProviderBusy, QueueUnavailable) as error:
            return ReceivedEvent("unavailable", reason=str(error))
        return ReceivedEvent("ignored") if response_id is None else ReceivedEvent("received", response_id)

    def _verify(self, provider: str, headers: Mapping[str, str], body: bytes) -> None:
        if not _PROVIDER.fullmatch(provider):
            raise UnknownProvider
        cached = self._secrets.webhook_secrets(provider)
        try:
            self._verify_with(cached, headers, body)
        except (UnknownProvider, signature.NoMatchingSignature):
            now = self._clock()
            if self._refreshed_at is not None and now - self._refreshed_at < REFRESH_INTERVAL:
                raise
            # The secret may have been added or rotated since it was cached.
            self._refreshed_at = now
            fresh = self._secrets.webhook_secrets(provider, fresh=True)
            if fresh == cached:
                raise
            self._verify_with(fresh, headers, body)

    def _verify_with(self, secrets: tuple[str, ...], headers: Mapping[str, str], body: bytes) -> None:
        if not secrets:
            raise UnknownProvider
        signature.verify(secrets, headers, body, now=int(self._clock().timestamp()))


def ended_response(body: bytes) -> str | None:
    """The id of the response that ended; None for another type of event. Raises MalformedEvent."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        # The original error can contain a part of the body.
        raise MalformedEvent("the body is not JSON") from None
    event_type = event.get("type") if isinstance(event, dict) else None
    if not isinstance(event_type, str):
        raise MalformedEvent("type is missing")
    if event_type not in TERMINAL_EVENTS:
        return None
    data = event.get("data")
    response_id = data.get("id") if isinstance(data, dict) else None
    if not isinstance(response_id, str) or not _RESPONSE_ID.fullmatch(response_id):
        raise MalformedEvent("data.id is not the id of a response")
    return response_id
