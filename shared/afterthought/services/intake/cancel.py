"""Cancels a job for its owner: at once if no call was made, otherwise by cancelling the call."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from afterthought.domain.errors import TablesBusy, VersionConflict
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.schedule import LATE_USAGE_SECONDS
from afterthought.domain.tenants.identity import response_not_found, valid_job_id
from afterthought.services.commit import always, commit
from afterthought.services.ports import JobQueue, JobStore
from afterthought.services.run.wake import send_wakeup


@dataclass(frozen=True)
class Cancellation:
    """`enqueued` is false when the message to cancel the call could not be sent: the sweeper then sends it."""

    job: Job
    enqueued: bool = True


@dataclass(frozen=True)
class Canceller:
    jobs: JobStore
    queue: JobQueue
    clock: Callable[[], datetime]

    def cancel(self, tenant: str, job_id: str) -> Cancellation:
        """Returns the job after the cancel. A job that has ended does not change. Raises NotFound, with the same
        message for an unknown job and for another tenant's, and TablesBusy when the job changes too fast."""
        job = self.jobs.get(valid_job_id(job_id))
        if job is None or job.tenant != tenant:
            raise response_not_found(job_id)
        try:
            before, after = commit(self.jobs, job, self._change, rebase=always)
        except VersionConflict:
            raise TablesBusy("The job is changing at this moment. Try again.", headers={"retry-after": "1"}) from None
        return Cancellation(after, enqueued=after is before or self._wake(after))

    def _change(self, job: Job) -> Job | None:
        attempt = job.open_attempt
        if attempt is None:
            return None
        if attempt.state == "pending":
            return job.cancel(now=self.clock())
        return job.request_cancel(now=self.clock()) if job.cancel_requested_at is None else None

    def _wake(self, job: Job) -> bool:
        if job.terminal:
            return not job.awaiting_usage or send_wakeup(self.queue, job, LATE_USAGE_SECONDS)
        # The worker that makes the call sees the cancel request afterwards.
        return job.called_attempt.state == "calling" or send_wakeup(self.queue, job)
