"""A provider without our money: who pauses it, for how long, and how one call finds out that there is some again."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.domain.breaker import BreakerUnavailable, Pause, come_back
from afterthought.services.breaker import Breaker
from tests.simulator.breakers import SimulatedBreakers
from tests.simulator.calls import CallRecorder, Fault, TransportFailed
from tests.simulator.clock import START, Clock

MINUTE = timedelta(minutes=1)
CODE = "insufficient_quota"


class Processes:
    """Several that share one table. The recorder has its own clock: calls take no time."""

    def __init__(self, processes: int = 2, *, chance: Callable[[], float] = lambda: 0.0) -> None:
        self.clock = Clock()
        self.recorder = CallRecorder(Clock())
        self.table = SimulatedBreakers(self.recorder)
        self.all = [Breaker(self.table, self.clock, chance) for _ in range(processes)]

    def asks(self, process: int = 0) -> datetime | None:
        return self.all[process].paused_until("openai")

    def refused(self, process: int = 0, code: str = CODE) -> datetime:
        return self.all[process].pause("openai", code)

    def taken(self, process: int = 0) -> None:
        self.all[process].heal("openai")

    def minutes_pass(self, minutes: float) -> None:
        self.clock.pass_by(60 * minutes)

    def calls(self) -> list[str]:
        return [call.name for call in self.recorder.recorded]

    def standing(self) -> Pause | None:
        return self.table.items.get("openai")

    def waiting(self) -> bool:
        """Whether the provider is paused, or probed."""
        stands = self.standing()
        return stands is not None and not stands.healed


@pytest.fixture
def here() -> Processes:
    return Processes()


# ---- while there is money


def test_a_provider_that_nobody_paused_is_called_and_asked_about_once_in_ten_seconds(here: Processes) -> None:
    for _ in range(25):
        assert here.asks() is None
        here.taken()
        here.clock.pass_by(1)
    assert here.calls() == ["breakers.get"] * 3


def test_each_provider_is_paused_by_itself(here: Processes) -> None:
    here.refused()
    assert here.all[0].paused_until("vllm") is None
    assert here.all[1].paused_until("vllm") is None


# ---- pausing


def test_a_refusal_pauses_the_provider_for_five_minutes(here: Processes) -> None:
    assert here.refused() == START + 5 * MINUTE
    assert here.standing() == Pause(START + 5 * MINUTE, CODE, START)


@pytest.mark.parametrize("process", [0, 1])
def test_while_it_is_paused_nobody_calls(here: Processes, process: int) -> None:
    here.refused()
    for _ in range(5):
        assert here.asks(process) == START + 5 * MINUTE
        here.clock.pass_by(59.9)


def test_another_process_learns_of_it_within_ten_seconds(here: Processes) -> None:
    assert here.asks(1) is None
    here.refused()
    here.clock.pass_by(9.9)
    assert here.asks(1) is None
    here.clock.pass_by(0.1)
    assert here.asks(1) == START + 5 * MINUTE


def test_many_calls_refused_at_once_pause_it_once(here: Processes) -> None:
    for second in range(20):
        assert here.refused(second % 2) == START + 5 * MINUTE
        here.clock.pass_by(1)
    assert here.standing() == Pause(START + 5 * MINUTE, CODE, START)


# ---- the probe


def test_after_the_pause_one_of_all_calls_and_the_others_wait_two_minutes_more(here: Processes) -> None:
    here.refused()
    assert here.asks(1) is not None
    here.minutes_pass(5)
    assert here.asks(1) is None
    assert [here.asks(process) for process in (0, 1, 0, 1)] == [START + 7 * MINUTE] * 4


def test_of_two_that_find_the_pause_over_at_once_one_calls(here: Processes) -> None:
    here = Processes(chance=Random(0).random)
    here.refused()
    here.minutes_pass(6)
    others: list[datetime | None] = []
    # Between the first's reading that the pause is over and its taking the probe.
    here.recorder.before_call[2] = lambda: others.append(here.asks(1))
    first = here.asks(0)
    assert [first is None, others[0] is None].count(True) == 1


def test_a_probe_that_is_taken_lets_all_call_again(here: Processes) -> None:
    here.refused()
    here.minutes_pass(5)
    assert here.asks(1) is None
    here.taken(1)
    assert not here.waiting()
    here.clock.pass_by(10)
    assert [here.asks(0), here.asks(1)] == [None, None]


def test_a_probe_that_is_refused_pauses_it_for_longer_up_to_a_quarter_of_an_hour(here: Processes) -> None:
    here.refused()
    for minutes, pauses in ((10, 2), (15, 3), (15, 4)):
        before = here.standing()
        assert before is not None
        here.clock.move_to(before.paused_until)
        assert here.asks() is None
        now = here.clock()
        assert here.refused(code="billing_not_active") == now + minutes * MINUTE
        assert here.standing() == Pause(now + minutes * MINUTE, "billing_not_active", START, pauses)


def test_after_a_time_with_money_the_pauses_begin_anew(here: Processes) -> None:
    here.refused()
    here.minutes_pass(5)
    here.asks()
    here.refused()
    here.minutes_pass(10)
    here.asks()
    here.taken()
    here.minutes_pass(60)
    assert here.refused() == here.clock() + 5 * MINUTE


def test_a_probe_of_which_nothing_is_heard_is_followed_by_another(here: Processes) -> None:
    here.refused()
    here.minutes_pass(5)
    assert here.asks(0) is None
    here.minutes_pass(2)
    assert here.asks(1) is None
    here.taken(0)
    assert not here.waiting(), "it shows as well that there is money"
    ended = here.standing()
    here.minutes_pass(1)
    here.taken(1)
    assert here.standing() == ended


def test_money_is_found_where_every_call_takes_longer_than_a_probe_is_waited_for() -> None:
    here = Processes(4, chance=Random(1).random)
    here.refused()
    out: list[tuple[datetime, int]] = []
    calls = 0
    for step in range(3600 // 5):
        here.clock.move_to(START + timedelta(seconds=5 * step))
        for end, process in [each for each in out if each[0] <= here.clock()]:
            out.remove((end, process))
            here.taken(process)
        if calls and not here.waiting():
            break
        if here.asks(step % 4) is None:
            calls += 1
            out.append((here.clock() + timedelta(seconds=180), step % 4))
    assert here.clock() <= START + 9 * MINUTE
    assert calls == 2


def test_a_probe_that_is_taken_after_a_later_one_was_refused_does_not_end_the_pause(here: Processes) -> None:
    here.refused()
    here.minutes_pass(5)
    here.asks(0)
    here.minutes_pass(2)
    here.asks(1)
    until = here.refused(1)
    here.taken(0)
    assert here.waiting()
    assert here.asks(0) == until


def test_probes_that_are_refused_late_make_the_pause_longer_all_the_same(here: Processes) -> None:
    here.refused()
    here.minutes_pass(5)
    here.asks(0)
    here.minutes_pass(2)
    here.asks(1)
    assert here.refused(0) == START + 17 * MINUTE
    assert here.refused(1) == START + 17 * MINUTE


# ---- a call that was taken, and refused afterwards


def test_where_the_money_is_gone_again_soon_the_pauses_go_on_growing(here: Processes) -> None:
    until = here.refused()
    for minutes in (10, 15, 15):
        here.clock.move_to(until)
        here.clock.pass_by(10)
        assert here.asks(1) is None
        here.taken(1)
        here.clock.pass_by(3)
        until = here.refused(0)
        assert until == here.clock() + minutes * MINUTE
        assert here.refused(1) == until


@pytest.mark.parametrize(("minutes", "pause"), [(29.9, 10), (30, 5)])
def test_an_outage_is_remembered_for_half_an_hour(here: Processes, minutes: float, pause: int) -> None:
    here.refused()
    here.minutes_pass(5)
    here.asks()
    here.taken()
    here.minutes_pass(minutes)
    assert here.refused(1) == here.clock() + pause * MINUTE


def test_an_outage_that_is_remembered_costs_no_writes(here: Processes) -> None:
    here.refused()
    here.minutes_pass(5)
    here.asks()
    here.taken()
    before = len(here.calls())
    for second in range(25):
        assert here.asks() is None, second
        here.taken()
        here.clock.pass_by(1)
    assert here.calls()[before:] == ["breakers.get"] * 3


def test_a_clock_that_is_behind_the_one_that_ended_the_outage_waits_for_nothing(here: Processes) -> None:
    here.refused()
    here.minutes_pass(5)
    here.asks(0)
    here.taken(0)
    here.clock.pass_by(-0.2)
    assert here.asks(1) is None
    assert here.refused(1) == here.clock() + 10 * MINUTE


def test_a_call_from_before_the_pause_neither_ends_it_nor_makes_it_longer(here: Processes) -> None:
    here.asks(1)
    here.refused(0)
    here.taken(1)
    here.refused(1)
    assert here.standing() == Pause(START + 5 * MINUTE, CODE, START)


def test_a_call_from_before_the_pause_that_is_refused_after_it_goes_for_the_probe(here: Processes) -> None:
    here.refused(0)
    here.minutes_pass(6)
    assert here.refused(1) == START + 16 * MINUTE
    assert here.asks(0) == START + 16 * MINUTE


def test_while_the_probe_is_out_anothers_refusal_changes_nothing(here: Processes) -> None:
    here.refused(0)
    here.minutes_pass(5)
    assert here.asks(0) is None
    assert here.refused(1) == START + 7 * MINUTE
    here.taken(0)
    assert not here.waiting()


def test_a_read_that_is_behind_costs_a_write_and_no_second_probe(here: Processes) -> None:
    here.refused(0)
    stale = here.standing()
    here.minutes_pass(5)
    assert here.asks(0) is None
    here.table.behind["openai"] = stale
    here.clock.pass_by(1)
    assert here.asks(1) == START + 7 * MINUTE
    here.taken(0)
    here.clock.pass_by(120)
    assert here.asks(1) is None, "it thought the pause over, and found none"
    assert not here.waiting()


# ---- coming back


def test_those_that_wait_come_back_over_a_minute() -> None:
    here = Processes(chance=iter([0.0, 0.0, 0.25, 0.5, 0.999]).__next__)
    assert here.refused() == START + 5 * MINUTE
    assert [here.asks() for _ in range(3)] == [
        START + 5 * MINUTE + timedelta(seconds=15),
        START + 5 * MINUTE + timedelta(seconds=30),
        START + 5 * MINUTE + timedelta(seconds=59.94),
    ]


def test_nobody_is_told_to_come_back_in_the_past() -> None:
    assert come_back(Pause(START - MINUTE, CODE, START), START, 0.5) == START + timedelta(seconds=31)


# ---- a table that fails


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER])
def test_a_refusal_that_cannot_be_written_pauses_this_process(here: Processes, fault: Fault) -> None:
    here.recorder.faults = {0: fault}
    assert here.refused() == START + 5 * MINUTE
    assert here.asks() == START + 5 * MINUTE
    here.clock.pass_by(10)
    assert here.asks() == (None if fault is Fault.TIMEOUT_BEFORE else START + 5 * MINUTE)


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER])
def test_a_probe_that_was_taken_and_cannot_be_written_is_followed_by_another(here: Processes, fault: Fault) -> None:
    here.refused()
    here.minutes_pass(5)
    assert here.asks() is None
    here.recorder.faults = {len(here.recorder.recorded): fault}
    here.taken()
    here.minutes_pass(2)
    assert here.asks() is None


@pytest.mark.parametrize(("call", "error"), [(0, TransportFailed), (1, BreakerUnavailable)], ids=["read", "probe"])
def test_where_it_cannot_be_told_whether_to_call_nothing_is_called(
    here: Processes, call: int, error: type[Exception]
) -> None:
    here.refused()
    here.minutes_pass(5)
    here.recorder.faults = {len(here.recorder.recorded) + call: Fault.TIMEOUT_BEFORE}
    with pytest.raises(error):
        here.asks(1)


# ---- the law


@given(
    st.lists(
        st.tuples(st.sampled_from(["asks", "taken", "refused"]), st.integers(0, 2), st.floats(0, 400)), max_size=40
    )
)
def test_there_is_one_probe_at_a_time_and_money_is_always_found_again(steps: list[tuple[str, int, float]]) -> None:
    here = Processes(3, chance=Random(0).random)
    for step, process, seconds in steps:
        here.clock.pass_by(seconds)
        before = here.standing()
        if step != "asks":
            getattr(here, step)(process)
            continue
        here.clock.pass_by(10)
        if here.asks(process) is None and before is not None and not before.healed:
            after = here.standing()
            assert after is not None
            assert before.over(here.clock())
            assert after.paused_until > here.clock()
    # From now on every call is taken.
    for _ in range(10):
        here.minutes_pass(20)
        if here.asks() is None:
            here.taken()
    assert not here.waiting()
