"""The port `Paces`, on every backing."""

from datetime import UTC, datetime, timedelta

import pytest

from afterthought.adapters.pace_table import PaceTable
from afterthought.domain.pace import Charge, Room, Taken, TenantLine
from afterthought.services.pace import Paces
from tests.contract.backing import AwsBacking
from tests.contract.item_size import UNIT, item_bytes
from tests.simulator.calls import CallRecorder
from tests.simulator.clock import Clock
from tests.simulator.paces import SimulatedPaces

EXPIRES_AT = datetime(2026, 11, 2, 12, 5, 40, tzinfo=UTC)
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2026, 11, 2, 12, 0, 0, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WINDOW = 179_362_083
ROOM = Room(requests=3, tokens=100, share=500)


@pytest.fixture(params=["simulator", "moto"])
def paces(request: pytest.FixtureRequest) -> Paces:
    if request.param == "simulator":
        return SimulatedPaces(CallRecorder(Clock()))
    return table(request.getfixturevalue("moto"))


def table(moto: AwsBacking) -> PaceTable:
    return PaceTable(moto.clients.dynamodb, moto.names.account_table)


def take(
    paces: Paces,
    tokens: int = 1,
    *,
    share: int = 10,
    tenant: str = "acme",
    provider: str = "openai",
    model: str = "gpt-5.6-sol",
    number: int = WINDOW,
    room: Room = ROOM,
) -> tuple[bool, Taken]:
    return paces.take(provider, model, number, tenant, Charge(tokens, share), room, expires_at=EXPIRES_AT)


def book(paces: Paces, tokens: int, *, number: int = WINDOW) -> Taken:
    return paces.book("openai", "gpt-5.6-sol", number, tokens, expires_at=EXPIRES_AT)


def lengthen(paces: Paces, seconds: float, *, tenant: str = "acme", model: str = "gpt-5.6-sol") -> TenantLine:
    return paces.lengthen("openai", model, tenant, timedelta(seconds=seconds), expires_at=EXPIRES_AT)


def restart(paces: Paces, begins: datetime, *, before: datetime = NEVER, tenant: str = "acme") -> bool:
    line = TenantLine(begins, begins + timedelta(seconds=1))
    return paces.restart("openai", "gpt-5.6-sol", tenant, line, before, expires_at=EXPIRES_AT)


def test_what_is_taken_adds_up_in_all_and_by_tenant(paces: Paces) -> None:
    assert take(paces, 30, share=100) == (True, Taken(1, 30, {"acme": 100}))
    assert take(paces, 20, share=50, tenant="globex-2") == (True, Taken(2, 50, {"acme": 100, "globex-2": 50}))
    assert take(paces, 0, share=7) == (True, Taken(3, 50, {"acme": 107, "globex-2": 50}))


def test_one_request_too_many_takes_nothing(paces: Paces) -> None:
    assert [take(paces)[0] for _ in range(4)] == [True, True, True, False]
    assert take(paces) == (False, Taken(3, 3, {"acme": 30})), "what the answer says is what stands"


def test_a_call_may_pass_the_end_of_the_tokens_and_the_next_takes_nothing(paces: Paces) -> None:
    assert take(paces, 99)[0]
    assert take(paces, 1000) == (True, Taken(2, 1099, {"acme": 20}))
    assert take(paces, 0) == (False, Taken(2, 1099, {"acme": 20}))


def test_all_tokens_taken_leave_no_room_for_a_call_without_any(paces: Paces) -> None:
    assert take(paces, 100)[0]
    assert not take(paces, 0)[0]


def test_a_tenant_stops_at_its_share_and_another_does_not(paces: Paces) -> None:
    assert take(paces, share=499)[0]
    assert take(paces, share=9)[0]
    assert not take(paces)[0]
    assert take(paces, tenant="globex")[0]


def test_what_has_no_limit_is_counted_and_refuses_nothing(paces: Paces) -> None:
    only_tokens, only_requests = ROOM._replace(requests=None), ROOM._replace(tokens=None)
    assert [take(paces, 20, room=only_tokens)[0] for _ in range(6)] == [True] * 5 + [False]
    assert take(paces, 1000, room=only_requests._replace(requests=6)) == (True, Taken(6, 1100, {"acme": 60}))
    assert not take(paces, room=only_requests._replace(requests=6))[0]


