"""The laws, under all the bad luck there is: faults anywhere, duplicates, delays, two workers at once, parts down."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterthought.domain.errors import TablesBusy
from tests.simulator.laws import broken
from tests.simulator.line import Fault, ProcessDied, TransportFailed
from tests.simulator.provider import Answer, Ending, Plan
from tests.simulator.queues import Luck
from tests.simulator.world import Down, World, question

CALLS = 150
"""About as many as three jobs take."""

PARTS = ("worker", "notifier", "webhooks", "sweeper")


@dataclass(frozen=True)
class Misfortune:
    """All that goes wrong in one run. `stalls` are seconds that a call hangs; `crowded` the calls during which another
    worker looks at every job; `outages` the parts that are down, and for how many minutes: in all less than the
    deadline, since nobody but a worker ends a job there."""

    seed: int
    luck: Luck
    efforts: tuple[str, ...]
    answers: tuple[Answer, ...]
    endings: tuple[Ending, ...]
    faults: dict[int, Fault]
    stalls: dict[int, float]
    crowded: frozenset[int]
    outages: tuple[tuple[str, int], ...]
    receiver_status: int | None


calls = st.integers(0, CALLS)

misfortunes = st.builds(
    Misfortune,
    seed=st.integers(0, 2**32),
    luck=st.builds(
        Luck,
        duplicates=st.sampled_from((0.0, 0.3, 1.0)),
        early_seconds=st.sampled_from((0.0, 0.9, 5.0)),
        late_seconds=st.sampled_from((0.0, 3.0, 200.0)),
    ),
    efforts=st.lists(st.sampled_from(("low", "medium", "high")), min_size=1, max_size=3).map(tuple),
    answers=st.lists(st.sampled_from(get_args(Answer)), max_size=4).map(tuple),
    endings=st.lists(st.sampled_from(get_args(Ending)), max_size=3).map(tuple),
    faults=st.dictionaries(calls, st.sampled_from(Fault), max_size=8),
    stalls=st.dictionaries(calls, st.sampled_from((1.0, 50.0, 200.0, 1000.0)), max_size=3),
    crowded=st.frozensets(calls, max_size=6),
    outages=st.lists(st.tuples(st.sampled_from(PARTS), st.sampled_from((1, 30, 400))), max_size=3).map(tuple),
    receiver_status=st.sampled_from((200, 200, 204, 500, 302, None)),
)


def live_through(bad: Misfortune) -> World:
    world = World(seed=bad.seed, faults=bad.faults, luck=bad.luck)
    world.provider.plan = Plan(answers=list(bad.answers), endings=list(bad.endings))
    world.receiver.status = bad.receiver_status
    for number, seconds in bad.stalls.items():
        world.line.meanwhile[number] = partial(world.clock.pass_by, seconds)
    for number in bad.crowded - bad.stalls.keys():
        world.line.meanwhile[number] = partial(crowd, world)
    for effort in bad.efforts:
        # Then the caller saw an error, and the job may or may not be there.
        with suppress(ProcessDied, TransportFailed, TablesBusy):
            world.submit(question(effort))
    for part, minutes in bad.outages:
        setattr(world.down, part, True)
        world.run_for(minutes=minutes)
        world.down = Down()
    world.run_for(hours=1)
    world.receiver.status = 200
    world.run()
    return world


def crowd(world: World) -> None:
    for job_id in list(world.jobs.items):
        world.look(job_id)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(misfortunes)
def test_no_misfortune_breaks_a_law(bad: Misfortune) -> None:
    assert broken(live_through(bad)) == []


def test_the_luckiest_run_keeps_the_laws_and_needs_no_rescue() -> None:
    world = World()
    for effort in ("none", "low", "medium", "high", "xhigh"):
        world.submit(question(effort, model="gpt-5.2"))
    world.run()
    assert broken(world) == []
    assert {job.status for job in world.jobs.items.values()} == {"completed"}
    assert "sweeper" not in {call.process for call in world.line.calls}


def whole_run(faults: dict[int, Fault]) -> World:
    """A job with some of everything: a busy provider, a look that finds it thinking, a receiver that fails once."""
    world = World(faults=faults)
    world.provider.plan = Plan(answers=["busy"])
    world.receiver.status = 503
    with suppress(ProcessDied, TransportFailed, TablesBusy):
        world.submit()
    world.run_until(lambda: bool(world.receiver.received), timedelta(hours=2))
    world.receiver.status = 200
    world.run()
    return world


CUTS = len(whole_run({}).line.calls)


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value)
def test_a_cut_at_any_call_of_a_jobs_way_breaks_no_law(fault: Fault) -> None:
    for number in range(CUTS):
        world = whole_run({number: fault})
        assert broken(world) == [], f"{fault.value} call {number}, {world.line.calls[number]}"


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value)
def test_a_cut_costs_a_job_its_answer_only_around_the_paid_call(fault: Fault) -> None:
    """Everywhere else the job completes as if nothing had been: only what may have been paid is not repeated."""
    lost = set()
    for number in range(CUTS):
        world = whole_run({number: fault})
        if any(job.status != "completed" for job in world.jobs.items.values()):
            lost.add(world.line.calls[number].name)
    assert lost <= {"jobs.save", "secret.get", "provider.create"}
    if fault is Fault.MEETS_ITSELF:
        assert lost == set()
