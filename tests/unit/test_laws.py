"""The laws, under all the bad luck there is: faults anywhere, duplicates, delays, two workers at once, parts down,
events lost or late, owners who change their minds."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterthought.catalogue import default_catalogue
from afterthought.domain.errors import MoneyRefused, TablesBusy
from tests.simulator.laws import WITHIN, broken
from tests.simulator.line import Fault, ProcessDied, TransportFailed
from tests.simulator.provider import Answer, Ending, Plan
from tests.simulator.queues import Luck
from tests.simulator.world import WEBHOOK_URL, Announced, Down, World, question
from tests.sweep.journeys import DIRECT, PACED, o3_by

CALLS = 150
"""About as many as three jobs take."""

PARTS = ("worker", "direct", "provider_events", "notifier", "webhooks", "sweeper")
CATALOGUES = {
    "plain": default_catalogue(),
    "direct": DIRECT,
    "paced": PACED,
    "gone tomorrow": o3_by(shutdown={"o3": "2026-11-03"}),
}


@dataclass(frozen=True)
class Wish:
    """What an owner asks for."""

    effort: str
    direct: bool
    policies: Mapping[str, Any]

    def body(self) -> dict[str, Any]:
        model = "gpt-oss-20b" if self.direct else "o3"
        asked = question(self.effort, model=model, max_output_tokens=5_000)
        return {**asked, "afterthought": {"webhook_url": WEBHOOK_URL, **self.policies}}


@dataclass(frozen=True)
class Misfortune:
    """All that goes wrong in one run. `announced` is what becomes of the provider's events, by their number, None where
    it sends none; `cancels` are the calls during which an owner cancels every job; `stalls` are seconds that a call
    hangs; `crowded` the calls during which another worker looks at every job; `outages` the parts that are down, and
    for how many minutes: in all less than the longest deadline, since nobody but a worker ends a job there. `room` is
    for how many of the dearest jobs a tenant has a budget."""

    seed: int
    luck: Luck
    catalogue: str
    announced: Mapping[int, Announced] | None
    wishes: tuple[Wish, ...]
    answers: tuple[Answer, ...]
    endings: tuple[Ending, ...]
    seconds: float | None
    retry_after_seconds: float | None
    cancels: frozenset[int]
    faults: dict[int, Fault]
    stalls: dict[int, float]
    crowded: frozenset[int]
    outages: tuple[tuple[str, int], ...]
    receiver_status: int | None
    room: float | None


calls = st.integers(0, CALLS)
policies = st.fixed_dictionaries(
    {},
    optional={
        "on_unknown": st.sampled_from(("fail", "retry")),
        "on_starved": st.sampled_from(("keep", "retry")),
        "model_policy": st.sampled_from(("exact", "successor")),
        "deadline_seconds": st.sampled_from((60, 300, 3600)),
        "max_cost_usd": st.sampled_from(("0.05", "0.1", "1")),
    },
)
wishes = st.builds(
    Wish,
    effort=st.sampled_from(("low", "medium", "high")),
    direct=st.sampled_from((False, False, True)),
    policies=policies,
)

misfortunes = st.builds(
    Misfortune,
    seed=st.integers(0, 2**32),
    luck=st.builds(
        Luck,
        duplicates=st.sampled_from((0.0, 0.3, 1.0)),
        early_seconds=st.sampled_from((0.0, 0.9, 5.0)),
        late_seconds=st.sampled_from((0.0, 3.0, 200.0)),
    ),
    catalogue=st.sampled_from(sorted(CATALOGUES)),
    announced=st.none() | st.dictionaries(st.integers(1, 6), st.sampled_from(get_args(Announced)), max_size=4),
    wishes=st.lists(wishes, min_size=1, max_size=3).map(tuple),
    answers=st.lists(st.sampled_from(get_args(Answer)), max_size=4).map(tuple),
    endings=st.lists(st.sampled_from(get_args(Ending)), max_size=3).map(tuple),
    seconds=st.sampled_from((None, None, 0.0, 700.0, 5000.0)),
    retry_after_seconds=st.sampled_from((None, 1.0, 100.0, 2000.0)),
    cancels=st.frozensets(calls, max_size=2),
    faults=st.dictionaries(calls, st.sampled_from(Fault), max_size=8),
    stalls=st.dictionaries(calls, st.sampled_from((1.0, 50.0, 200.0, 1000.0)), max_size=3),
    crowded=st.frozensets(calls, max_size=6),
    outages=st.lists(st.tuples(st.sampled_from(PARTS), st.sampled_from((1, 30, 400))), max_size=3).map(tuple),
    receiver_status=st.sampled_from((200, 200, 204, 500, 302, None)),
    room=st.sampled_from((None, None, 1.0, 1.9, 3.0)),
)


def live_through(bad: Misfortune) -> World:
    world = World(
        seed=bad.seed,
        faults=bad.faults,
        luck=bad.luck,
        events=bad.announced is not None,
        announced=bad.announced or {},
        catalogue=CATALOGUES[bad.catalogue],
    )
    world.provider.plan = Plan(
        list(bad.answers), list(bad.endings), retry_after_seconds=bad.retry_after_seconds, seconds=bad.seconds
    )
    world.receiver.status = bad.receiver_status
    for number, seconds in bad.stalls.items():
        world.line.meanwhile[number] = partial(world.clock.pass_by, seconds)
    for number in bad.crowded - bad.stalls.keys():
        world.line.meanwhile[number] = partial(crowd, world)
    for number in bad.cancels:
        world.line.meanwhile[number] = partial(cancel_all, world)
    if bad.room is not None:
        most = world.admitter.admit(json.dumps(question(max_output_tokens=5_000)).encode()).max_cost.total_usd
        world.cap(day_usd=most * Decimal(bad.room))
    for wish in bad.wishes:
        # Then the caller saw an error, and the job may or may not be there.
        with suppress(ProcessDied, TransportFailed, TablesBusy, MoneyRefused):
            world.submit(wish.body())
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


def cancel_all(world: World) -> None:
    for job_id in list(world.jobs.items):
        with suppress(ProcessDied, TransportFailed, TablesBusy):
            world.cancel(job_id)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(misfortunes)
def test_no_misfortune_breaks_a_law(bad: Misfortune) -> None:
    # A part that is down ends nothing meanwhile; the rest goes by the faults.
    down = timedelta(minutes=sum(minutes for _, minutes in bad.outages))
    assert broken(live_through(bad), within=WITHIN + down) == []


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
