"""What is known of tenants' lines: whether anybody stands in them, and by which threads."""

import sys
from datetime import datetime, timedelta
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.domain.pace import Charge, Pacing, Taken, TenantLine
from afterthought.services.pace import KnownLines, Pace
from tests.simulator.clock import START, Clock
from tests.unit.test_pace import LIMITS, SECOND, WINDOW_BEGINS, Processes, limited

# ---- lines in which nobody stands

LONG = TenantLine(WINDOW_BEGINS - SECOND * 10, WINDOW_BEGINS + SECOND * 3600)


@pytest.mark.parametrize(
    ("line", "tells"),
    [
        (LONG, True),
        (LONG._replace(begins=LONG.begins + timedelta(microseconds=1)), False),
        (LONG._replace(end=WINDOW_BEGINS + SECOND * 23), False),
        (LONG._replace(end=WINDOW_BEGINS + SECOND * 23.001), True),
    ],
    ids=["long", "begun in the window", "short", "two windows"],
)
def test_the_window_before_tells_of_a_line_that_went_through_it_and_goes_far(line: TenantLine, tells: bool) -> None:
    assert Pacing(LIMITS).tells(line, WINDOW_BEGINS + SECOND * 3) == tells


@pytest.mark.parametrize(
    ("taken", "tokens", "deserted"),
    [
        (Taken(), 1, True),
        (Taken(2, 2, {"acme": 2_000_000}), 1, True),
        (Taken(3, 3, {"acme": 3_000_000}), 1, False),
        (Taken(10, 10, {"globex": 10_000_000}), 1, False),
        (Taken(0, 999), 1, False),
        (Taken(0, 1000), 1, False),
        (Taken(1, 3000, {"globex": 30_000_000}), 1, False),
        (Taken(1, 1000, {"globex": 10_000_000}), 300, False),
        (Taken(), 300, True),
    ],
    ids=[
        "nobody called",
        "less than a fourth",
        "more",
        "too few of each to tell",
        "nearly all booked",
        "all booked",
        "one very large",
        "calls too large to tell",
        "nobody made large ones",
    ],
)
def test_a_line_is_deserted_where_its_tenant_called_much_less_than_its_part(
    taken: Taken, tokens: int, deserted: bool
) -> None:
    pacing = Pacing(LIMITS)
    assert pacing.deserted(pacing.number(WINDOW_BEGINS), taken, "acme", pacing.charge(tokens)) == deserted


def test_among_others_a_tenants_part_is_an_even_one() -> None:
    pacing, charge = Pacing(limited(600)), Charge(1, 100_000)
    number = pacing.number(WINDOW_BEGINS)
    for own, deserted in ((12, True), (13, False)):
        taken = Taken(100, 0, {"globex": (100 - own) * 100_000, "acme": own * 100_000})
        assert pacing.deserted(number, taken, "acme", charge) == deserted


@given(
    st.lists(st.tuples(st.sampled_from(["acme", "globex", "initech", "booked"]), st.integers(0, 2000)), max_size=60),
    st.integers(0, 500),
    st.integers(0, 60),
)
def test_what_a_window_takes_later_never_makes_a_line_deserted(
    calls: list[tuple[str, int]], tokens: int, seen: int
) -> None:
    pacing, taken, found = Pacing(limited(300, 30_000)), Taken(), []
    number, charge = pacing.number(WINDOW_BEGINS), pacing.charge(tokens)
    for tenant, of_call in calls:
        found.append(pacing.deserted(number, taken, "acme", charge))
        if tenant == "booked":
            taken = Taken(taken.requests, taken.tokens + of_call, taken.shares)
        else:
            taken = taken.with_call(tenant, pacing.charge(of_call))
    assert found == sorted(found, reverse=True)


def test_where_a_line_is_as_long_as_it_says_the_window_before_is_asked_for_once_at_most() -> None:
    here = Processes(limited(6), processes=2, chance=0)
    for window in range(6):
        for _ in range(20):
            here.take()
            here.take(process=1)
        asked = here.calls().count("paces.book")
        assert asked <= window
        here.clock.pass_by(10)
    assert here.calls().count("paces.restart") == 1


def test_of_two_that_find_a_line_deserted_at_once_one_starts_it_anew() -> None:
    here = Processes(limited(60), processes=2, chance=0)
    for _ in range(200):
        here.take()
    here.clock.pass_by(30)
    assert [here.take() for _ in range(5)] == [None] * 5
    other: list[datetime | None] = []
    done = len(here.calls())
    # Between the first's finding it deserted and its starting it anew.
    here.recorder.before_call[done + 2] = lambda: other.append(here.take(process=1))
    place = here.take()
    assert here.calls()[done:] == [
        "paces.lengthen",
        "paces.book",
        "paces.restart",
        "paces.take",
        "paces.lengthen",
        "paces.book",
        "paces.restart",
        "paces.lengthen",
    ]
    now = here.clock()
    assert [place, *other] == [now + SECOND + timedelta(microseconds=952_380), now + SECOND]


# ---- what a process knows of lines


class FullForever:
    """No room and no time: only what a process remembers is worked on."""

    def take(self, *_: object, **__: object) -> tuple[bool, Taken]:
        return False, Taken(10**9)

    def book(self, *_: object, **__: object) -> Taken:
        return Taken(10**9)

    def lengthen(self, *_: object, **__: object) -> TenantLine:
        return TenantLine(WINDOW_BEGINS, WINDOW_BEGINS + SECOND * 60)

    def restart(self, *_: object, **__: object) -> bool:
        return True


def test_threads_may_share_what_is_known_of_lines() -> None:
    # One tenant has all lines of the model, so that whoever asks for others must go through them all.
    pace, provider = Pace(FullForever(), Clock(WINDOW_BEGINS), lambda: 0.5), Processes().provider
    failures: list[BaseException] = []

    def line_up(thread: int) -> None:
        try:
            for number in range(600):
                pace.take(provider, "o3", f"tenant-{thread}-{number}", 1)
        except RuntimeError as failure:
            failures.append(failure)

    threads = [Thread(target=line_up, args=(thread,)) for thread in range(10)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert failures == []
    assert len(pace.lines) == 6_000


def test_lines_that_have_ended_are_forgotten() -> None:
    here = Processes(limited(6))
    for _ in range(200):
        for tenant in ("acme", f"tenant-{here.clock():%H%M%S}"):
            here.take(tenant=tenant)
            here.take(tenant=tenant)
        assert len(here.all[0].lines) <= 20
        here.clock.pass_by(30)


def test_lines_of_one_model_are_none_of_another() -> None:
    lines = KnownLines()
    lines.put("openai", "o3", "acme", START + SECOND, START)
    assert lines.has("openai", "o3", "acme", START)
    assert lines.others("openai", "o3", "globex", START)
    assert not lines.others("openai", "o3", "acme", START)
    assert not lines.others("openai", "o4-mini", "globex", START)
    assert not lines.has("openai", "o3", "acme", START + SECOND)
