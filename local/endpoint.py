"""Which model endpoint answers the jobs: the stand-in of this repository, or a real one that the person names."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from afterthought.catalogue import default_catalogue
from afterthought.domain.webhooks.signature import new_secret
from local.standin import StandIn

OPENAI_URL = "https://api.openai.com/v1"
STAND_IN_KEY = "stand-in-key"
STAND_IN_WEBHOOK_SECRET = new_secret(b"open secret of the stand-in model endpoint")


@dataclass(frozen=True)
class ModelEndpoint:
    """`provider` is its name in the catalogue, `base_url` what the SDK is given, `described` what a person is told.
    `webhook_secret` is what it signs its events with, None where it sends none."""

    provider: str
    base_url: str
    api_key: str
    described: str
    stand_in: StandIn | None = None
    webhook_secret: str | None = None

    def secret(self) -> dict[str, dict[str, Any]]:
        """What the stack's provider secret holds for it."""
        signed = {"webhook_secrets": [self.webhook_secret]} if self.webhook_secret else {}
        return {self.provider: {"api_key": self.api_key, "base_url": self.base_url, **signed}}

    def announce_to(self, base_url: str) -> None:
        """Let it send its events to the service at this base URL, as a person registers the webhook at a provider."""
        if self.stand_in and self.webhook_secret:
            self.stand_in.announce_to(f"{base_url}/provider_events/{self.provider}", self.webhook_secret)


@contextmanager
def chosen(environment: Mapping[str, str], *, speed: float) -> Iterator[ModelEndpoint]:
    """A real endpoint if OPENAI_API_KEY is set (OPENAI_BASE_URL says where), else the stand-in while the block runs.

    The stand-in sends its events unless EVENTS is 0. A real endpoint cannot reach a laptop: its jobs are looked at.
    """
    if api_key := environment.get("OPENAI_API_KEY"):
        base_url = environment.get("OPENAI_BASE_URL") or OPENAI_URL
        yield ModelEndpoint("openai", base_url, api_key, f"a real endpoint, {base_url} (OPENAI_API_KEY is set)")
        return
    with stand_in(speed=speed, events=environment.get("EVENTS") != "0") as endpoint:
        yield endpoint


@contextmanager
def stand_in(*, speed: float, events: bool = True) -> Iterator[ModelEndpoint]:
    """The stand-in on a free port, with every model of the catalogue. It takes a model's time, divided by `speed`.
    Without `events` nothing says when it is done, and the service looks again and again."""
    models = sorted(default_catalogue().models)
    with StandIn(models=models, speed=speed, api_key=STAND_IN_KEY) as server:
        described = f"a STAND-IN, {server.base_url}: it computes and is no model; no key, no cost"
        secret = STAND_IN_WEBHOOK_SECRET if events else None
        yield ModelEndpoint("standin", server.base_url, STAND_IN_KEY, described, server, secret)
