"""Every call out of the process in a job's life, cut in every way that is documented for it: the laws hold.

Here a share of the points runs; `make sweep` runs them all, as a part of `make prove`.
"""

from typing import Any

import pytest

from afterthought.services.intake.submit import Submission
from tests.simulator.faults import Fault, named, way_of
from tests.simulator.world import World
from tests.sweep.journeys import JOURNEYS, Journey
from tests.sweep.safeguards import SAFEGUARDS, Safeguard, missed
from tests.sweep.sampling import SampleOf, sample
from tests.sweep.sweep import ends, live, points, sweep

EVERY = 17
"""Most calls have seven or eight faults, so each fault meets some calls of each journey."""

by_name = pytest.mark.parametrize("journey", JOURNEYS, ids=lambda journey: journey.name)


@by_name
def test_a_journey_goes_as_its_name_says(journey: Journey) -> None:
    world, breaches = live(journey, {})
    assert breaches == []
    assert tuple(ends(world)) == journey.ends
    assert world.errors == []
    assert ("sweeper" in {call.process for call in world.line.calls}) == journey.swept


@by_name
def test_no_fault_at_any_call_breaks_a_law(journey: Journey) -> None:
    assert sweep(journey, every=EVERY).breaches == []


@by_name
def test_a_transport_that_repeats_itself_changes_no_end(journey: Journey) -> None:
    """Nothing was lost, so nothing may be: neither an answer nor its price."""
    for point in points(journey)[1]:
        if point.fault is Fault.MEETS_ITSELF:
            world, _ = live(journey, {point.number: point.fault})
            assert tuple(ends(world)) == journey.ends, point


@pytest.mark.parametrize("struck", [2, 3])
def test_no_faults_together_break_a_law(struck: int) -> None:
    """The same runs each time; `make sweep` has more of them, and other ones by its seed."""
    assert sample(JOURNEYS, SampleOf(struck, runs=100, seed=1)).breaches == []


def test_the_journeys_make_every_call_for_which_a_fault_is_documented() -> None:
    lines = [live(journey, {})[0].line for journey in JOURNEYS]
    met = {call.name for line in lines for call in line.calls}
    assert named() <= met
    assert {fault for line in lines for way in line.ways for fault in way.faults} == set(Fault)


class Chatty(World):
    """Its api makes a call that nobody has heard of."""

    def submit(self, *arguments: Any, **named: Any) -> Submission:
        self.line.call("something.new", lambda: None)
        return super().submit(*arguments, **named)


def test_the_sweep_finds_its_points_by_itself() -> None:
    calls, found = points(JOURNEYS[0])
    more_calls, more = points(JOURNEYS[0], Chatty)
    assert more_calls == calls + 1
    assert {point.fault for point in more if point.call.name == "something.new"} == way_of("something.new").faults
    assert len(more) == len(found) + len(way_of("something.new").faults)


@pytest.mark.parametrize("safeguard", SAFEGUARDS, ids=lambda safeguard: safeguard.name)
def test_a_sweep_without_a_safeguard_finds_laws_broken(safeguard: Safeguard) -> None:
    _, runs, broken, laws = missed(safeguard)
    assert 0 < broken < runs
    assert laws[safeguard.shows] > 0
