"""Live a journey through, with faults, and see whether the laws hold."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from tests.simulator.laws import broken
from tests.simulator.line import Call, Fault
from tests.simulator.world import NotQuiet, World
from tests.sweep.journeys import Journey

WITHIN = timedelta(minutes=20)
"""A call that is awaited has a lease of 16 minutes; whoever comes after its end sees that nobody is left to tell."""

Make = Callable[..., World]


class Point(NamedTuple):
    """One fault at one call, which has this name in a run without faults."""

    number: int
    call: Call
    fault: Fault

    def __str__(self) -> str:
        return f"{self.fault.value} call {self.number}, {self.call.name} of the {self.call.process}"


@dataclass
class SweepReport:
    """What came of a journey's sweep. `calls` is how many places its plain run can be cut at; `ends` counts how its
    jobs ended; `breaches` are the laws broken, by where the fault was."""

    journey: str
    calls: int
    faults: Counter[Fault] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    breaches: list[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def runs(self) -> int:
        return self.faults.total()


def live(journey: Journey, faults: Mapping[int, Fault], make: Make = World) -> tuple[World, list[str]]:
    """The world after all has come to rest, and what breaks a law there. What is to end may go on for a while for each
    fault."""
    world = journey.world(make, faults=faults)
    restless: list[str] = []
    try:
        journey.act(world)
        world.run()
    except NotQuiet:
        restless = ["it does not come to rest"]
    return world, restless + broken(world, within=WITHIN * max(1, len(faults)))


def points(journey: Journey, make: Make = World) -> tuple[int, list[Point]]:
    """How many calls the journey makes where nothing fails, and every fault at each of them."""
    line = live(journey, {}, make)[0].line
    return len(line.calls), [
        Point(number, call, fault)
        for number, (call, way) in enumerate(zip(line.calls, line.ways, strict=True))
        for fault in Fault
        if fault in way.faults
    ]


def sweep(journey: Journey, make: Make = World, *, every: int = 1) -> SweepReport:
    """One run for each point, or for every so manieth of them."""
    calls, found = points(journey, make)
    swept = SweepReport(journey.name, calls)
    for point in found[::every]:
        world, breaches = live(journey, {point.number: point.fault}, make)
        swept.faults[point.fault] += 1
        swept.ends.update(ends(world))
        if breaches:
            swept.breaches.append((f"{journey.name}, {point}", breaches))
    return swept


def ends(world: World) -> Iterator[str]:
    for job in world.jobs.items.values():
        yield f"{job.status} {job.failure.code}" if job.failure else job.status
