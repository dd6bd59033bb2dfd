"""Find what should have happened and did not: every job that is overdue is looked at again."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from afterthought.domain.errors import JobChanged
from afterthought.domain.job import Job
from afterthought.domain.schedule import LATE_ANSWER_SECONDS
from afterthought.services.announce import Announce
from afterthought.services.ports import JobQueue, JobStore


@dataclass(frozen=True)
class Swept:
    """The overdue jobs by what came of them: sent to the worker again, announced again, put off because their next step
    is not wanted yet, or given up after too many sweeps without a step. `troubled` are those that could not be swept,
    with the error: the next pass tries again."""

    woken: list[Job] = field(default_factory=list)
    announced: list[Job] = field(default_factory=list)
    put_off: list[Job] = field(default_factory=list)
    given_up: list[Job] = field(default_factory=list)
    troubled: list[tuple[str, Exception]] = field(default_factory=list)


@dataclass(frozen=True)
class Sweep:
    jobs: JobStore
    queue: JobQueue
    announce: Announce
    clock: Callable[[], datetime]

    def __call__(self, *, enough_time: Callable[[], bool]) -> Swept:
        """One pass over all that is overdue, for as long as `enough_time` says so. What is left waits a minute."""
        swept = Swept()
        for job_id in self.jobs.overdue(self.clock()):
            if not enough_time():
                break
            try:
                self._sweep(job_id, swept)
            except Exception as error:  # noqa: BLE001 the border of a record, where unknown means "try again"
                # One job that cannot be read or announced must not keep all that are due after it from being seen.
                swept.troubled.append((job_id, error))
        return swept

    def _sweep(self, job_id: str, swept: Swept) -> None:
        job = self.jobs.get(job_id)
        now = self.clock()
        if job is None or job.due_at is None or job.due_at > now:
            return
        later = job.swept(now=now)
        try:
            # First the new `due_at`: a job that cannot be helped now does not keep the others from their turn.
            self.jobs.save(job, later)
        except JobChanged:
            return
        if later.terminal:
            if job.terminal:
                self.announce(job_id)
                swept.announced.append(later)
            else:
                # The step into a terminal state is on the stream now, where the notifier sees it.
                swept.given_up.append(later)
                if later.correctable:
                    self.queue.send(later, delay_seconds=LATE_ANSWER_SECONDS)
            return
        if now < job.wake_at:
            if (attempt := job.open_attempt) is not None and attempt.state == "held":
                # It waits for its place, which is near enough for a message now.
                self.queue.send(later, delay_seconds=math.ceil((job.wake_at - now).total_seconds()))
            swept.put_off.append(later)
            return
        self.queue.send(later)
        swept.woken.append(later)
