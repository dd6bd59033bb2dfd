"""A provider's pace: its windows, what a call takes of them, and the lines of those that find no room."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from afterthought.domain.pace import Charge, PaceLimits, Pacing, Room, Taken, head_place, line_place
from afterthought.domain.provider import Provider
from afterthought.services.pace import Pace
from tests.simulator.calls import CallRecorder, Fault, TransportFailed
from tests.simulator.clock import START, Clock
from tests.simulator.paces import SimulatedPaces

LIMITS = PaceLimits(requests_per_minute=60, tokens_per_minute=6000)
SECOND = timedelta(seconds=1)
WINDOW_BEGINS = datetime(2026, 11, 2, 12, 0, 10, tzinfo=UTC)


def limited(requests: int | None = None, tokens: int | None = None) -> PaceLimits:
    return PaceLimits(requests_per_minute=requests, tokens_per_minute=tokens)


# ---- windows


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        (limited(500), 10),
        (limited(7), 10),
        (limited(6), 10),
        (limited(5), 12),
        (limited(3), 20),
        (limited(1), 60),
        (limited(None, 30_000), 10),
        (limited(None, 4), 15),
        (limited(500, 2), 30),
        (limited(3, 30_000), 20),
    ],
)
def test_a_window_lasts_ten_seconds_or_as_long_as_it_takes_to_have_one(limits: PaceLimits, seconds: int) -> None:
    pacing = Pacing(limits)
    number = pacing.number(START)
    assert pacing.start(number) <= START < pacing.start(number + 1)
    assert pacing.start(number + 1) - pacing.start(number) == timedelta(seconds=seconds)


@given(st.integers(1, 100_000), st.integers(0, 10**9))
def test_a_minutes_windows_have_the_limit_exactly_and_each_has_at_least_one(limit: int, first: int) -> None:
    pacing = Pacing(limited(limit, limit))
    windows = min(6, limit)
    rooms = [pacing.room(pacing.start(number), lined_up=False) for number in range(first, first + windows)]
    assert sum(room.requests or 0 for room in rooms) == sum(room.tokens or 0 for room in rooms) == limit
    assert all(room.requests and room.tokens for room in rooms)


def test_a_window_is_kept_for_some_minutes_after_its_end() -> None:
    pacing = Pacing(LIMITS)
    assert pacing.expires_at(pacing.number(WINDOW_BEGINS)) == WINDOW_BEGINS + timedelta(minutes=5, seconds=10)


@pytest.mark.parametrize(("seconds", "share"), [(0, 5_000_000), (2, 6_000_000), (9.999999, 9_999_999)])
def test_a_tenants_share_is_half_of_the_window_and_grows_to_all_of_it(seconds: float, share: int) -> None:
    assert Pacing(LIMITS).room(WINDOW_BEGINS + timedelta(seconds=seconds), lined_up=False) == Room(10, 1000, share)


@pytest.mark.parametrize(("seconds", "requests", "tokens"), [(0, 8, 750), (2, 8, 800), (6, 9, 900), (9.99, 10, 1000)])
def test_those_that_have_a_line_leave_a_fourth_of_what_is_to_come(seconds: float, requests: int, tokens: int) -> None:
    room = Pacing(LIMITS).room(WINDOW_BEGINS + timedelta(seconds=seconds), lined_up=True)
    assert (room.requests, room.tokens) == (requests, tokens)


def test_of_a_window_with_one_request_nothing_is_kept_back() -> None:
    assert Pacing(limited(3)).room(WINDOW_BEGINS, lined_up=True).requests == 1


@pytest.mark.parametrize(
    ("limits", "tokens", "charge"),
    [
        (limited(60), 10**9, Charge(10**9, 1_000_000)),
        (limited(None, 6000), 100, Charge(100, 1_000_000)),
        (limited(600, 6000), 100, Charge(100, 1_000_000)),
        (limited(60, 6000), 1, Charge(1, 1_000_000)),
        (limited(7), 0, Charge(0, 8_571_429)),
        (limited(None, 6000), 0, Charge(0, 1)),
        (limited(None, 6000), 6001, Charge(6000, 60_000_000)),
    ],
)
def test_a_call_takes_of_the_pace_what_it_takes_of_the_scarcer_limit(
    limits: PaceLimits, tokens: int, charge: Charge
) -> None:
    assert Pacing(limits).charge(tokens) == charge


def test_limits_that_limit_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match="needs requests_per_minute"):
        PaceLimits()


# ---- when it may help to ask again


@pytest.mark.parametrize(
    ("taken", "seconds", "again"),
    [
        (Taken(10, 0, {"globex": 10}), 3, 10),
        (Taken(0, 1000), 3, 10),
        (Taken(6, 6, {"acme": 7_000_000}), 3, 4),
        (Taken(6, 6, {"acme": 8_500_000}), 3, 7),
        (Taken(6, 6, {"acme": 60_000_000}), 3, 10),
        (Taken(10, 0, {"acme": 7_000_000}), 3, 10),
        (Taken(10, 0), 9.5, 10.5),
        (Taken(1, 1999), 3, 10),
        (Taken(1, 2000), 3, 20),
        (Taken(1, 5999), 3, 50),
        (Taken(0, 0), 3, 4),
    ],
    ids=[
        "full",
        "full of tokens",
        "share grown",
        "share grows",
        "share never",
        "both",
        "soon",
        "booked in part of the next",
        "booked in all of the next",
        "booked in five",
        "only for those with a line",
    ],
)
def test_it_helps_to_ask_again_when_the_share_has_grown_or_the_next_window_begins(
    taken: Taken, seconds: float, again: float
) -> None:
    at = WINDOW_BEGINS + SECOND * seconds
    assert Pacing(LIMITS).again(taken, "acme", at) == WINDOW_BEGINS + SECOND * again


def test_heads_of_lines_come_within_a_second_of_each_other() -> None:
    assert head_place(START, 0) == START
    assert head_place(START, 0.75) == START + SECOND * 0.75


def test_alone_a_line_keeps_its_order_and_among_others_any_moment_of_its_own_will_do() -> None:
    end, interval = START + SECOND * 40, SECOND * 20
    assert line_place(end, interval, 0.8, alone=True) == START + SECOND * 24
    assert line_place(end, interval, 0.8, alone=False) == START + SECOND * 36
    assert line_place(end, interval, 0, alone=False) == START + SECOND * 20


@pytest.mark.parametrize(
    ("part_seconds", "even", "alone"), [(0.12, 0.114285, 0.114285), (21, 20, 7), (10.5, 10, 5), (1e-6, 1e-6, 1e-6)]
)
def test_a_line_is_a_little_faster_than_the_pace_and_alone_asks_more_often_where_calls_are_few(
    part_seconds: float, even: float, alone: float
) -> None:
    charge = Charge(0, round(part_seconds * 1_000_000))
    assert Pacing(LIMITS).interval(charge, alone=False) == SECOND * even
    assert Pacing(LIMITS).interval(charge, alone=True) == SECOND * alone


# ---- the service


class Processes:
    """Several that share one table, ten seconds into a minute. The recorder has its own clock: calls take no time."""

    def __init__(self, limits: PaceLimits | None = LIMITS, *, processes: int = 1, chance: float | None = 0.5) -> None:
        self.clock = Clock(WINDOW_BEGINS)
        self.recorder = CallRecorder(Clock())
        self.paces = SimulatedPaces(self.recorder)
        random = Random(0)
        self.provider = Provider(
            name="openai",
            base_url="https://llm.example.com/v1",
            mode="background",
            models="*",
            limits={} if limits is None else {"o3": limits},
        )
        draw = random.random if chance is None else lambda: chance
        self.all = [Pace(self.paces, self.clock, draw) for _ in range(processes)]

    def take(self, tokens: int = 1, tenant: str = "acme", *, process: int = 0, model: str = "o3") -> datetime | None:
        return self.all[process].take(self.provider, model, tenant, tokens)

    def calls(self) -> list[str]:
        return [call.name for call in self.recorder.recorded]

    def standing(self, window: int = 0) -> Taken:
        number = Pacing(LIMITS).number(WINDOW_BEGINS) + window
        return self.paces.windows.get(("openai", "o3", number), Taken())


def test_a_call_without_contention_costs_one_write() -> None:
    here = Processes()
    assert here.take(50) is None
    assert here.calls() == ["paces.take"]
    assert here.standing() == Taken(1, 50, {"acme": 1_000_000})


def test_a_model_without_limits_is_not_paced_and_costs_nothing() -> None:
    here = Processes()
    assert [here.take(10**9, model="o4-mini") for _ in range(100)] == [None] * 100
    assert [Processes(None).take()] == [None]
    assert here.calls() == []


def test_a_tenant_gets_half_of_a_window_at_once_and_another_the_other_half() -> None:
    here = Processes()
    assert [here.take() for _ in range(6)][:5] == [None] * 5
    assert here.standing().requests == 5
    assert [here.take(tenant="globex") for _ in range(5)] == [None] * 5
    assert here.take(tenant="initech") == WINDOW_BEGINS + SECOND * 10.5, "the next window has room for it"


def test_a_tenant_that_comes_evenly_gets_the_whole_window() -> None:
    here = Processes()
    for _ in range(10):
        assert here.take() is None
        here.clock.pass_by(1)


def test_the_first_to_find_no_room_waits_for_it_and_the_next_behind_it_in_the_tenants_own_line() -> None:
    here = Processes(limited(6), chance=0)
    assert here.take() is None
    places = [here.take() for _ in range(3)]
    assert places[0] == WINDOW_BEGINS + SECOND * 10
    assert places[1:] == [WINDOW_BEGINS + SECOND * 15, WINDOW_BEGINS + SECOND * 20]
    assert here.take(tenant="globex") == WINDOW_BEGINS + SECOND * 10, "nobody waits behind another tenant"
    assert here.take() == WINDOW_BEGINS + SECOND * 25
    assert here.take() == WINDOW_BEGINS + SECOND * 25 + timedelta(microseconds=9_523_809), "now there are others"


def test_what_is_known_to_be_full_is_not_asked_again_in_that_window() -> None:
    here = Processes(limited(6))
    for _ in range(3):
        here.take()
    assert here.calls() == ["paces.take", "paces.lengthen", "paces.restart", "paces.lengthen"]
    here.clock.pass_by(10)
    assert here.take() is None


def test_another_process_learns_what_is_full_by_one_call() -> None:
    here = Processes(limited(6), processes=2)
    here.take()
    here.take(process=1)
    here.take(process=1)
    assert here.calls().count("paces.take") == 2


def test_two_that_start_a_line_at_once_do_not_get_the_same_place() -> None:
    here = Processes(limited(6), processes=2, chance=0)
    here.take()
    other: list[datetime | None] = []
    # Between the first's finding that the line is idle and its starting it anew.
    here.recorder.before_call[2] = lambda: other.append(here.take(process=1))
    place = here.take(process=0, tenant="acme")
    assert here.calls()[1:] == [
        "paces.lengthen",
        "paces.restart",
        "paces.take",
        "paces.lengthen",
        "paces.restart",
        "paces.lengthen",
    ]
    assert {place, *other} == {WINDOW_BEGINS + SECOND * 10, WINDOW_BEGINS + SECOND * 15}


def test_a_line_of_long_ago_is_none() -> None:
    here = Processes(limited(6), chance=0)
    here.take()
    here.take()
    here.clock.pass_by(3600)
    here.take()
    assert here.take() == here.clock() + SECOND * 10


def test_a_request_larger_than_its_window_books_the_rest_in_those_after_it() -> None:
    here = Processes()
    assert here.take(2500) is None
    assert here.calls() == ["paces.take", "paces.book", "paces.book"]
    assert [here.standing(window).tokens for window in (0, 1, 2, 3)] == [2500, 1500, 500, 0]
    assert here.take(1, "globex") is not None
    here.clock.pass_by(10)
    assert here.take(1, "globex") is not None
    here.clock.pass_by(10)
    assert here.take(1, "globex") is None


def test_only_what_passes_the_windows_end_is_booked_and_by_the_one_that_passes_it() -> None:
    here = Processes()
    assert here.take(900) is None
    assert here.take(300, "globex") is None
    assert (here.standing().tokens, here.standing(1).tokens) == (1200, 200)
    assert here.calls() == ["paces.take", "paces.take", "paces.book"]


def test_what_meets_another_booking_goes_on_to_the_next_window() -> None:
    """Where one process's clock is ahead: it takes of a window in which another has yet to book."""
    here = Processes(processes=2)
    here.clock.pass_by(10)
    assert here.take(900, "globex", process=1) is None
    here.clock.pass_by(-10)
    assert here.take(1500) is None
    assert [here.standing(window).tokens for window in (1, 2)] == [1400, 400]


