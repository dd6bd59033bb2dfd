"""Its owner wants no answer any more: end the job at once where nothing was called, else have the call cancelled."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from afterthought.domain.errors import JobChanged, QueueUnavailable, TablesBusy
from afterthought.domain.identity import known_form, no_such_response
from afterthought.domain.job import Job
from afterthought.domain.schedule import LATE_ANSWER_SECONDS
from afterthought.services.commit import always, commit
from afterthought.services.ports import JobQueue, Ledger


@dataclass(frozen=True)
class Cancelled:
    """`enqueued` is false when the message to cancel the call could not be sent: the sweeper then sends it."""

    job: Job
    enqueued: bool = True


@dataclass(frozen=True)
class Cancel:
    jobs: Ledger
    queue: JobQueue
    clock: Callable[[], datetime]

    def __call__(self, tenant: str, job_id: str) -> Cancelled:
        """The job as it stands afterwards; one that has ended stays as it ended. Raises NotFound, the same for an
        unknown job and for another tenant's, and TablesBusy where it moves faster than it can be told."""
        job = self.jobs.get(known_form(job_id))
        if job is None or job.tenant != tenant:
            raise no_such_response(job_id)
        try:
            before, after = commit(self.jobs, job, self._change, rebase=always)
        except JobChanged:
            raise TablesBusy("The job is changing at this moment. Try again.", headers={"retry-after": "1"}) from None
        return Cancelled(after, enqueued=after is before or self._wake(after))

    def _change(self, job: Job) -> Job | None:
        attempt = job.open_attempt
        if job.terminal or attempt is None:
            return None
        if attempt.state == "held":
            return job.cancelled(now=self.clock())
        return job.cancelling(now=self.clock()) if job.cancel_requested_at is None else None

    def _wake(self, job: Job) -> bool:
        # While the call is being made its worker will see that it is not wanted any more.
        if not job.correctable if job.terminal else job.opened.state == "submitting":
            return True
        try:
            self.queue.send(job, delay_seconds=LATE_ANSWER_SECONDS if job.terminal else 0)
        except QueueUnavailable:
            return False
        return True
