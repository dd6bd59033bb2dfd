"""Run a journey with faults, and check the laws at its end."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from tests.simulator.calls import Call, Fault
from tests.simulator.laws import broken
from tests.simulator.world import NotIdle, World
from tests.sweep.journeys import Journey

GRACE = timedelta(minutes=20)
"""How much later a job may end for each fault: a direct call has a lease of 16 minutes, and its worker may be dead."""


class FaultPoint(NamedTuple):
    """A fault at one call: `call` is that of the run without faults."""

    call_index: int
    call: Call
    fault: Fault

    def __str__(self) -> str:
        return f"{self.fault.value} at call {self.call_index}, {self.call.name} of the {self.call.process}"


@dataclass
class FaultReport:
    """The runs of one journey, or of a sample. `calls` is the number of calls of the run without faults; `faults` and
    `ends` count the faults that were injected and how the jobs ended; `breaches` are the broken laws by run."""

    name: str
    calls: int
    faults: Counter[Fault] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    breaches: list[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def runs(self) -> int:
        return self.faults.total()


def run_journey(
    journey: Journey, faults: Mapping[int, Fault], world_class: type[World] = World
) -> tuple[World, list[str]]:
    """The world when it is idle, and the breaches of the laws."""
    world = journey.create_world(world_class, faults=faults)
    not_idle: list[str] = []
    try:
        journey.act(world)
        world.run()
    except NotIdle:
        not_idle = ["the world does not become idle"]
    return world, not_idle + broken(world, within=GRACE * max(1, len(faults)))


def fault_points(journey: Journey, world_class: type[World] = World) -> tuple[int, list[FaultPoint]]:
    """The number of calls of a run without faults, and every possible fault at each of them."""
    calls = run_journey(journey, {}, world_class)[0].calls
    return len(calls.recorded), [
        FaultPoint(index, call, fault)
        for index, (call, modes) in enumerate(zip(calls.recorded, calls.failure_modes, strict=True))
        for fault in Fault
        if fault in modes.faults
    ]


def sweep(journey: Journey, world_class: type[World] = World, *, every: int = 1) -> FaultReport:
    """One run for each fault point, or for every n-th."""
    calls, points = fault_points(journey, world_class)
    report = FaultReport(journey.name, calls)
    for point in points[::every]:
        world, breaches = run_journey(journey, {point.call_index: point.fault}, world_class)
        report.faults[point.fault] += 1
        report.ends.update(ends(world))
        if breaches:
            report.breaches.append((f"{journey.name}, {point}", breaches))
    return report


def ends(world: World) -> Iterator[str]:
    for job in world.jobs.items.values():
        yield f"{job.status} {job.failure.code}" if job.failure else job.status
