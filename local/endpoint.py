"""The model endpoint that answers the jobs: the stand-in, or a real endpoint."""

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
    """`provider` is its name in the catalogue, `description` is for people. `webhook_secret` signs its events; None:
    it sends none."""

    provider: str
    base_url: str
    api_key: str
    description: str
    stand_in: StandIn | None = None
    webhook_secret: str | None = None

    def secret(self) -> dict[str, dict[str, Any]]:
        """The content of the stack's provider secret."""
        webhook_secrets = {"webhook_secrets": [self.webhook_secret]} if self.webhook_secret else {}
        return {self.provider: {"api_key": self.api_key, "base_url": self.base_url, **webhook_secrets}}

    def register_webhook(self, base_url: str) -> None:
        """Let the stand-in send its events to the service at this base URL."""
        if self.stand_in and self.webhook_secret:
            self.stand_in.send_webhooks_to(f"{base_url}/provider_events/{self.provider}", self.webhook_secret)


@contextmanager
def from_environment(environment: Mapping[str, str], *, speed: float) -> Iterator[ModelEndpoint]:
    """The endpoint at OPENAI_BASE_URL if OPENAI_API_KEY is set, else the stand-in.

    The stand-in sends events unless EVENTS is 0. A real endpoint cannot reach this machine, so its jobs are polled.
    """
    if api_key := environment.get("OPENAI_API_KEY"):
        base_url = environment.get("OPENAI_BASE_URL") or OPENAI_URL
        yield ModelEndpoint("openai", base_url, api_key, f"a real endpoint, {base_url} (OPENAI_API_KEY is set)")
        return
    with stand_in(speed=speed, events=environment.get("EVENTS") != "0") as endpoint:
        yield endpoint


@contextmanager
def stand_in(*, speed: float, events: bool = True) -> Iterator[ModelEndpoint]:
    """The stand-in on a free port, with every model of the catalogue. `speed` divides its thinking time. Without
    `events` the service polls it."""
    models = sorted(default_catalogue().models)
    with StandIn(models=models, speed=speed, api_key=STAND_IN_KEY) as server:
        description = f"a STAND-IN, not a model: {server.base_url} (it only does arithmetic, without a key or cost)"
        secret = STAND_IN_WEBHOOK_SECRET if events else None
        yield ModelEndpoint("standin", server.base_url, STAND_IN_KEY, description, server, secret)
