"""The whole service in moto, one function at a time."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from local.standin import StandIn
from tests.contract import moto_numbers
from tests.integration.deployed import PROVIDER_KEY, Deployed

moto_numbers.mend()


@pytest.fixture(scope="session", autouse=True)
def _no_account_of_anybody() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")
        patch.delenv("AWS_PROFILE", raising=False)
        yield


def deploy(**parameters: str) -> Iterator[Deployed]:
    """The service in moto. The state of moto belongs to the process, so only one exists at a time: one for each test
    (`service`), or one for a module."""
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        yield Deployed(patch, {"Providers": "standin", **parameters})


@pytest.fixture
def service() -> Iterator[Deployed]:
    """The service with the stand-in as its provider, which serves every model."""
    yield from deploy()


@pytest.fixture(scope="session")
def shared_standin() -> Iterator[StandIn]:
    with StandIn(speed=2000, api_key=PROVIDER_KEY) as standin:
        yield standin


@pytest.fixture
def standin(service: Deployed, shared_standin: StandIn) -> StandIn:
    """The provider of `service`, without faults until a test scripts some."""
    shared_standin.reset()
    service.provide(standin={"api_key": PROVIDER_KEY, "base_url": shared_standin.base_url})
    return shared_standin
