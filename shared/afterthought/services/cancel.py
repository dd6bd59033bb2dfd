"""Its owner wants no answer any more: end the job at once where nothing was called, else have the call cancelled."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from afterthought.domain.errors import JobChanged, QueueUnavailable, TablesBusy
from afterthought.domain.identity import known_form, no_such_response
from afterthought.domain.job import Job
from afterthought.domain.schedule import LATE_ANSWER_SECONDS
from afterthought.services.ports import JobQueue, JobStore

_TRIES = 8


@dataclass(frozen=True)
class Cancelled:
    """`enqueued` is false when the message to cancel the call could not be sent: the sweeper then sends it."""

    job: Job
    enqueued: bool = True


@dataclass(frozen=True)
class Cancel:
    jobs: JobStore
    queue: JobQueue
    clock: Callable[[], datetime]

    def __call__(self, tenant: str, job_id: str) -> Cancelled:
        """The job as it stands afterwards; one that has ended stays as it ended. Raises NotFound, the same for an
        unknown job and for another tenant's, and TablesBusy where it moves faster than it can be told."""
        for _ in range(_TRIES):
            job = self.jobs.get(known_form(job_id))
            if job is None or job.tenant != tenant:
                raise no_such_response(job_id)
            attempt = job.open_attempt
            if job.terminal or attempt is None:
                return Cancelled(job)
            now = self.clock()
            if attempt.state == "held":
                after = job.cancelled(now=now)
            elif job.cancel_requested_at is None:
                after = job.cancelling(now=now)
            else:
                return Cancelled(job)
            try:
                self.jobs.save(job, after)
            except JobChanged:
                if self.jobs.get(job.id) != after:
                    continue
            return Cancelled(after, enqueued=self._wake(after))
        raise TablesBusy("The job is changing at this moment. Try again.", headers={"retry-after": "1"})

    def _wake(self, job: Job) -> bool:
        # While the call is being made its worker will see that it is not wanted any more.
        if not job.correctable if job.terminal else job.opened.state == "submitting":
            return True
        try:
            self.queue.send(job, delay_seconds=LATE_ANSWER_SECONDS if job.terminal else 0)
        except QueueUnavailable:
            return False
        return True