def test_a_request_larger_than_a_minute_takes_a_minute_and_no_more() -> None:
    here = Processes()
    assert here.take(10**9) is None
    assert [here.standing(window).tokens for window in range(7)] == [6000, 5000, 4000, 3000, 2000, 1000, 0]


@pytest.mark.parametrize("call", range(3))
@pytest.mark.parametrize("fault", [Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER])
def test_a_table_that_fails_is_told_so_that_nothing_is_called(call: int, fault: Fault) -> None:
    here = Processes()
    here.recorder.faults = {call: fault}
    with pytest.raises(TransportFailed):
        here.take(2500)


@pytest.mark.parametrize("call", [1, 2])
def test_a_line_that_cannot_be_joined_is_told_likewise(call: int) -> None:
    here = Processes(limited(6))
    here.take()
    here.recorder.faults = {call: Fault.TIMEOUT_AFTER}
    with pytest.raises(TransportFailed):
        here.take()
    assert here.take() is not None


def test_who_has_a_line_leaves_room_for_who_has_none() -> None:
    here = Processes()
    for tenant in ("acme", "globex"):
        here.all[0].lines.put("openai", "o3", tenant, WINDOW_BEGINS + SECOND, WINDOW_BEGINS)
    for tenant in ("acme", "globex"):
        for _ in range(4):
            assert here.take(tenant=tenant) is None
    assert here.take() is not None
    assert here.take(tenant="initech") is None


