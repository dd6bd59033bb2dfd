"""Run one job to its end, with or without a fault."""

from afterthought.domain.jobs.job import Job
from tests.simulator.calls import Fault
from tests.simulator.laws import broken
from tests.simulator.world import World


def always() -> bool:
    """An `enough_time` for the sweeper."""
    return True


def run_without_faults() -> World:
    """A world in which one job completed."""
    world = World()
    world.submit()
    world.run()
    return world


def with_fault(process: str, name: str, fault: Fault, *, occurrence: int = 1) -> World:
    """A new world that injects the fault at this call of a run without other faults."""
    return World(faults={run_without_faults().calls.index_of(process, name, occurrence): fault})


def run_to_end(world: World, *, check_laws: bool = True) -> Job:
    """Runs until the world is idle. Returns its only job."""
    world.run()
    if check_laws:
        assert broken(world) == []
    (job,) = world.jobs.items.values()
    return job


def failure_code(job: Job) -> str | None:
    return job.failure.code if job.failure else None
