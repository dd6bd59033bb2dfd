"""The backings of the contract tests, by name."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from tests.contract.backing import AwsBacking, Backing, SimulatedBacking
from tests.contract.in_memory_aws import deploy


@pytest.fixture
def simulator() -> SimulatedBacking:
    return SimulatedBacking()


@pytest.fixture
def moto() -> Iterator[AwsBacking]:
    with mock_aws():
        yield deploy()


@pytest.fixture(params=["simulator", "moto"])
def backing(request: pytest.FixtureRequest) -> Backing:
    """Each contract test runs on every backing, so that the simulator cannot differ from AWS unnoticed."""
    backing: Backing = request.getfixturevalue(request.param)
    return backing
