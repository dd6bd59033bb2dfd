"""Which model endpoint answers the jobs: the stand-in of this repository, or a real one that the person names."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from afterthought.catalogue import default_catalogue
from local.standin import StandIn

OPENAI_URL = "https://api.openai.com/v1"
STAND_IN_KEY = "stand-in-key"


@dataclass(frozen=True)
class ModelEndpoint:
    """`provider` is its name in the catalogue, `base_url` what the SDK is given, `described` what a person is told."""

    provider: str
    base_url: str
    api_key: str
    described: str
    stand_in: StandIn | None = None

    def secret(self) -> dict[str, dict[str, str]]:
        """What the stack's provider secret holds for it."""
        return {self.provider: {"api_key": self.api_key, "base_url": self.base_url}}


@contextmanager
def chosen(environment: Mapping[str, str], *, speed: float) -> Iterator[ModelEndpoint]:
    """A real endpoint if OPENAI_API_KEY is set (OPENAI_BASE_URL says where), else the stand-in while the block runs."""
    if api_key := environment.get("OPENAI_API_KEY"):
        base_url = environment.get("OPENAI_BASE_URL") or OPENAI_URL
        yield ModelEndpoint("openai", base_url, api_key, f"a real endpoint, {base_url} (OPENAI_API_KEY is set)")
        return
    with stand_in(speed=speed) as endpoint:
        yield endpoint


@contextmanager
def stand_in(*, speed: float) -> Iterator[ModelEndpoint]:
    """The stand-in on a free port, with every model of the catalogue. It takes a model's time, divided by `speed`."""
    models = sorted(default_catalogue().models)
    with StandIn(models=models, speed=speed, api_key=STAND_IN_KEY) as server:
        described = f"a STAND-IN, {server.base_url}: it computes and is no model; no key, no cost"
        yield ModelEndpoint("standin", server.base_url, STAND_IN_KEY, described, server)