# ---- the law


def moments(takes: Iterable[tuple[float, int, int, int]]) -> list[tuple[datetime, int]]:
    """When calls were let through, and what each took."""
    here = Processes(limited(12, 1200), processes=3, chance=None)
    let_through: list[tuple[datetime, int]] = []
    for seconds, tenant, process, tokens in takes:
        here.clock.pass_by(seconds)
        until = here.take(tokens, f"tenant-{tenant}", process=process)
        if until is None:
            let_through.append((here.clock(), min(tokens, 1200)))
        else:
            assert until >= here.clock() + SECOND
    return let_through


TAKES = st.lists(
    st.tuples(st.floats(0, 12) | st.just(0.0), st.integers(0, 3), st.integers(0, 2), st.integers(0, 1500)), max_size=80
)


@given(TAKES)
def test_no_minute_sees_more_than_the_limit_and_what_is_stated_beyond_it(
    takes: list[tuple[float, int, int, int]],
) -> None:
    let_through = moments(takes)
    largest = max((tokens for _, tokens in let_through), default=0)
    for at, _ in let_through:
        aligned = at - timedelta(seconds=at.second % 10, microseconds=at.microsecond)
        for begin, requests, tokens in ((aligned, 12, 1200), (at, 12 + 2, 1200 + 200)):
            minute = [taken for each, taken in let_through if begin <= each < begin + SECOND * 60]
            assert len(minute) <= requests
            assert sum(minute) <= tokens + max(0, largest - 1)


@given(TAKES)
def test_a_bucket_that_refills_evenly_is_never_emptied(takes: list[tuple[float, int, int, int]]) -> None:
    """OpenAI's limit. Two thirds of a minute are what the largest request may have."""
    let_through = moments((seconds, tenant, process, tokens % 800) for seconds, tenant, process, tokens in takes)
    for full, charges in ((12, [1] * len(let_through)), (1200, [tokens for _, tokens in let_through])):
        level, last = Fraction(full), WINDOW_BEGINS
        for (at, _), charge in zip(let_through, charges, strict=True):
            refilled = Fraction((at - last) // timedelta(microseconds=1) * full, 60_000_000)
            level, last = min(Fraction(full), level + refilled) - charge, at
            assert level >= 0
