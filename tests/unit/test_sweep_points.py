"""The laws hold with every possible fault at every call of a job's journeys.

Here a share of the points runs; `make sweep` runs them all, as a part of `make prove`.
"""

from typing import Any

import pytest

from afterthought.services.intake.submit import Submission
from tests.simulator.faults import Fault, failure_modes_of, listed_calls
from tests.simulator.world import World
from tests.sweep.journeys import JOURNEYS, Journey
from tests.sweep.safeguards import SAFEGUARDS, Safeguard, sweep_without
from tests.sweep.sampling import Sample, run_sample
from tests.sweep.sweep import ends, fault_points, run_journey, sweep

EVERY = 29
"""Most calls have seven or eight faults, so each fault meets some calls of most journeys."""

by_name = pytest.mark.parametrize("journey", JOURNEYS, ids=lambda journey: journey.name)


@by_name
def test_journey_matches_its_description(journey: Journey) -> None:
    world, breaches = run_journey(journey, {})
    assert breaches == []
    assert tuple(ends(world)) == journey.ends
    assert world.errors == []
    assert ("sweeper" in {call.process for call in world.calls.recorded}) == journey.uses_sweeper


@by_name
def test_one_fault_breaks_no_law(journey: Journey) -> None:
    assert sweep(journey, every=EVERY).breaches == []


@by_name
def test_repeated_request_changes_no_end(journey: Journey) -> None:
    """A repeated request loses nothing, so the job must end as without the fault."""
    for point in fault_points(journey)[1]:
        if point.fault is Fault.REPEATED:
            world, _ = run_journey(journey, {point.call_index: point.fault})
            assert tuple(ends(world)) == journey.ends, point


@pytest.mark.parametrize("faults", [2, 3])
def test_several_faults_break_no_law(faults: int) -> None:
    """The same runs each time; `make sweep` has more of them, and others by its seed."""
    assert run_sample(JOURNEYS, Sample(faults, runs=100, seed=1)).breaches == []


def test_journeys_make_every_listed_call() -> None:
    recorders = [run_journey(journey, {})[0].calls for journey in JOURNEYS]
    names = {call.name for calls in recorders for call in calls.recorded}
    assert listed_calls() <= names
    assert {fault for calls in recorders for modes in calls.failure_modes for fault in modes.faults} == set(Fault)


class WorldWithNewCall(World):
    """Its api makes a call that is not listed in `faults`."""

    def submit(self, *arguments: Any, **named: Any) -> Submission:
        self.calls.call("something.new", lambda: None)
        return super().submit(*arguments, **named)


def test_new_call_is_swept_without_further_work() -> None:
    calls, points = fault_points(JOURNEYS[0])
    more_calls, more_points = fault_points(JOURNEYS[0], WorldWithNewCall)
    new_faults = failure_modes_of("something.new").faults
    assert more_calls == calls + 1
    assert {point.fault for point in more_points if point.call.name == "something.new"} == new_faults
    assert len(more_points) == len(points) + len(new_faults)


@pytest.mark.parametrize("safeguard", SAFEGUARDS, ids=lambda safeguard: safeguard.name)
def test_missing_safeguard_breaks_a_law(safeguard: Safeguard) -> None:
    _, runs, broken, laws = sweep_without(safeguard)
    assert 0 < broken < runs
    assert laws[safeguard.breach] > 0
