"""The environment of the measured functions: AWS in moto, a provider on loopback, a clock that the bench sets."""

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from moto import mock_aws

from afterthought.adapters import clock
from bench.clock import ShiftedClock
from bench.fake_provider import FakeProvider
from bench.moto_stack import FUNCTIONS, MotoStack

BACKGROUND_PROVIDER, DIRECT_PROVIDER = "openai", "vllm"
PROVIDERS = f"{BACKGROUND_PROVIDER},{DIRECT_PROVIDER}"

_ENVIRONMENT = {
    # Lambda sets it, and each log line contains it.
    "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "us-east-1",
    # moto does not answer at endpoints that contain the account's id.
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
}


@dataclass(frozen=True)
class Fixture:
    """`logs` has the functions' log lines."""

    clock: ShiftedClock
    provider: FakeProvider
    stack: MotoStack
    logs: io.StringIO

    def create_tenant(self, name: str, **limits: Any) -> str:
        """Returns the API key."""
        credentials = self.stack.tenants(self.clock.now).create(name)
        if credentials.api_key is None:
            raise RuntimeError("a new tenant has a key")
        if limits:
            self.stack.accounts.change_tenant(name, limits)
        return credentials.api_key

    def configure_events(self, *, enabled: bool) -> None:
        """Whether the provider sends events. A process that has read the secret keeps it for some minutes."""
        background, direct = (self.provider.connection(events=events) for events in (enabled, False))
        self.stack.put_provider_secret(**{BACKGROUND_PROVIDER: background, DIRECT_PROVIDER: direct})


@contextlib.contextmanager
def fixture(start: datetime) -> Iterator[Fixture]:
    """A new stack whose clock shows `start`. Once per process, since the functions keep their clients."""
    with contextlib.ExitStack() as exits:
        shifted = ShiftedClock()
        provider = exits.enter_context(FakeProvider(shifted))
        exits.enter_context(patch.dict(os.environ, _ENVIRONMENT))
        exits.enter_context(mock_aws())
        shifted.set(start)
        exits.enter_context(patch.object(clock, "now", shifted.now))
        stack = MotoStack({"Providers": PROVIDERS, "WebhookAllowedOrigins": provider.origin})
        for function in FUNCTIONS:
            os.environ.update(stack.environment(function))
        # One name for all functions in this process: the log lines are as long as those of webhooks.
        os.environ["POWERTOOLS_SERVICE_NAME"] = "webhooks"
        logs = exits.enter_context(contextlib.redirect_stdout(io.StringIO()))
        yield Fixture(shifted, provider, stack, logs)


def on_day(day: int) -> datetime:
    """The start of a minute on this day of the bench's month. The month is fixed, so that prices and models do not
    change, and has 31 days."""
    return datetime(2026, 12, day, 12, tzinfo=UTC)
