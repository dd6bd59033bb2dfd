"""A call that is awaited: what ends it, and what becomes of its answer."""

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
    """What an adapter may raise."""


@dataclass
class Steps:
    """Every job is to be called, but those that have had their step; and what the calls came to is noted."""

    jobs: dict[str, Job]
    steps: dict[str, Step] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    ended: list[tuple[str, Generation | ProviderError]] = field(default_factory=list)
    busy_ends: int = 0
    end_tries: int = 0

    def start(self, job_id: str) -> Step | Call:
        self.begun.append(job_id)
        return self.steps.get(job_id) or Call(self.jobs[job_id], SERVER, {"model": "o3", "input": job_id})

    def record_result(self, call: Call, result: Generation | ProviderError) -> Step:
        self.end_tries += 1
        if self.busy_ends >= self.end_tries:
            raise TableBusy
        self.ended.append((call.job.id, result))
        return Step("moved", before=call.job, after=call.job)


@dataclass
class Table:
    """The jobs as they stand, in a table that may be out of reach."""

    standing: dict[str, Job]
    broken: bool = False
    looks: int = 0

    def get(self, job_id: str) -> Job | None:
        self.looks += 1
        if self.broken:
            raise TableBusy
        return self.standing.get(job_id)

    def mark_published(self, job_id: str) -> None:
        raise AssertionError

    def overdue(self, now: object) -> list[str]:
        raise AssertionError


