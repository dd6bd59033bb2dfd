"""The port `CircuitBreakerStore`, on every backing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.config import Config

from afterthought.adapters.circuit_breaker_table import CircuitBreakerTable
from afterthought.domain.limits.circuit_breaker import CircuitBreakerUnavailable, CircuitState
from afterthought.services.limits.circuit_breaker import CircuitBreakerStore
from tests.contract.backing import AwsBacking
from tests.simulator.calls import CallRecorder, Fault
from tests.simulator.circuit_breakers import SimulatedCircuitBreakers
from tests.simulator.clock import Clock

AT = datetime(2026, 11, 2, 12, 0, 0, 123_000, tzinfo=UTC)
FIRST = CircuitState(AT + timedelta(minutes=5), "insufficient_quota", AT)
SECOND = CircuitState(AT + timedelta(minutes=12, milliseconds=7), "billing_not_active", AT, 2)
CLOSED = FIRST.closed(AT + timedelta(minutes=6))


@pytest.fixture(params=["simulator", "moto"])
def store(request: pytest.FixtureRequest) -> CircuitBreakerStore:
    if request.param == "simulator":
        return SimulatedCircuitBreakers(CallRecorder(Clock()))
    moto: AwsBacking = request.getfixturevalue("moto")
    return CircuitBreakerTable(moto.clients.dynamodb, moto.names.account_table)


def test_new_provider_has_no_circuit(store: CircuitBreakerStore) -> None:
    assert store.get("openai") is None


def test_circuit_round_trip(store: CircuitBreakerStore) -> None:
    assert store.replace("openai", None, FIRST) == FIRST
    assert store.get("openai") == FIRST
    assert store.get("vllm") is None


def test_circuit_replaces_its_predecessor(store: CircuitBreakerStore) -> None:
    store.replace("openai", None, FIRST)
    assert store.replace("openai", FIRST, SECOND) == SECOND
    assert store.get("openai") == SECOND


@pytest.mark.parametrize("before", [None, SECOND], ids=["no circuit", "another"])
def test_other_circuit_is_returned_and_kept(store: CircuitBreakerStore, before: CircuitState | None) -> None:
    store.replace("openai", None, FIRST)
    third = CircuitState(AT + timedelta(hours=1), "insufficient_quota", AT, 3)
    assert store.replace("openai", before, third) == FIRST
    assert store.get("openai") == FIRST


def test_missing_circuit_is_not_replaced(store: CircuitBreakerStore) -> None:
    assert store.replace("openai", FIRST, SECOND) is None
    assert store.get("openai") is None


def test_repeated_write_returns_its_circuit(store: CircuitBreakerStore) -> None:
    store.replace("openai", None, FIRST)
    store.replace("openai", FIRST, SECOND)
    assert store.replace("openai", FIRST, SECOND) == SECOND


def test_earlier_probe_closes_the_circuit(store: CircuitBreakerStore) -> None:
    earlier = FIRST.half_opened(AT + timedelta(minutes=5), 0.3)
    later = earlier.half_opened(AT + timedelta(minutes=8), 0.6)
    store.replace("openai", None, later)
    store.close("openai", earlier, CLOSED)
    assert store.get("openai") == CLOSED


@pytest.mark.parametrize(
    "other",
    [SECOND, CircuitState(FIRST.retry_at, FIRST.reason, AT + timedelta(milliseconds=1))],
    ids=["refused since", "another outage"],
)
def test_probe_of_other_outage_does_not_close(store: CircuitBreakerStore, other: CircuitState) -> None:
    store.replace("openai", None, other)
    store.close("openai", FIRST, CLOSED)
    assert store.get("openai") == other


def test_circuit_closes_once(store: CircuitBreakerStore) -> None:
    store.close("openai", FIRST, CLOSED)
    assert store.get("openai") is None
    store.replace("openai", None, FIRST)
    store.close("openai", FIRST, CLOSED)
    store.close("openai", FIRST, FIRST.closed(AT + timedelta(minutes=9)))
    assert store.get("openai") == CLOSED


def test_closed_circuit_is_replaced(store: CircuitBreakerStore) -> None:
    store.replace("openai", None, FIRST)
    store.close("openai", FIRST, CLOSED)
    assert store.replace("openai", FIRST, SECOND) == CLOSED, "the open circuit is no longer stored"
    assert store.replace("openai", CLOSED, SECOND) == SECOND
    assert store.get("openai") == SECOND


@pytest.mark.parametrize(
    "write",
    [lambda store: store.replace("openai", None, FIRST), lambda store: store.close("openai", FIRST, CLOSED)],
    ids=["replace", "close"],
)
def test_unreachable_table_is_one_error(write: Callable[[CircuitBreakerStore], object]) -> None:
    unreachable = boto3.client(
        "dynamodb",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(connect_timeout=1, retries={"total_max_attempts": 1}),
    )
    failing = SimulatedCircuitBreakers(CallRecorder(Clock(), faults={0: Fault.TIMEOUT_BEFORE}))
    for store in (CircuitBreakerTable(unreachable, "AccountTable"), failing):
        with pytest.raises(CircuitBreakerUnavailable):
            write(store)


def test_missing_table_is_the_same_error(moto: AwsBacking) -> None:
    store = CircuitBreakerTable(moto.clients.dynamodb, "NoSuchTable")
    with pytest.raises(CircuitBreakerUnavailable):
        store.replace("openai", None, FIRST)
    with pytest.raises(CircuitBreakerUnavailable):
        store.close("openai", FIRST, CLOSED)


def test_item_layout(moto: AwsBacking) -> None:
    CircuitBreakerTable(moto.clients.dynamodb, moto.names.account_table).replace("openai", None, FIRST)
    item = moto.clients.dynamodb.scan(TableName=moto.names.account_table)["Items"][0]
    assert item == {
        "pk": {"S": "PROVIDER#openai"},
        "sk": {"S": "CIRCUIT"},
        "retry_at": {"N": "1793621100.123"},
        "reason": {"S": "insufficient_quota"},
        "opened_at": {"N": "1793620800.123"},
        "openings": {"N": "1"},
        "state": {"S": "open"},
    }


def test_only_closed_circuit_expires(moto: AwsBacking) -> None:
    store = CircuitBreakerTable(moto.clients.dynamodb, moto.names.account_table)
    store.replace("openai", None, FIRST)
    store.close("openai", FIRST, CLOSED)
    item = moto.clients.dynamodb.scan(TableName=moto.names.account_table)["Items"][0]
    assert item["expires_at"] == {"N": str(int((AT + timedelta(minutes=36)).timestamp()))}
    store.replace("openai", CLOSED, SECOND)
    item = moto.clients.dynamodb.scan(TableName=moto.names.account_table)["Items"][0]
    assert "expires_at" not in item
