"""The circuit breaker: when it opens, how long calls wait, and how a probe closes it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.domain.limits.circuit_breaker import CircuitBreakerUnavailable, CircuitState
from afterthought.services.limits.circuit_breaker import CircuitBreaker
from tests.simulator.calls import CallRecorder, Fault, TransportFailed
from tests.simulator.circuit_breakers import SimulatedCircuitBreakers
from tests.simulator.clock import START, Clock

MINUTE = timedelta(minutes=1)
CODE = "insufficient_quota"


class Processes:
    """Several processes share one table. The recorder has its own clock: calls take no time."""

    def __init__(self, processes: int = 2, *, random: Callable[[], float] = lambda: 0.0) -> None:
        self.clock = Clock()
        self.recorder = CallRecorder(Clock())
        self.store = SimulatedCircuitBreakers(self.recorder)
        self.breakers = [CircuitBreaker(self.store, self.clock, random) for _ in range(processes)]

    def retry_at(self, process: int = 0) -> datetime | None:
        return self.breakers[process].retry_at("openai")

    def open(self, process: int = 0, code: str = CODE) -> datetime:
        return self.breakers[process].open("openai", code)

    def close(self, process: int = 0) -> None:
        self.breakers[process].close("openai")

    def pass_minutes(self, minutes: float) -> None:
        self.clock.pass_by(60 * minutes)

    def calls(self) -> list[str]:
        return [call.name for call in self.recorder.recorded]

    def stored(self) -> CircuitState | None:
        return self.store.items.get("openai")

    def is_waiting(self) -> bool:
        """Whether the circuit is open or half open."""
        stored = self.stored()
        return stored is not None and stored.state != "closed"


@pytest.fixture
def processes() -> Processes:
    return Processes()


# ---- closed


def test_circuit_is_read_every_ten_seconds(processes: Processes) -> None:
    for _ in range(25):
        assert processes.retry_at() is None
        processes.close()
        processes.clock.pass_by(1)
    assert processes.calls() == ["circuit_breaker.get"] * 3


def test_providers_are_separate(processes: Processes) -> None:
    processes.open()
    assert processes.breakers[0].retry_at("vllm") is None
    assert processes.breakers[1].retry_at("vllm") is None


# ---- open


def test_refusal_opens_for_five_minutes(processes: Processes) -> None:
    assert processes.open() == START + 5 * MINUTE
    assert processes.stored() == CircuitState(START + 5 * MINUTE, CODE, START)


@pytest.mark.parametrize("process", [0, 1])
def test_open_circuit_makes_calls_wait(processes: Processes, process: int) -> None:
    processes.open()
    for _ in range(5):
        assert processes.retry_at(process) == START + 5 * MINUTE
        processes.clock.pass_by(59.9)


def test_other_process_sees_it_in_ten_seconds(processes: Processes) -> None:
    assert processes.retry_at(1) is None
    processes.open()
    processes.clock.pass_by(9.9)
    assert processes.retry_at(1) is None
    processes.clock.pass_by(0.1)
    assert processes.retry_at(1) == START + 5 * MINUTE


def test_many_refusals_open_once(processes: Processes) -> None:
    for second in range(20):
        assert processes.open(second % 2) == START + 5 * MINUTE
        processes.clock.pass_by(1)
    assert processes.stored() == CircuitState(START + 5 * MINUTE, CODE, START)


# ---- half open


def test_one_probe_and_others_wait_two_minutes(processes: Processes) -> None:
    processes.open()
    assert processes.retry_at(1) is not None
    processes.pass_minutes(5)
    assert processes.retry_at(1) is None
    assert [processes.retry_at(process) for process in (0, 1, 0, 1)] == [START + 7 * MINUTE] * 4


def test_concurrent_probes_are_one() -> None:
    processes = Processes(random=Random(0).random)
    processes.open()
    processes.pass_minutes(6)
    others: list[datetime | None] = []
    # Between the first process's read and its write of the probe.
    processes.recorder.before_call[2] = lambda: others.append(processes.retry_at(1))
    first = processes.retry_at(0)
    assert [first is None, others[0] is None].count(True) == 1


def test_accepted_probe_closes(processes: Processes) -> None:
    processes.open()
    processes.pass_minutes(5)
    assert processes.retry_at(1) is None
    processes.close(1)
    assert not processes.is_waiting()
    processes.clock.pass_by(10)
    assert [processes.retry_at(0), processes.retry_at(1)] == [None, None]


def test_refused_probe_waits_longer(processes: Processes) -> None:
    processes.open()
    for minutes, openings in ((10, 2), (15, 3), (15, 4)):
        before = processes.stored()
        assert before is not None
        processes.clock.move_to(before.retry_at)
        assert processes.retry_at() is None
        now = processes.clock()
        assert processes.open(code="billing_not_active") == now + minutes * MINUTE
        assert processes.stored() == CircuitState(now + minutes * MINUTE, "billing_not_active", START, openings)


def test_wait_starts_over_after_long_success(processes: Processes) -> None:
    processes.open()
    processes.pass_minutes(5)
    processes.retry_at()
    processes.open()
    processes.pass_minutes(10)
    processes.retry_at()
    processes.close()
    processes.pass_minutes(60)
    assert processes.open() == processes.clock() + 5 * MINUTE


def test_lost_probe_is_followed_by_another(processes: Processes) -> None:
    processes.open()
    processes.pass_minutes(5)
    assert processes.retry_at(0) is None
    processes.pass_minutes(2)
    assert processes.retry_at(1) is None
    processes.close(0)
    assert not processes.is_waiting(), "an earlier probe closes the circuit as well"
    ended = processes.stored()
    processes.pass_minutes(1)
    processes.close(1)
    assert processes.stored() == ended


def test_slow_calls_close_the_circuit() -> None:
    processes = Processes(4, random=Random(1).random)
    processes.open()
    out: list[tuple[datetime, int]] = []
    calls = 0
    for step in range(3600 // 5):
        processes.clock.move_to(START + timedelta(seconds=5 * step))
        for end, process in [each for each in out if each[0] <= processes.clock()]:
            out.remove((end, process))
            processes.close(process)
        if calls and not processes.is_waiting():
            break
        if processes.retry_at(step % 4) is None:
            calls += 1
            out.append((processes.clock() + timedelta(seconds=180), step % 4))
    assert processes.clock() <= START + 9 * MINUTE
    assert calls == 2


def test_probe_before_a_refusal_does_not_close(processes: Processes) -> None:
    processes.open()
    processes.pass_minutes(5)
    processes.retry_at(0)
    processes.pass_minutes(2)
    processes.retry_at(1)
    retry_at = processes.open(1)
    processes.close(0)
    assert processes.is_waiting()
    assert processes.retry_at(0) == retry_at


def test_late_refusal_of_probe_waits_longer(processes: Processes) -> None:
    processes.open()
    processes.pass_minutes(5)
    processes.retry_at(0)
    processes.pass_minutes(2)
    processes.retry_at(1)
    assert processes.open(0) == START + 17 * MINUTE
    assert processes.open(1) == START + 17 * MINUTE


# ---- accepted, and refused afterwards


def test_reopening_soon_keeps_growing(processes: Processes) -> None:
    retry_at = processes.open()
    for minutes in (10, 15, 15):
        processes.clock.move_to(retry_at)
        processes.clock.pass_by(10)
        assert processes.retry_at(1) is None
        processes.close(1)
        processes.clock.pass_by(3)
        retry_at = processes.open(0)
        assert retry_at == processes.clock() + minutes * MINUTE
        assert processes.open(1) == retry_at


@pytest.mark.parametrize(("minutes", "wait"), [(29.9, 10), (30, 5)])
def test_closed_circuit_is_kept_half_an_hour(processes: Processes, minutes: float, wait: int) -> None:
    processes.open()
    processes.pass_minutes(5)
    processes.retry_at()
    processes.close()
    processes.pass_minutes(minutes)
    assert processes.open(1) == processes.clock() + wait * MINUTE


def test_closed_circuit_costs_no_writes(processes: Processes) -> None:
    processes.open()
    processes.pass_minutes(5)
    processes.retry_at()
    processes.close()
    before = len(processes.calls())
    for second in range(25):
        assert processes.retry_at() is None, second
        processes.close()
        processes.clock.pass_by(1)
    assert processes.calls()[before:] == ["circuit_breaker.get"] * 3


def test_slow_clock_does_not_wait_for_closed(processes: Processes) -> None:
    processes.open()
    processes.pass_minutes(5)
    processes.retry_at(0)
    processes.close(0)
    processes.clock.pass_by(-0.2)
    assert processes.retry_at(1) is None
    assert processes.open(1) == processes.clock() + 10 * MINUTE


def test_earlier_call_changes_nothing(processes: Processes) -> None:
    processes.retry_at(1)
    processes.open(0)
    processes.close(1)
    processes.open(1)
    assert processes.stored() == CircuitState(START + 5 * MINUTE, CODE, START)


def test_earlier_call_refused_late_is_the_probe(processes: Processes) -> None:
    processes.open(0)
    processes.pass_minutes(6)
    assert processes.open(1) == START + 16 * MINUTE
    assert processes.retry_at(0) == START + 16 * MINUTE


def test_refusal_beside_probe_changes_nothing(processes: Processes) -> None:
    processes.open(0)
    processes.pass_minutes(5)
    assert processes.retry_at(0) is None
    assert processes.open(1) == START + 7 * MINUTE
    processes.close(0)
    assert not processes.is_waiting()


def test_stale_read_makes_no_second_probe(processes: Processes) -> None:
    processes.open(0)
    stale = processes.stored()
    processes.pass_minutes(5)
    assert processes.retry_at(0) is None
    processes.store.stale["openai"] = stale
    processes.clock.pass_by(1)
    assert processes.retry_at(1) == START + 7 * MINUTE
    processes.close(0)
    processes.clock.pass_by(120)
    assert processes.retry_at(1) is None, "its stale circuit is no longer stored"
    assert not processes.is_waiting()


# ---- retries


def test_retries_are_spread_over_a_minute() -> None:
    processes = Processes(random=iter([0.0, 0.0, 0.25, 0.5, 0.999]).__next__)
    assert processes.open() == START + 5 * MINUTE
    assert [processes.retry_at() for _ in range(3)] == [
        START + 5 * MINUTE + timedelta(seconds=15),
        START + 5 * MINUTE + timedelta(seconds=30),
        START + 5 * MINUTE + timedelta(seconds=59.94),
    ]


def test_next_try_is_not_in_the_past() -> None:
    assert CircuitState(START - MINUTE, CODE, START).next_try(START, 0.5) == START + timedelta(seconds=31)


# ---- store errors


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER])
def test_failed_write_opens_in_this_process(processes: Processes, fault: Fault) -> None:
    processes.recorder.faults = {0: fault}
    assert processes.open() == START + 5 * MINUTE
    assert processes.retry_at() == START + 5 * MINUTE
    processes.clock.pass_by(10)
    assert processes.retry_at() == (None if fault is Fault.TIMEOUT_BEFORE else START + 5 * MINUTE)


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER])
def test_failed_close_is_followed_by_a_probe(processes: Processes, fault: Fault) -> None:
    processes.open()
    processes.pass_minutes(5)
    assert processes.retry_at() is None
    processes.recorder.faults = {len(processes.recorder.recorded): fault}
    processes.close()
    processes.pass_minutes(2)
    assert processes.retry_at() is None


@pytest.mark.parametrize(
    ("call", "error"), [(0, TransportFailed), (1, CircuitBreakerUnavailable)], ids=["read", "probe"]
)
def test_store_error_is_raised(processes: Processes, call: int, error: type[Exception]) -> None:
    processes.open()
    processes.pass_minutes(5)
    processes.recorder.faults = {len(processes.recorder.recorded) + call: Fault.TIMEOUT_BEFORE}
    with pytest.raises(error):
        processes.retry_at(1)


# ---- law


@given(
    st.lists(
        st.tuples(st.sampled_from(["retry_at", "close", "open"]), st.integers(0, 2), st.floats(0, 400)), max_size=40
    )
)
def test_one_probe_at_a_time_and_circuit_closes(steps: list[tuple[str, int, float]]) -> None:
    processes = Processes(3, random=Random(0).random)
    for step, process, seconds in steps:
        processes.clock.pass_by(seconds)
        before = processes.stored()
        if step != "retry_at":
            getattr(processes, step)(process)
            continue
        processes.clock.pass_by(10)
        if processes.retry_at(process) is None and before is not None and before.state != "closed":
            after = processes.stored()
            assert after is not None
            assert before.is_over(processes.clock())
            assert after.retry_at > processes.clock()
    # From now on every call is accepted.
    for _ in range(10):
        processes.pass_minutes(20)
        if processes.retry_at() is None:
            processes.close()
    assert not processes.is_waiting()