@pytest.mark.parametrize("other", [{"provider": "vllm"}, {"model": "o3"}, {"number": WINDOW + 1}], ids=str)
def test_another_provider_model_or_time_is_another_window(paces: Paces, other: dict[str, str]) -> None:
    assert take(paces, 1000)[0]
    assert take(paces, 5, **other) == (True, Taken(1, 5, {"acme": 10}))  # type: ignore[arg-type]


def test_what_is_booked_counts_as_taken(paces: Paces) -> None:
    assert book(paces, 60) == Taken(0, 60)
    assert take(paces, 1) == (True, Taken(1, 61, {"acme": 10}))
    assert book(paces, 1_000_000) == Taken(1, 1_000_061, {"acme": 10})
    assert take(paces, 1) == (False, Taken(1, 1_000_061, {"acme": 10}))


def test_to_book_nothing_shows_what_a_window_has_taken_and_leaves_it(paces: Paces) -> None:
    assert book(paces, 0) == Taken()
    take(paces, 3, tenant="globex-2")
    assert [book(paces, 0), book(paces, 0)] == [Taken(1, 3, {"globex-2": 10})] * 2


def test_a_line_ends_later_by_each_that_joins_it_and_begins_where_it_did(paces: Paces) -> None:
    assert restart(paces, START)
    assert lengthen(paces, 0.114285) == (START, START + timedelta(seconds=1.114285))
    assert lengthen(paces, 57.142857) == (START, START + timedelta(seconds=58.257142))


def test_where_there_is_no_line_it_begins_so_long_ago_that_it_is_seen(paces: Paces) -> None:
    assert lengthen(paces, 12.5) == (NEVER, datetime(1970, 1, 1, 0, 0, 12, 500_000, tzinfo=UTC))


def test_a_line_starts_anew_by_who_knows_where_it_began(paces: Paces) -> None:
    lengthen(paces, 1)
    assert restart(paces, START)
    assert not restart(paces, START + SECOND), "of two that found none, the second finds the first's"
    assert not restart(paces, START + SECOND, before=START - timedelta(microseconds=1))
    lengthen(paces, 3600)
    assert restart(paces, START + SECOND, before=START), "however far it went"
    assert not restart(paces, START + 2 * SECOND, before=START)
    assert lengthen(paces, 1) == (START + SECOND, START + 3 * SECOND)


def test_each_tenant_has_a_line_for_each_model(paces: Paces) -> None:
    restart(paces, START)
    assert lengthen(paces, 1, tenant="globex").begins == NEVER
    assert lengthen(paces, 1, model="o3").begins == NEVER
    assert lengthen(paces, 1) == (START, START + 2 * SECOND)


def test_windows_and_lines_go_by_themselves(moto: AwsBacking) -> None:
    paces = table(moto)
    take(paces)
    book(paces, 1, number=WINDOW + 1)
    lengthen(paces, 1)
    restart(paces, EXPIRES_AT, tenant="globex")
    items = moto.clients.dynamodb.scan(TableName=moto.names.account_table)["Items"]
    assert {item["pk"]["S"] for item in items} == {"PACE#openai#gpt-5.6-sol"}
    assert {item["sk"]["S"] for item in items} == {str(WINDOW), str(WINDOW + 1), "LINE#acme", "LINE#globex"}
    assert {int(item["expires_at"]["N"]) for item in items} == {int(EXPIRES_AT.timestamp())}


def test_a_window_of_forty_tenants_costs_one_write_unit(moto: AwsBacking) -> None:
    paces = table(moto)
    for number in range(40):
        take(paces, 12_345, tenant=f"tenant-{number:03}", share=2_400_000, room=Room(1000, None, 5_000_000))
    item = moto.clients.dynamodb.scan(TableName=moto.names.account_table)["Items"][0]
    assert item_bytes(item) <= UNIT
