"""Random runs with several faults: all pairs of faults would be millions of runs."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from tests.simulator.faults import Fault
from tests.sweep.journeys import Journey
from tests.sweep.sweep import FaultReport, ends, fault_points, run_journey


class Sample(NamedTuple):
    """A number of runs, with this number of faults in each."""

    faults: int
    runs: int
    seed: int


def run_sample(journeys: Sequence[Journey], sample: Sample) -> FaultReport:
    report = FaultReport(f"{sample.faults} faults", 0)
    for journey, faults in _draw(journeys, sample):
        world, breaches = run_journey(journey, faults)
        report.faults.update(fault for _, fault in world.calls.injected)
        report.ends.update(ends(world))
        if breaches:
            injected = ", ".join(f"{fault.value} {call.process} {call.name}" for call, fault in world.calls.injected)
            report.breaches.append((f"{journey.name}, {faults}: {injected}", breaches))
    return report


def _draw(journeys: Sequence[Journey], sample: Sample) -> Iterator[tuple[Journey, dict[int, Fault]]]:
    """The first fault is one of a run without faults. A further one is mostly a few calls later, while the run still
    recovers from the first, and else anywhere."""
    random = Random(f"{sample.seed} {sample.faults}")
    points = {journey.name: fault_points(journey) for journey in journeys}
    for _ in range(sample.runs):
        journey = random.choice(journeys)
        calls, candidates = points[journey.name]
        first = random.choice(candidates)
        faults = {first.call_index: first.fault}
        while len(faults) < sample.faults:
            near = max(faults) + random.randint(1, 12)
            faults[near if random.random() < 0.7 else random.randrange(calls * 2)] = random.choice(list(Fault))
        yield journey, faults