@dataclass
class ModelReader:
    """Think for so many seconds and answer so. `thinking` counts those under way, `closed` those given up."""

    seconds: float = 60.0
    answer: Generation | Exception = ANSWER
    thinking: int = 0
    most: int = 0
    closed: int = 0

    async def create_awaited(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        self.thinking += 1
        self.most = max(self.most, self.thinking)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.closed += 1
            raise
        finally:
            self.thinking -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Bench:
    """`DirectRunner` over the three of them, in virtual time."""

    def __init__(self, number: int = 1, **job: Any) -> None:
        jobs = {each.id: each for each in (a_job(n, **job) for n in range(number))}
        self.ids = list(jobs)
        self.steps, self.table, self.models = Steps(jobs), Table(dict(jobs)), ModelReader()
        self.seconds = 0.0

    def run(
        self,
        seconds_left: Callable[[], float] = lambda: 900.0,
        also: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> list[Step]:
        """Every job's step, beside `also`; no task of ours is left over."""

        async def main(loop: VirtualLoop) -> list[Step]:
            direct = DirectRunner(self.steps, self.table, self.models, SERVER.direct_seconds, loop.now)
            beside = asyncio.ensure_future(also()) if also else None
            try:
                return await asyncio.gather(*(direct.run(job_id, seconds_left) for job_id in self.ids))
            finally:
                self.seconds = loop.time()
                if beside is not None:
                    await beside
                assert asyncio.all_tasks() == {asyncio.current_task()}

        return in_virtual_time(main)

    def came(self) -> Generation | ProviderError:
        ((_, came),) = self.steps.ended
        return came


def test_an_answer_is_written_down_by_who_awaited_it() -> None:
    bench = Bench()
    (step,) = bench.run()
    assert step.outcome == "moved"
    assert bench.steps.ended == [(bench.ids[0], ANSWER)]
    assert bench.seconds == bench.models.seconds


def test_a_job_that_needs_no_call_gets_none() -> None:
    bench = Bench()
    bench.steps.steps = {bench.ids[0]: Step("not_due")}
    assert bench.run() == [Step("not_due")]
    assert bench.models.most == 0
    assert bench.steps.ended == []


@pytest.mark.parametrize("error", [ProviderBusy("b"), ProviderRefused("r"), OutcomeUnknown("u")], ids=repr)
def test_an_error_of_the_provider_is_what_the_call_came_to(error: ProviderError) -> None:
    bench = Bench()
    bench.models.answer = error
    bench.run()
    assert bench.came() is error


def test_an_error_of_ours_goes_through_so_that_the_message_comes_again() -> None:
    bench = Bench()
    bench.models.answer = TableBusy()
    with pytest.raises(TableBusy):
        bench.run()
    assert bench.steps.ended == []


def test_many_calls_think_at_once() -> None:
    bench = Bench(number=50)
    bench.run()
    assert bench.models.most == 50
    assert bench.seconds == bench.models.seconds
    assert sorted(job_id for job_id, _ in bench.steps.ended) == sorted(bench.ids)


def test_a_call_that_cannot_end_before_the_function_does_is_not_begun() -> None:
    bench = Bench()
    with pytest.raises(NoTimeLeft):
        bench.run(seconds_left=lambda: LONG - 0.001)
    assert bench.steps.begun == []


def test_a_call_that_can_just_end_in_time_is_made() -> None:
    bench = Bench()
    bench.run(seconds_left=lambda: LONG)
    assert bench.came() == ANSWER


@pytest.mark.parametrize("asked_at", [0.0, 1.0, 19.0, 21.0, 333.0])
def test_a_cancelled_job_lets_its_call_go_at_the_next_look(asked_at: float) -> None:
    bench = Bench()
    bench.models.seconds = 600
    (job_id,) = bench.ids

    async def cancel() -> None:
        await asyncio.sleep(asked_at)
        job = bench.table.standing[job_id]
        bench.table.standing[job_id] = job.model_copy(update={"cancel_requested_at": job.created_at})

    bench.run(also=cancel)
    came = bench.came()
    assert isinstance(came, CallAbandoned)
    assert "cancelled" in came.message
    assert bench.models.closed == 1
    assert asked_at <= bench.seconds <= asked_at + CHECK_SECONDS


@pytest.mark.parametrize("deadline", [7.5, 20.0, 130.0])
def test_a_job_past_its_deadline_lets_its_call_go_at_once(deadline: float) -> None:
    bench = Bench(deadline_at=a_job().created_at + timedelta(seconds=deadline))
    bench.models.seconds = 600
    bench.run()
    came = bench.came()
    assert isinstance(came, CallAbandoned)
    assert "deadline" in came.message
    assert bench.models.closed == 1
    assert bench.seconds == deadline


def test_only_the_job_that_is_cancelled_loses_its_call() -> None:
    bench = Bench(number=3)
    one = bench.ids[1]
    bench.table.standing[one] = a_job(1, cancel_requested_at=a_job().created_at)
    bench.run()
    assert {job_id for job_id, came in bench.steps.ended if isinstance(came, OutcomeUnknown)} == {one}
    assert bench.models.closed == 1


def test_an_answer_that_comes_with_the_cancel_is_not_thrown_away() -> None:
    bench = Bench(cancel_requested_at=a_job().created_at)
    bench.models.seconds = CHECK_SECONDS
    bench.run()
    assert bench.came() == ANSWER


def test_a_job_is_looked_at_every_twenty_seconds_and_not_after_its_answer() -> None:
    bench = Bench()
    bench.models.seconds = 610
    bench.run()
    assert bench.table.looks == 30


@pytest.mark.parametrize("gone", [True, False])
def test_a_table_that_cannot_be_read_costs_no_call(gone: bool) -> None:
    bench = Bench()
    bench.table.broken, bench.table.standing = not gone, {} if gone else bench.table.standing
    bench.run()
    assert bench.came() == ANSWER
    assert bench.models.closed == 0


def test_an_answer_that_cannot_be_written_is_tried_again_since_it_is_nowhere_else() -> None:
    bench = Bench()
    bench.steps.busy_ends = 2
    bench.run()
    assert bench.came() == ANSWER
    assert bench.models.seconds < bench.seconds < bench.models.seconds + SPARE_SECONDS


def test_an_answer_that_cannot_be_written_at_all_says_why() -> None:
    bench = Bench()
    bench.steps.busy_ends = 3
    with pytest.raises(TableBusy):
        bench.run()
    assert bench.models.most == 1


# The batch


def batch(*message_ids: str) -> dict[str, Any]:
    return {"Records": [{"messageId": each, "body": json.dumps({"job_id": each})} for each in message_ids]}


def handled(event: dict[str, Any], handle: Callable[[SQSRecord], Coroutine[Any, Any, None]], most: int) -> list[str]:
    answer = in_virtual_time(lambda _: process_messages_concurrently(event, handle, max_concurrency=most))
    return [str(failure["itemIdentifier"]) for failure in answer["batchItemFailures"]]


def test_of_a_batch_only_what_failed_is_handed_out_again() -> None:
    async def handle(record: SQSRecord) -> None:
        # The first to come is the last to go.
        await asyncio.sleep(10 - int(record.message_id))
        if record.message_id == "2":
            raise RetryLater
        if record.message_id in ("1", "4"):
            raise TableBusy

    assert handled(batch("0", "1", "2", "3", "4"), handle, most=10) == ["1", "2", "4"]
    assert handled(batch(), handle, most=10) == []


@pytest.mark.parametrize("most", [1, 3, 20])
def test_no_more_than_so_many_are_under_way(most: int) -> None:
    under_way, peak = 0, 0

    async def handle(record: SQSRecord) -> None:
        nonlocal under_way, peak
        under_way += 1
        peak = max(peak, under_way)
        await asyncio.sleep(1)
        under_way -= 1

    assert handled(batch(*map(str, range(10))), handle, most=most) == []
    assert peak == min(most, 10)
