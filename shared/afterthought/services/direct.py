"""Take a job of a provider without a background mode from its message to its end: the call is awaited.

Everything that decides is `Advance`; here is only the waiting, with what must be seen to while it lasts.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from afterthought.domain.call import Call
from afterthought.domain.errors import AfterthoughtError, HungUp, ProviderError
from afterthought.domain.job import Job
from afterthought.domain.provider import Provider
from afterthought.services.ports import Generation, JobLookup
from afterthought.services.step import Step

LOOK_SECONDS = 20.0
"""Between two looks at whether the job is still wanted: a cancelled job may cost that much longer. A look reads one
item."""

SPARE_SECONDS = 40.0
"""What a call needs besides its own time: the ledger entry before it, and its outcome to be written, each with a
service that stalls."""

_PAUSES_SECONDS = (1.0, 4.0)


class Steps(Protocol):
    """`Advance`, cut in two where the call is made. What either raises, the message is seen again for."""

    def begin(self, job_id: str) -> Step | Call: ...

    def end(self, call: Call, came: Generation | ProviderError) -> Step: ...


class Awaited(Protocol):
    """The model providers, on an event loop."""

    async def create_awaited(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        """The paid call, with an answer that has ended: made once, never repeated here, over within the provider's
        `direct_seconds`. Raises ProviderBusy, ProviderRefused or OutcomeUnknown. Cancelled, it closes its connection,
        on which such a server stops working."""


class NoTimeLeft(AfterthoughtError):
    """The function ends before a call begun now would. Nothing was touched."""


@dataclass(frozen=True)
class Direct:
    """`longest_seconds` is the longest that any call may take: which provider a job meets is known only once it has
    begun, and then it must not be let go any more."""

    steps: Steps
    jobs: JobLookup
    generations: Awaited
    longest_seconds: float
    clock: Callable[[], datetime]

    async def __call__(self, job_id: str, seconds_left: Callable[[], float]) -> Step:
        """One step, its call included. `seconds_left` tells how long the process lives on. Raises NoTimeLeft; what an
        adapter raises goes through, and the message is then seen again."""
        if seconds_left() < self.longest_seconds + SPARE_SECONDS:
            raise NoTimeLeft
        begun = await asyncio.to_thread(self.steps.begin, job_id)
        if isinstance(begun, Step):
            return begun
        return await self._end(begun, await self._called(begun))

    async def _called(self, call: Call) -> Generation | ProviderError:
        """What came of the call, or of the part of it until the job was no longer wanted."""
        answer = asyncio.ensure_future(self.generations.create_awaited(call.provider, call.request))
        unwanted = asyncio.ensure_future(self._unwanted(call.job))
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

    async def _unwanted(self, job: Job) -> HungUp:
        """Comes back when the caller has cancelled the job or its deadline has passed."""
        while True:
            left = (job.deadline_at - self.clock()).total_seconds()
            if left <= 0:
                return HungUp("The deadline passed during the call.")
            await asyncio.sleep(min(LOOK_SECONDS, left))
            if await self._cancelled(job):
                return HungUp("The job was cancelled during the call.")

    async def _cancelled(self, job: Job) -> bool:
        try:
            stands = await asyncio.to_thread(self.jobs.get, job.id)
        except Exception:  # noqa: BLE001 - a table that cannot be read now must not cost the call that is running
            return False
        return stands is not None and stands.cancel_requested_at is not None

    async def _end(self, call: Call, came: Generation | ProviderError) -> Step:
        """The answer exists nowhere but here, so that it is written down is tried more than once."""
        for pause in _PAUSES_SECONDS:
            try:
                return await asyncio.to_thread(self.steps.end, call, came)
            except Exception:  # noqa: BLE001 - whatever it was, the last try tells it
                await asyncio.sleep(pause)
        return await asyncio.to_thread(self.steps.end, call, came)
