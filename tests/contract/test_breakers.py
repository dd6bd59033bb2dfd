"""The port `Breakers`, on every backing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.config import Config

from afterthought.adapters.breaker_table import BreakerTable
from afterthought.domain.breaker import BreakerUnavailable, Pause
from afterthought.services.breaker import Breakers
from tests.contract.backing import AwsBacking
from tests.simulator.breakers import SimulatedBreakers
from tests.simulator.calls import CallRecorder, Fault
from tests.simulator.clock import Clock

AT = datetime(2026, 11, 2, 12, 0, 0, 123_000, tzinfo=UTC)
FIRST = Pause(AT + timedelta(minutes=5), "insufficient_quota", AT)
SECOND = Pause(AT + timedelta(minutes=12, milliseconds=7), "billing_not_active", AT, 2)
HEALED = FIRST.ended(AT + timedelta(minutes=6))


@pytest.fixture(params=["simulator", "moto"])
def breakers(request: pytest.FixtureRequest) -> Breakers:
    if request.param == "simulator":
        return SimulatedBreakers(CallRecorder(Clock()))
    moto: AwsBacking = request.getfixturevalue("moto")
    return BreakerTable(moto.clients.dynamodb, moto.names.account_table)


def test_a_provider_that_nobody_paused_has_no_pause(breakers: Breakers) -> None:
    assert breakers.get("openai") is None


def test_a_pause_reads_back_as_it_was_written_and_is_one_providers(breakers: Breakers) -> None:
    assert breakers.swap("openai", None, FIRST) == FIRST
    assert breakers.get("openai") == FIRST
    assert breakers.get("vllm") is None


def test_a_pause_takes_the_place_of_the_one_that_it_was_made_from(breakers: Breakers) -> None:
    breakers.swap("openai", None, FIRST)
    assert breakers.swap("openai", FIRST, SECOND) == SECOND
    assert breakers.get("openai") == SECOND


@pytest.mark.parametrize("before", [None, SECOND], ids=["no pause", "another"])
def test_what_stands_is_told_to_who_thought_otherwise_and_stays(breakers: Breakers, before: Pause | None) -> None:
    breakers.swap("openai", None, FIRST)
    third = Pause(AT + timedelta(hours=1), "insufficient_quota", AT, 3)
    assert breakers.swap("openai", before, third) == FIRST
    assert breakers.get("openai") == FIRST


def test_a_pause_that_has_ended_is_not_moved_on(breakers: Breakers) -> None:
    assert breakers.swap("openai", FIRST, SECOND) is None
    assert breakers.get("openai") is None


def test_a_repeat_of_the_same_write_finds_what_it_wrote(breakers: Breakers) -> None:
    breakers.swap("openai", None, FIRST)
    breakers.swap("openai", FIRST, SECOND)
    assert breakers.swap("openai", FIRST, SECOND) == SECOND


def test_an_outage_is_ended_by_who_waits_for_the_same_whoever_probes_by_now(breakers: Breakers) -> None:
    mine = FIRST.probed(AT + timedelta(minutes=5), 0.3)
    anothers = mine.probed(AT + timedelta(minutes=8), 0.6)
    breakers.swap("openai", None, anothers)
    breakers.clear("openai", mine, HEALED)
    assert breakers.get("openai") == HEALED


@pytest.mark.parametrize(
    "other",
    [SECOND, Pause(FIRST.paused_until, FIRST.code, AT + timedelta(milliseconds=1))],
    ids=["refused since", "another outage"],
)
def test_what_was_learned_of_something_else_ends_nothing(breakers: Breakers, other: Pause) -> None:
    breakers.swap("openai", None, other)
    breakers.clear("openai", FIRST, HEALED)
    assert breakers.get("openai") == other


def test_an_outage_ends_once_and_only_where_there_is_one(breakers: Breakers) -> None:
    breakers.clear("openai", FIRST, HEALED)
    assert breakers.get("openai") is None
    breakers.swap("openai", None, FIRST)
    breakers.clear("openai", FIRST, HEALED)
    breakers.clear("openai", FIRST, FIRST.ended(AT + timedelta(minutes=9)))
    assert breakers.get("openai") == HEALED


def test_a_pause_takes_the_place_of_an_outage_that_has_ended(breakers: Breakers) -> None:
    breakers.swap("openai", None, FIRST)
    breakers.clear("openai", FIRST, HEALED)
    assert breakers.swap("openai", FIRST, SECOND) == HEALED, "the pause that it was is no longer what stands"
    assert breakers.swap("openai", HEALED, SECOND) == SECOND
    assert breakers.get("openai") == SECOND


@pytest.mark.parametrize(
    "write",
    [lambda breakers: breakers.swap("openai", None, FIRST), lambda breakers: breakers.clear("openai", FIRST, HEALED)],
    ids=["swap", "clear"],
)
def test_a_table_out_of_reach_is_told_as_one_error(write: Callable[[Breakers], object]) -> None:
    unreached = boto3.client(
        "dynamodb",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(connect_timeout=1, retries={"total_max_attempts": 1}),
    )
    failing = SimulatedBreakers(CallRecorder(Clock(), faults={0: Fault.TIMEOUT_BEFORE}))
    for breakers in (BreakerTable(unreached, "AccountTable"), failing):
        with pytest.raises(BreakerUnavailable):
            write(breakers)


def test_a_table_that_is_not_there_is_told_likewise(moto: AwsBacking) -> None:
    breakers = BreakerTable(moto.clients.dynamodb, "NoSuchTable")
    with pytest.raises(BreakerUnavailable):
        breakers.swap("openai", None, FIRST)
    with pytest.raises(BreakerUnavailable):
        breakers.clear("openai", FIRST, HEALED)


def test_it_stands_under_its_providers_name(moto: AwsBacking) -> None:
    BreakerTable(moto.clients.dynamodb, moto.names.account_table).swap("openai", None, FIRST)
    item = moto.clients.dynamodb.scan(TableName=moto.names.account_table)["Items"][0]
    assert item == {
        "pk": {"S": "PROVIDER#openai"},
        "sk": {"S": "BREAKER"},
        "paused_until": {"N": "1793621100.123"},
        "code": {"S": "insufficient_quota"},
        "since": {"N": "1793620800.123"},
        "pauses": {"N": "1"},
    }


def test_an_outage_that_has_ended_goes_by_itself_and_one_that_goes_on_does_not(moto: AwsBacking) -> None:
    breakers = BreakerTable(moto.clients.dynamodb, moto.names.account_table)
    breakers.swap("openai", None, FIRST)
    breakers.clear("openai", FIRST, HEALED)
    item = moto.clients.dynamodb.scan(TableName=moto.names.account_table)["Items"][0]
    assert item["expires_at"] == {"N": str(int((AT + timedelta(minutes=36)).timestamp()))}
    breakers.swap("openai", HEALED, SECOND)
    item = moto.clients.dynamodb.scan(TableName=moto.names.account_table)["Items"][0]
    assert "expires_at" not in item
