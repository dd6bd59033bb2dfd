"""The backings of the contracts, by name."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from tests.contract import moto_numbers
from tests.contract.backing import AwsBacking, Backing, SimulatedBacking
from tests.contract.in_memory_aws import deploy

moto_numbers.mend()


@pytest.fixture
def simulator() -> SimulatedBacking:
    return SimulatedBacking()


@pytest.fixture
def moto() -> Iterator[AwsBacking]:
    with mock_aws():
        yield deploy()


@pytest.fixture(params=["simulator", "moto"])
def backing(request: pytest.FixtureRequest) -> Backing:
    """One after the other: a contract holds on every backing, or the simulator has drifted."""
    chosen: Backing = request.getfixturevalue(request.param)
    return chosen
