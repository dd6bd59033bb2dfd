"""The port `ThrottleStore`, on every backing."""

from datetime import datetime, timedelta

import pytest

from afterthought.adapters.throttle_table import ThrottleTable
from afterthought.domain.limits.throttle import (
    EMPTY_QUEUE,
    Capacity,
    Refusal,
    TenantQueue,
    Window,
    WindowUsage,
)
from afterthought.domain.models.provider import ProviderLimits
from afterthought.services.limits.throttle import ThrottleStore
from bench.units import WRITE_UNIT_BYTES, item_bytes
from tests.contract.backing import AwsBacking
from tests.simulator.calls import CallRecorder
from tests.simulator.clock import START, Clock
from tests.simulator.throttle import SimulatedThrottle

AT = START + timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
WINDOW = Window.at(ProviderLimits(requests_per_minute=18, tokens_per_minute=600), AT)
CAPACITY = Capacity(requests=3, tokens=100)


@pytest.fixture(params=["simulator", "moto"])
def store(request: pytest.FixtureRequest) -> ThrottleStore:
    if request.param == "simulator":
        return SimulatedThrottle(CallRecorder(Clock()))
    return table(request.getfixturevalue("moto"))


def table(moto: AwsBacking) -> ThrottleTable:
    return ThrottleTable(moto.clients.dynamodb, moto.names.account_table)


def take(
    store: ThrottleStore,
    tokens: int = 1,
    *,
    provider: str = "openai",
    model: str = "gpt-5.6-sol",
    window: Window = WINDOW,
    capacity: Capacity = CAPACITY,
) -> tuple[bool, WindowUsage]:
    return store.take(provider, model, window, tokens, capacity)


def add(store: ThrottleStore, tokens: int) -> WindowUsage:
    return store.add_tokens("openai", "gpt-5.6-sol", WINDOW, tokens)


def refusal(at: datetime = AT, *, earliest: float = 10, interval: float = 1) -> Refusal:
    return Refusal(at, at + SECOND * earliest, SECOND * interval, SECOND * 20)


def join(store: ThrottleStore, job: Refusal, *, tenant: str = "acme", model: str = "gpt-5.6-sol") -> datetime | None:
    return store.join_queue("openai", model, tenant, job)


def start(store: ThrottleStore, job: Refusal, *, tenant: str = "acme") -> TenantQueue | None:
    return store.start_queue("openai", "gpt-5.6-sol", tenant, job)


# ---- windows


def test_usage_adds_up(store: ThrottleStore) -> None:
    assert take(store, 30) == (True, WindowUsage(1, 30))
    assert take(store, 20) == (True, WindowUsage(2, 50))
    assert take(store, 0) == (True, WindowUsage(3, 50))


def test_request_beyond_capacity_uses_nothing(store: ThrottleStore) -> None:
    assert [take(store)[0] for _ in range(4)] == [True, True, True, False]
    assert take(store) == (False, WindowUsage(3, 3)), "the usage is returned"


def test_call_may_exceed_tokens(store: ThrottleStore) -> None:
    """The next one finds no capacity."""
    assert take(store, 99)[0]
    assert take(store, 1000) == (True, WindowUsage(2, 1099))
    assert take(store, 0) == (False, WindowUsage(2, 1099))


def test_used_tokens_refuse_call_without_tokens(store: ThrottleStore) -> None:
    assert take(store, 100)[0]
    assert not take(store, 0)[0]


def test_larger_capacity_allows_more(store: ThrottleStore) -> None:
    """The reserve: the same window, with a larger capacity."""
    assert take(store, 100)[0]
    assert not take(store)[0]
    assert take(store, capacity=Capacity(3, 200)) == (True, WindowUsage(2, 101))


def test_unlimited_capacity_is_counted(store: ThrottleStore) -> None:
    only_tokens, only_requests = Capacity(None, 100), Capacity(6, None)
    assert [take(store, 20, capacity=only_tokens)[0] for _ in range(6)] == [True] * 5 + [False]
    assert take(store, 1000, capacity=only_requests) == (True, WindowUsage(6, 1100))
    assert not take(store, capacity=only_requests)[0]


