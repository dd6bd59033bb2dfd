"""What the functions do while models think, on the simulator."""

from collections import Counter
from datetime import timedelta

from tests.simulator.world import World, a_request

JOBS = 100


def calls_while_thinking(*, events: bool) -> Counter[str]:
    """The functions' calls from the time when the last job is at its model to the first end, by function."""
    world = World(events=events)
    for _ in range(JOBS):
        world.submit(a_request("high"))
    world.run_until(lambda: len(world.provider.runs) == JOBS, timedelta(hours=1))
    # The last submission still has to write.
    world.run_for(seconds=1)
    start, earlier_calls = world.clock(), len(world.calls.recorded)
    first_end = min(run.ends_at for run in world.provider.runs.values())
    assert first_end - start > timedelta(minutes=1)
    world.run_until(lambda: world.clock() >= first_end, first_end - start)
    return Counter(call.process for call in world.calls.recorded[earlier_calls:])


def test_no_function_runs_while_models_think() -> None:
    assert calls_while_thinking(events=True).total() == 0


def test_without_events_the_worker_polls() -> None:
    assert calls_while_thinking(events=False)["worker"] > JOBS
