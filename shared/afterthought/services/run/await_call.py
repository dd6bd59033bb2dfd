"""Runs jobs of providers without a background mode: each call is awaited.

`JobRunner` decides; this class awaits the call, and stops it when its answer is no longer wanted.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from afterthought.domain.errors import AfterthoughtError, CallAbandoned, ProviderError
from afterthought.domain.jobs.call import Call
from afterthought.domain.jobs.generation import Generation
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.step import Step
from afterthought.domain.models.provider import Provider
from afterthought.services.ports import JobLookup

CHECK_SECONDS = 20.0
"""The interval of the checks for a cancel. A check reads one item. A cancelled call may run, and cost, this much
longer."""

SPARE_SECONDS = 40.0
"""The time for recording the attempt before the call and the result after it, with slow tables."""

_RETRY_SECONDS = (1.0, 4.0)


class Runner(Protocol):
    """The two halves of `JobRunner.run`, before and after the call. After any error the message is received again."""

    def start(self, job_id: str) -> Step | Call: ...

    def record_result(self, call: Call, result: Generation | ProviderError) -> Step: ...


class AsyncGenerations(Protocol):
    """The model providers, on an event loop."""

    async def create_awaited(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        """The paid call and its final answer: made once, not retried, finished within the provider's `direct_seconds`.
        Raises ProviderBusy, ProviderRefused or OutcomeUnknown. Cancelling it closes its connection; the server then
        stops the run."""


class NoTimeLeft(AfterthoughtError):
    """The function would end before a new call does. Nothing was changed."""


@dataclass(frozen=True)
class DirectRunner:
    """`max_call_seconds` is the longest time limit of all providers: the provider of a job is known only after the
    attempt is recorded, and then the call must be made."""

    runner: Runner
    jobs: JobLookup
    generations: AsyncGenerations
    max_call_seconds: float
    clock: Callable[[], datetime]

    async def run(self, job_id: str, seconds_left: Callable[[], float]) -> Step:
        """Runs one step, including its call. `seconds_left` is the remaining lifetime of the process. Raises
        NoTimeLeft. After an error of an adapter the message is received again."""
        if seconds_left() < self.max_call_seconds + SPARE_SECONDS:
            raise NoTimeLeft
        started = await asyncio.to_thread(self.runner.start, job_id)
        if isinstance(started, Step):
            return started
        return await self._record(started, await self._call(started))

    async def _call(self, call: Call) -> Generation | ProviderError:
        """The result of the call, or the reason why it was stopped."""
        answer = asyncio.ensure_future(self.generations.create_awaited(call.provider, call.request))
        unwanted = asyncio.ensure_future(self._wait_until_unwanted(call.job))
        try:
            await asyncio.wait({answer, unwanted}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                answer.cancel()
                await asyncio.wait({answer})
            return unwanted.result() if answer.cancelled() else answer.result()
        except ProviderError as error:
            return error
        finally:
            answer.cancel()
            unwanted.cancel()
            await asyncio.wait({answer, unwanted})

    async def _wait_until_unwanted(self, job: Job) -> CallAbandoned:
        """Returns when the owner has cancelled the job or its deadline has passed."""
        while True:
            left = (job.deadline_at - self.clock()).total_seconds()
            if left <= 0:
                return CallAbandoned("The deadline passed during the call.")
            await asyncio.sleep(min(CHECK_SECONDS, left))
            if await self._cancel_requested(job):
                return CallAbandoned("The job was cancelled during the call.")

    async def _cancel_requested(self, job: Job) -> bool:
        try:
            current = await asyncio.to_thread(self.jobs.get, job.id)
        except Exception:  # noqa: BLE001 - a failed read must not cost the running call
            return False
        return current is not None and current.cancel_requested_at is not None

    async def _record(self, call: Call, result: Generation | ProviderError) -> Step:
        """Only this process has the answer, so recording it is retried."""
        for pause in _RETRY_SECONDS:
            try:
                return await asyncio.to_thread(self.runner.record_result, call, result)
            except Exception:  # noqa: BLE001 - the last try reports it
                await asyncio.sleep(pause)
        return await asyncio.to_thread(self.runner.record_result, call, result)
