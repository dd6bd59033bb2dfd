"""Receive what a model provider announces: is it truly the provider's, and which of its responses has ended?

Nothing that an event says is believed but the name of the response: the worker asks the provider itself, and finds the
job by what it sent along. So an event can be lost, doubled, late or for somebody else, and does no harm.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from afterthought.domain.webhooks import signature
from afterthought.domain.errors import ProviderBusy, QueueUnavailable

MOST_BYTES = 64 * 1024
"""Far above the few hundred of an event. What is larger is not even verified."""

LOOK_AGAIN = timedelta(minutes=1)
"""At most so often a signature that does not match makes the secret be read anew: anybody can send one."""

ENDINGS = frozenset({"response.completed", "response.failed", "response.incomplete", "response.cancelled"})

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

_REFUSED: Mapping[type[signature.SignatureRefused], Outcome] = {
    signature.HeaderMissing: "unsigned",
    signature.MessageTooOld: "stale",
    signature.MessageTooNew: "stale",
}

_PROVIDER = re.compile(r"[a-z0-9-]{1,40}")
# It becomes a part of the path that the provider is asked by: no slash, no dots.
_RESPONSE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


@dataclass(frozen=True)
class Received:
    """What became of an event, and which response it speaks of, where that is known to be the provider's word."""

    outcome: Outcome
    response_id: str | None = None
    reason: str | None = None


class WebhookSecrets(Protocol):
    """What providers sign with."""

    def webhook_secrets(self, provider: str, *, fresh: bool = False) -> tuple[str, ...]:
        """None where the provider is unknown or announces nothing. Raises ProviderBusy."""


class EventQueue(Protocol):
    """Messages that say "this response of that provider has ended"."""

    def send(self, provider: str, response_id: str) -> None:
        """Raises QueueUnavailable."""


class UnknownProvider(Exception):
    """No webhook of this provider's has been set up here."""


class Malformed(Exception):
    """Signed by the provider, and not what an event looks like."""


class ReceiveEvent:
    """One for the life of a process: it remembers when it last read the secret anew."""

    def __init__(self, secrets: WebhookSecrets, queue: EventQueue, clock: Callable[[], datetime]) -> None:
        self._secrets = secrets
        self._queue = queue
        self._clock = clock
        self._looked_again_at: datetime | None = None

    def __call__(self, provider: str, headers: Mapping[str, str], body: bytes) -> Received:
        """`headers` by their names in lower case; `body` as its bytes came. Once it answers `received`, the event is in
        the queue; an `unavailable` one must be sent again. Raises nothing that an event can cause."""
        if len(body) > MOST_BYTES:
            return Received("too_large")
        try:
            self._verify(provider, headers, body)
            response_id = ended(body)
            if response_id is not None:
                self._queue.send(provider, response_id)
        except UnknownProvider:
            return Received("unknown_provider")
        except signature.SignatureRefused as refused:
            return Received(_REFUSED.get(type(refused), "bad_signature"), reason=str(refused))
        except Malformed as refused:
            return Received("malformed", reason=str(refused))
        except (ProviderBusy, QueueUnavailable) as failed:
            return Received("unavailable", reason=str(failed))
        return Received("ignored") if response_id is None else Received("received", response_id)

    def _verify(self, provider: str, headers: Mapping[str, str], body: bytes) -> None:
        if not _PROVIDER.fullmatch(provider):
            raise UnknownProvider
        held = self._secrets.webhook_secrets(provider)
        try:
            self._verify_with(held, headers, body)
        except (UnknownProvider, signature.NoSignatureMatches):
            now = self._clock()
            if self._looked_again_at is not None and now - self._looked_again_at < LOOK_AGAIN:
                raise
            # A secret that was put there or rotated a moment ago need not wait until the one read before is forgotten.
            self._looked_again_at = now
            fresh = self._secrets.webhook_secrets(provider, fresh=True)
            if fresh == held:
                raise
            self._verify_with(fresh, headers, body)

    def _verify_with(self, secrets: tuple[str, ...], headers: Mapping[str, str], body: bytes) -> None:
        if not secrets:
            raise UnknownProvider
        signature.verify(secrets, headers, body, now=int(self._clock().timestamp()))


def ended(body: bytes) -> str | None:
    """The response that an event says has ended; None for an event of another type. Raises Malformed."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        # Its message can hold a piece of the body.
        raise Malformed("the body is not JSON") from None
    kind = event.get("type") if isinstance(event, dict) else None
    if not isinstance(kind, str):
        raise Malformed("there is no type")
    if kind not in ENDINGS:
        return None
    data = event.get("data")
    response_id = data.get("id") if isinstance(data, dict) else None
    if not isinstance(response_id, str) or not _RESPONSE_ID.fullmatch(response_id):
        raise Malformed("data.id is not the id of a response")
    return response_id
