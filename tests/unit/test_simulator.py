"""The simulator itself."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from afterthought.domain.errors import QueueUnavailable
from tests.simulator.calls import Fault, ProcessDied, TransportFailed
from tests.simulator.examples import a_job
from tests.simulator.laws import broken
from tests.simulator.pattern import matches, passes_stream_filter
from tests.simulator.queues import QueueFaults
from tests.simulator.world import NotIdle, World, a_request


def test_same_seed_gives_same_run() -> None:
    def run(seed: int) -> tuple[object, ...]:
        world = World(seed=seed, queue_faults=QueueFaults(duplicates=0.5, late_seconds=30))
        for _ in range(3):
            world.submit()
        world.run()
        return world.calls.recorded, world.jobs.history, world.clock()

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_busy_world_raises_not_idle() -> None:
    world = World()
    world.down.worker = True
    world.submit()
    with pytest.raises(NotIdle):
        world.run(days=0.1)


@pytest.mark.parametrize("effect", [False, True])
@pytest.mark.parametrize("dies", [False, True])
def test_fault_is_before_or_after_the_effect(effect: bool, dies: bool) -> None:
    before, after = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER) if dies else (Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER)
    # The fourth call of a submission is jobs.create.
    world = World(faults={3: after if effect else before})
    with pytest.raises(ProcessDied if dies else TransportFailed):
        world.submit()
    assert bool(world.jobs.items) == effect


def test_function_dies_at_its_timeout() -> None:
    world = World()
    job_id = world.submit().job.id
    world.calls.before_call[len(world.calls.recorded) + 1] = lambda: world.clock.pass_by(121)
    with pytest.raises(ProcessDied):
        world.step(job_id)
    assert world.provider.creates == 0


def test_message_moves_to_dead_letters() -> None:
    world = World()
    queue = world.job_messages
    queue.put("{}")
    for receives in range(1, queue.max_receives + 1):
        message = queue.receive()
        assert message is not None
        assert message.receives == receives
        assert queue.receive() is None
        world.clock.pass_by(queue.visibility_seconds)
    assert queue.receive() is None
    assert (queue.messages, len(queue.dead_letters)) == ([], 1)


def test_queue_faults_duplicate_and_shift() -> None:
    world = World(queue_faults=QueueFaults(duplicates=1.0, early_seconds=5, late_seconds=5))
    for _ in range(20):
        world.job_messages.put("{}", delay_seconds=60)
    delays = {message.visible_at - world.clock() for message in world.job_messages.messages}
    assert len(world.job_messages.messages) == 40
    assert min(delays) < timedelta(seconds=60) < max(delays)


def test_too_long_delay_is_refused() -> None:
    with pytest.raises(QueueUnavailable):
        World().queue.send(a_job(), delay_seconds=901)


def test_unsupported_filter_pattern_is_an_error() -> None:
    assert matches({"a": {"b": ["x", "y"]}}, {"a": {"b": "y"}, "c": 1})
    assert not matches({"a": {"b": ["x"]}}, {"a": {}})
    assert not matches({"a": {"b": ["x"]}}, {"c": 1})
    with pytest.raises(AssertionError):
        matches({"a": [{"prefix": "x"}]}, {"a": "xy"})


def test_stream_filter_drops_inserts() -> None:
    world = World()
    world.submit()
    assert [passes_stream_filter(record.image()) for record in world.jobs.stream] == [False]


def test_laws_detect_their_breaches() -> None:
    world = World()
    job_id = world.submit().job.id
    world.run()
    assert broken(world) == []
    (run,) = world.provider.runs.values()
    job = world.job(job_id)
    breaches: dict[str, Callable[[], object]] = {
        "accepted and lost": lambda: world.accepted.append("resp_lost"),
        "an attempt has 2 generations": lambda: world.provider.runs.update({"again": run}),
        "before its attempt was recorded": lambda: setattr(run, "attempt_recorded", False),
        "never published": world.topic.published.clear,
        "its webhook was accepted in none": world.receiver.received.clear,
        "still overdue": lambda: world.jobs.items.update(
            {job_id: job.model_copy(update={"overdue_at": world.clock()})}
        ),
        "never ended": lambda: world.jobs.items.update({job_id: job.model_copy(update={"status": "queued"})}),
        "an end was changed": lambda: world.jobs.history[job_id].append(
            job.model_copy(update={"model": "o1", "version": job.version + 1})
        ),
    }
    for breach, damage in breaches.items():
        damage()
        assert any(breach in text for text in broken(world)), breach


def test_laws_detect_a_wrong_digit_in_a_cost() -> None:
    world = World()
    job_id = world.submit(a_request()).job.id
    world.run()
    job = world.job(job_id)
    assert job.attempt is not None
    assert job.attempt.cost_usd is not None
    attempt = job.attempt.model_copy(update={"cost_usd": job.attempt.cost_usd.next_plus()})
    world.jobs.items[job_id] = job.model_copy(update={"attempts": (attempt,)})
    assert any("is recorded" in text for text in broken(world))
