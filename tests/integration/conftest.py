"""The whole service, one function at a time, in moto."""

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
    """One at a time: what moto holds belongs to the process. So a module has one for each test (`service`), or one of
    its own for all of them."""
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        yield Deployed(patch, {"Providers": "standin", **parameters})


@pytest.fixture
def service() -> Iterator[Deployed]:
    """With the stand-in for a provider, which serves every model."""
    yield from deploy()


@pytest.fixture(scope="session")
def shared_standin() -> Iterator[StandIn]:
    with StandIn(speed=2000, api_key=PROVIDER_KEY) as standin:
        yield standin


@pytest.fixture
def standin(service: Deployed, shared_standin: StandIn) -> StandIn:
    """The provider of `service`: behaves until it is told otherwise."""
    shared_standin.reset()
    service.provide(standin={"api_key": PROVIDER_KEY, "base_url": shared_standin.base_url})
    return shared_standin
