"""The service in moto, with one function called at a time."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from local.standin import StandIn
from tests.integration.deployed import PROVIDER_KEY, Deployed


@pytest.fixture(scope="session", autouse=True)
def _test_credentials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")
        patch.delenv("AWS_PROFILE", raising=False)
        yield


def deploy(**parameters: str) -> Iterator[Deployed]:
    """One at a time, since moto's state belongs to the process: a module uses either one stack for each test
    (`service`) or one stack for all its tests."""
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        yield Deployed(patch, {"Providers": "standin", **parameters})


@pytest.fixture
def service() -> Iterator[Deployed]:
    """Configured for the stand-in, which serves every model."""
    yield from deploy()


@pytest.fixture(scope="session")
def shared_standin() -> Iterator[StandIn]:
    with StandIn(speed=2000, api_key=PROVIDER_KEY) as standin:
        yield standin


@pytest.fixture
def standin(service: Deployed, shared_standin: StandIn) -> StandIn:
    """The provider of `service`. It behaves well until a test scripts it."""
    shared_standin.reset()
    service.provide(standin={"api_key": PROVIDER_KEY, "base_url": shared_standin.base_url})
    return shared_standin
