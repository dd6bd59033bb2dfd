"""What runs while models think: many jobs at once on the tests' simulator, the whole service in virtual time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from tests.simulator.world import World, a_request

JOBS = 1000
FEW_JOBS = 100
_EFFORT = "high"


@dataclass(frozen=True)
class Thinking:
    """`seconds` is how long all the jobs thought at once: from the moment when the last of them was at the model to the
    first that ended. `calls` is what functions called meanwhile, by function: each invocation makes at least one."""

    jobs: int
    events: bool
    seconds: float
    calls: Mapping[str, int]

    @property
    def running(self) -> int:
        return sum(self.calls.values())


def watch(jobs: int = JOBS, *, events: bool) -> Thinking:
    """With or without the provider's events. Takes a few seconds."""
    world = World(events=events)
    for _ in range(jobs):
        world.submit(a_request(_EFFORT))
    world.run_until(lambda: len(world.provider.runs) == jobs, timedelta(hours=1))
    # What the last submission still has to write down is no waiting.
    world.run_for(seconds=1)
    began, called = world.clock(), len(world.calls.recorded)
    ends_at = min(run.ends_at for run in world.provider.runs.values())
    if began >= ends_at:
        raise ValueError(f"{jobs} jobs take longer to submit than the first of them thinks")
    world.run_until(lambda: world.clock() >= ends_at, ends_at - began)
    made = Counter(call.process for call in world.calls.recorded[called:])
    return Thinking(jobs, events, (ends_at - began).total_seconds(), made)
