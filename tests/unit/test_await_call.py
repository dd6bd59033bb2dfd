"""An awaited call: what ends it, and what happens to its answer."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterthought.adapters.batch import RetryLater, process_messages_concurrently
from afterthought.domain.errors import CallAbandoned, OutcomeUnknown, ProviderBusy, ProviderError, ProviderRefused
from afterthought.domain.jobs.call import Call
from afterthought.domain.jobs.generation import Generation
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.step import Step
from afterthought.domain.models.provider import Provider
from afterthought.services.run.await_call import CHECK_SECONDS, SPARE_SECONDS, DirectRunner, NoTimeLeft
from tests.simulator.event_loop import VirtualLoop, in_virtual_time
from tests.simulator.examples import a_job

SERVER = Provider(name="ours", base_url="http://127.0.0.1:9/v1", mode="direct", models="*", direct_seconds=600)
LONG = SERVER.direct_seconds + SPARE_SECONDS
ANSWER = Generation(response_id="resp_1", status="completed", metadata={})


class TableBusy(Exception):
    """An error of an adapter."""


@dataclass
class FakeRunner:
    """Starts a call for every job, but for those in `steps`. Records the results."""

    jobs: dict[str, Job]
    steps: dict[str, Step] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    results: list[tuple[str, Generation | ProviderError]] = field(default_factory=list)
    failing_records: int = 0
    record_tries: int = 0

    def start(self, job_id: str) -> Step | Call:
        self.started.append(job_id)
        return self.steps.get(job_id) or Call(self.jobs[job_id], SERVER, {"model": "o3", "input": job_id})

    def record_result(self, call: Call, result: Generation | ProviderError) -> Step:
        self.record_tries += 1
        if self.record_tries <= self.failing_records:
            raise TableBusy
        self.results.append((call.job.id, result))
        return Step("moved", before=call.job, after=call.job)


@dataclass
class FakeJobs:
    """The job table; `down` makes every read fail."""

    items: dict[str, Job]
    down: bool = False
    reads: int = 0

    def get(self, job_id: str) -> Job | None:
        self.reads += 1
        if self.down:
            raise TableBusy
        return self.items.get(job_id)

    def mark_published(self, job_id: str) -> None:
        raise AssertionError

    def overdue(self, now: object) -> list[str]:
        raise AssertionError


@dataclass
class FakeProvider:
    """Every call takes `seconds` and has this `answer`. `running` are the open calls, `peak` the most at once, and
    `closed` those that the client cancelled."""

    seconds: float = 60.0
    answer: Generation | Exception = ANSWER
    running: int = 0
    peak: int = 0
    closed: int = 0

    async def create_awaited(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.closed += 1
            raise
        finally:
            self.running -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Fixture:
    """A `DirectRunner` on fakes, in virtual time."""

    def __init__(self, number: int = 1, **job: Any) -> None:
        jobs = {each.id: each for each in (a_job(n, **job) for n in range(number))}
        self.ids = list(jobs)
        self.runner, self.jobs, self.provider = FakeRunner(jobs), FakeJobs(dict(jobs)), FakeProvider()
        self.seconds = 0.0

    def run(
        self,
        seconds_left: Callable[[], float] = lambda: 900.0,
        concurrently: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> list[Step]:
        """One step of every job, together with `concurrently`. Checks that no task remains."""

        async def main(loop: VirtualLoop) -> list[Step]:
            direct = DirectRunner(self.runner, self.jobs, self.provider, SERVER.direct_seconds, loop.now)
            other = asyncio.ensure_future(concurrently()) if concurrently else None
            try:
                return await asyncio.gather(*(direct.run(job_id, seconds_left) for job_id in self.ids))
            finally:
                self.seconds = loop.time()
                if other is not None:
                    await other
                assert asyncio.all_tasks() == {asyncio.current_task()}

        return in_virtual_time(main)

    def result(self) -> Generation | ProviderError:
        ((_, result),) = self.runner.results
        return result


def test_answer_is_recorded() -> None:
    fixture = Fixture()
    (step,) = fixture.run()
    assert step.outcome == "moved"
    assert fixture.runner.results == [(fixture.ids[0], ANSWER)]
    assert fixture.seconds == fixture.provider.seconds


def test_step_without_call_makes_no_call() -> None:
    fixture = Fixture()
    fixture.runner.steps = {fixture.ids[0]: Step("not_due")}
    assert fixture.run() == [Step("not_due")]
    assert fixture.provider.peak == 0
    assert fixture.runner.results == []


@pytest.mark.parametrize("error", [ProviderBusy("b"), ProviderRefused("r"), OutcomeUnknown("u")], ids=repr)
def test_provider_error_is_recorded(error: ProviderError) -> None:
    fixture = Fixture()
    fixture.provider.answer = error
    fixture.run()
    assert fixture.result() is error


def test_other_error_is_raised() -> None:
    fixture = Fixture()
    fixture.provider.answer = TableBusy()
    with pytest.raises(TableBusy):
        fixture.run()
    assert fixture.runner.results == []


def test_calls_run_concurrently() -> None:
    fixture = Fixture(number=50)
    fixture.run()
    assert fixture.provider.peak == 50
    assert fixture.seconds == fixture.provider.seconds
    assert sorted(job_id for job_id, _ in fixture.runner.results) == sorted(fixture.ids)


def test_call_is_not_started_without_enough_time() -> None:
    fixture = Fixture()
    with pytest.raises(NoTimeLeft):
        fixture.run(seconds_left=lambda: LONG - 0.001)
    assert fixture.runner.started == []


def test_call_is_started_with_just_enough_time() -> None:
    fixture = Fixture()
    fixture.run(seconds_left=lambda: LONG)
    assert fixture.result() == ANSWER


@pytest.mark.parametrize("cancelled_at", [0.0, 1.0, 19.0, 21.0, 333.0])
def test_cancel_closes_the_call_at_next_check(cancelled_at: float) -> None:
    fixture = Fixture()
    fixture.provider.seconds = 600
    (job_id,) = fixture.ids

    async def cancel() -> None:
        await asyncio.sleep(cancelled_at)
        job = fixture.jobs.items[job_id]
        fixture.jobs.items[job_id] = job.model_copy(update={"cancel_requested_at": job.created_at})

    fixture.run(concurrently=cancel)
    result = fixture.result()
    assert isinstance(result, CallAbandoned)
    assert "cancelled" in result.message
    assert fixture.provider.closed == 1
    assert cancelled_at <= fixture.seconds <= cancelled_at + CHECK_SECONDS


@pytest.mark.parametrize("deadline", [7.5, 20.0, 130.0])
def test_deadline_closes_the_call_at_once(deadline: float) -> None:
    fixture = Fixture(deadline_at=a_job().created_at + timedelta(seconds=deadline))
    fixture.provider.seconds = 600
    fixture.run()
    result = fixture.result()
    assert isinstance(result, CallAbandoned)
    assert "deadline" in result.message
    assert fixture.provider.closed == 1
    assert fixture.seconds == deadline


def test_cancel_closes_no_other_call() -> None:
    fixture = Fixture(number=3)
    job_id = fixture.ids[1]
    fixture.jobs.items[job_id] = a_job(1, cancel_requested_at=a_job().created_at)
    fixture.run()
    assert [each for each, result in fixture.runner.results if isinstance(result, OutcomeUnknown)] == [job_id]
    assert fixture.provider.closed == 1


def test_answer_at_the_time_of_cancel_is_kept() -> None:
    fixture = Fixture(cancel_requested_at=a_job().created_at)
    fixture.provider.seconds = CHECK_SECONDS
    fixture.run()
    assert fixture.result() == ANSWER


def test_job_is_checked_every_twenty_seconds() -> None:
    fixture = Fixture()
    fixture.provider.seconds = 610
    fixture.run()
    assert fixture.jobs.reads == 30


@pytest.mark.parametrize("deleted", [True, False])
def test_failed_check_does_not_close_the_call(deleted: bool) -> None:
    fixture = Fixture()
    fixture.jobs.down, fixture.jobs.items = not deleted, {} if deleted else fixture.jobs.items
    fixture.run()
    assert fixture.result() == ANSWER
    assert fixture.provider.closed == 0


def test_recording_is_retried() -> None:
    fixture = Fixture()
    fixture.runner.failing_records = 2
    fixture.run()
    assert fixture.result() == ANSWER
    assert fixture.provider.seconds < fixture.seconds < fixture.provider.seconds + SPARE_SECONDS


def test_permanent_recording_failure_raises() -> None:
    fixture = Fixture()
    fixture.runner.failing_records = 3
    with pytest.raises(TableBusy):
        fixture.run()
    assert fixture.provider.peak == 1


# ---- batches ---------------------------------------------------------------------------------------------------------


def batch(*message_ids: str) -> dict[str, Any]:
    return {"Records": [{"messageId": each, "body": json.dumps({"job_id": each})} for each in message_ids]}


def failed_messages(
    event: dict[str, Any], handle: Callable[[SQSRecord], Coroutine[Any, Any, None]], most: int
) -> list[str]:
    answer = in_virtual_time(lambda _: process_messages_concurrently(event, handle, max_concurrency=most))
    return [str(failure["itemIdentifier"]) for failure in answer["batchItemFailures"]]


def test_only_failed_messages_are_retried() -> None:
    async def handle(record: SQSRecord) -> None:
        # The first message takes longest.
        await asyncio.sleep(10 - int(record.message_id))
        if record.message_id == "2":
            raise RetryLater
        if record.message_id in ("1", "4"):
            raise TableBusy

    assert failed_messages(batch("0", "1", "2", "3", "4"), handle, most=10) == ["1", "2", "4"]
    assert failed_messages(batch(), handle, most=10) == []


@pytest.mark.parametrize("most", [1, 3, 20])
def test_batch_concurrency_is_limited(most: int) -> None:
    running, peak = 0, 0

    async def handle(record: SQSRecord) -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(1)
        running -= 1

    assert failed_messages(batch(*map(str, range(10))), handle, most=most) == []
    assert peak == min(most, 10)
