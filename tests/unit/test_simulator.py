"""The simulator itself: what its tests lean on."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from afterthought.domain.errors import QueueUnavailable
from tests.simulator.examples import a_job
from tests.simulator.laws import broken
from tests.simulator.line import Fault, ProcessDied, TransportFailed
from tests.simulator.pattern import matches, passes_stream_filter
from tests.simulator.queues import Luck
from tests.simulator.world import NotQuiet, World, question


def test_the_same_seed_gives_the_same_run() -> None:
    def run(seed: int) -> tuple[object, ...]:
        world = World(seed=seed, luck=Luck(duplicates=0.5, late_seconds=30))
        for _ in range(3):
            world.submit()
        world.run()
        return world.line.calls, world.jobs.history, world.clock()

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_a_run_that_does_not_come_to_rest_says_so() -> None:
    world = World()
    world.down.worker = True
    world.submit()
    with pytest.raises(NotQuiet):
        world.run(days=0.1)


@pytest.mark.parametrize("effect", [False, True])
@pytest.mark.parametrize("dies", [False, True])
def test_a_fault_strikes_before_or_after_the_effect(effect: bool, dies: bool) -> None:
    before, after = (Fault.DIES_BEFORE, Fault.DIES_AFTER) if dies else (Fault.FAILS_BEFORE, Fault.FAILS_AFTER)
    create = 3
    world = World(faults={create: after if effect else before})
    with pytest.raises(ProcessDied if dies else TransportFailed):
        world.submit()
    assert bool(world.jobs.items) == effect


def test_a_function_that_takes_too_long_dies_before_its_next_call() -> None:
    world = World()
    job_id = world.submit().job.id
    world.line.meanwhile[len(world.line.calls) + 1] = lambda: world.clock.pass_by(121)
    with pytest.raises(ProcessDied):
        world.step(job_id)
    assert world.provider.creates == 0


def test_a_queue_hands_a_message_out_until_it_is_deleted_and_then_sets_it_aside() -> None:
    world = World()
    queue = world.job_messages
    queue.put("{}")
    for receives in range(1, queue.most_receives + 1):
        message = queue.receive()
        assert message is not None
        assert message.receives == receives
        assert queue.receive() is None
        world.clock.pass_by(queue.visibility_seconds)
    assert queue.receive() is None
    assert (queue.messages, len(queue.dead)) == ([], 1)


def test_a_queue_of_bad_luck_duplicates_and_shifts() -> None:
    world = World(luck=Luck(duplicates=1.0, early_seconds=5, late_seconds=5))
    for _ in range(20):
        world.job_messages.put("{}", delay_seconds=60)
    shown = {message.visible_at - world.clock() for message in world.job_messages.messages}
    assert len(world.job_messages.messages) == 40
    assert min(shown) < timedelta(seconds=60) < max(shown)


def test_a_delay_that_sqs_refuses_is_refused() -> None:
    with pytest.raises(QueueUnavailable):
        World().queue.send(a_job(), delay_seconds=901)


def test_a_pattern_that_is_not_read_here_is_an_error() -> None:
    assert matches({"a": {"b": ["x", "y"]}}, {"a": {"b": "y"}, "c": 1})
    assert not matches({"a": {"b": ["x"]}}, {"a": {}})
    assert not matches({"a": {"b": ["x"]}}, {"c": 1})
    with pytest.raises(AssertionError):
        matches({"a": [{"prefix": "x"}]}, {"a": "xy"})


def test_the_templates_filter_lets_no_insert_pass() -> None:
    world = World()
    world.submit()
    assert [passes_stream_filter(record.image()) for record in world.jobs.stream] == [False]


def test_the_laws_see_what_is_broken() -> None:
    world = World()
    job_id = world.submit().job.id
    world.run()
    assert broken(world) == []
    (run,) = world.provider.runs.values()
    ledger = world.job(job_id)
    breaches: dict[str, Callable[[], object]] = {
        "accepted and lost": lambda: world.accepted.append("resp_lost"),
        "an attempt has 2 generations": lambda: world.provider.runs.update({"again": run}),
        "before its attempt was recorded": lambda: setattr(run, "ledgered", False),
        "never published": world.topic.published.clear,
        "its webhook was accepted in none": world.receiver.received.clear,
        "still due": lambda: world.jobs.items.update({job_id: ledger.model_copy(update={"overdue_at": world.clock()})}),
        "never ended": lambda: world.jobs.items.update({job_id: ledger.model_copy(update={"status": "queued"})}),
        "an end was changed": lambda: world.jobs.history[job_id].append(
            ledger.model_copy(update={"model": "o1", "version": ledger.version + 1})
        ),
    }
    for breach, commit in breaches.items():
        commit()
        assert any(breach in what for what in broken(world)), breach


def test_a_bill_that_is_wrong_by_a_digit_is_seen() -> None:
    world = World()
    job_id = world.submit(question()).job.id
    world.run()
    job = world.job(job_id)
    assert job.attempt is not None
    assert job.attempt.cost_usd is not None
    entry = job.attempt.model_copy(update={"cost_usd": job.attempt.cost_usd.next_plus()})
    world.jobs.items[job_id] = job.model_copy(update={"attempts": (entry,)})
    assert any("is recorded" in what for what in broken(world))
