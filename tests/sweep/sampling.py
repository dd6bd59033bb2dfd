"""Several faults in one life, by chance: all pairs of them would be millions."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from tests.simulator.faults import Fault
from tests.sweep.journeys import Journey
from tests.sweep.sweep import Point, SweepReport, ends, live, points


class SampleOf(NamedTuple):
    """So many runs with so many faults each."""

    faults: int
    runs: int
    seed: int


def sample(journeys: Sequence[Journey], of: SampleOf) -> SweepReport:
    swept = SweepReport(f"{of.faults} faults", 0)
    for journey, struck in sampled(journeys, of):
        world, breaches = live(journey, struck)
        swept.faults.update(fault for _, fault in world.line.struck)
        swept.ends.update(ends(world))
        if breaches:
            at = ", ".join(f"{fault.value} {call.process} {call.name}" for call, fault in world.line.struck)
            swept.breaches.append((f"{journey.name}, {struck}: {at}", breaches))
    return swept


def sampled(journeys: Sequence[Journey], of: SampleOf) -> Iterator[tuple[Journey, dict[int, Fault]]]:
    """The first fault strikes in the plain run; each that follows a few calls after, where the run still suffers from
    the first, or anywhere."""
    random = Random(f"{of.seed} {of.faults}")
    found: dict[str, tuple[int, list[Point]]] = {journey.name: points(journey) for journey in journeys}
    for _ in range(of.runs):
        journey = random.choice(journeys)
        calls, at = found[journey.name]
        first = random.choice(at)
        struck = {first.number: first.fault}
        while len(struck) < of.faults:
            near = max(struck) + random.randint(1, 12)
            struck[near if random.random() < 0.7 else random.randrange(calls * 2)] = random.choice(list(Fault))
        yield journey, struck
