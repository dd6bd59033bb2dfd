"""A world's one job from its beginning to its end, plain or cut at one call."""

from afterthought.domain.jobs.job import Job
from tests.simulator.laws import broken
from tests.simulator.line import Fault
from tests.simulator.world import World


def always() -> bool:
    """Enough time for the sweeper."""
    return True


def plain() -> World:
    """A world in which a job has gone its way without any bad luck."""
    world = World()
    world.submit()
    world.run()
    return world


def cut(process: str, name: str, fault: Fault, *, turn: int = 1) -> World:
    """A world in which that call of a plain run will be cut."""
    return World(faults={plain().line.place(process, name, turn): fault})


def finished(world: World, *, lawful: bool = True) -> Job:
    """The world's one job, after all has come to rest."""
    world.run()
    if lawful:
        assert broken(world) == []
    (job,) = world.jobs.items.values()
    return job


def failure_code(job: Job) -> str | None:
    return job.failure.code if job.failure else None