@pytest.mark.parametrize("other", [{"provider": "vllm"}, {"model": "o3"}, {"window": WINDOW.next()}], ids=str)
def test_windows_are_separate(store: ThrottleStore, other: dict[str, str]) -> None:
    """By provider, model and number."""
    assert take(store, 1000)[0]
    assert take(store, 5, **other) == (True, WindowUsage(1, 5))  # type: ignore[arg-type]


def test_added_tokens_count_as_used(store: ThrottleStore) -> None:
    assert add(store, 60) == WindowUsage(0, 60)
    assert take(store, 1) == (True, WindowUsage(1, 61))
    assert add(store, 1_000_000) == WindowUsage(1, 1_000_061)
    assert take(store, 1) == (False, WindowUsage(1, 1_000_061))


# ---- queues


def test_places_follow_each_other(store: ThrottleStore) -> None:
    """To the microsecond."""
    assert start(store, refusal(interval=0.114285)) == EMPTY_QUEUE
    assert join(store, refusal(interval=57.142857)) == AT + SECOND * 10.114285
    assert join(store, refusal()) == AT + SECOND * 67.257142


def test_missing_queue_cannot_be_joined(store: ThrottleStore) -> None:
    assert join(store, refusal()) is None


def test_live_queue_is_not_replaced(store: ThrottleStore) -> None:
    start(store, refusal())
    assert start(store, refusal()) is None, "the second of two finds the queue of the first"
    assert join(store, refusal()) == AT + SECOND * 11


def test_queue_ending_too_early_is_replaced(store: ThrottleStore) -> None:
    start(store, refusal())
    later = refusal(AT + SECOND)
    assert join(store, later) is None
    assert start(store, later) == TenantQueue(AT + SECOND * 11, AT)
    assert join(store, later) == AT + SECOND * 12


def test_abandoned_queue_is_replaced(store: ThrottleStore) -> None:
    """However long it is, if its last refusal is long ago."""
    start(store, refusal())
    join(store, refusal(interval=3600))
    in_time, late = refusal(AT + SECOND * 19.999999), refusal(AT + SECOND * 39.999999)
    assert join(store, in_time) == AT + SECOND * 3611
    assert start(store, refusal(AT + SECOND * 39.999998)) is None
    assert join(store, late) is None
    assert start(store, late) == TenantQueue(AT + SECOND * 3612, AT + SECOND * 19.999999)
    assert start(store, late) is None
    assert join(store, late) == late.earliest + SECOND


def test_queues_are_separate(store: ThrottleStore) -> None:
    """By tenant and model."""
    start(store, refusal())
    assert join(store, refusal(), tenant="globex-2") is None
    assert join(store, refusal(), model="o3") is None
    assert start(store, refusal(), tenant="globex-2") == EMPTY_QUEUE
    assert join(store, refusal()) == AT + SECOND * 11


# ---- items


def test_items_expire(moto: AwsBacking) -> None:
    store = table(moto)
    take(store)
    store.add_tokens("openai", "gpt-5.6-sol", WINDOW.next(), 1)
    start(store, refusal())
    items = moto.clients.dynamodb.scan(TableName=moto.names.account_table)["Items"]
    assert {item["pk"]["S"] for item in items} == {"THROTTLE#openai#gpt-5.6-sol"}
    expiries = {item["sk"]["S"]: int(item["expires_at"]["N"]) - START.timestamp() for item in items}
    assert expiries == {str(WINDOW.number): 310, str(WINDOW.number + 1): 320, "QUEUE#acme": 2 * 24 * 3600}


def test_window_does_not_grow_with_tenants(moto: AwsBacking) -> None:
    store = table(moto)
    for _ in range(40):
        take(store, 12_345, capacity=Capacity(1000, None))
    item = moto.clients.dynamodb.scan(TableName=moto.names.account_table)["Items"][0]
    assert set(item) == {"pk", "sk", "requests", "tokens", "expires_at"}
    assert item_bytes(item) <= WRITE_UNIT_BYTES / 8
