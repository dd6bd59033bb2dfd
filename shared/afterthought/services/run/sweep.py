"""Finds overdue jobs and starts the step that did not happen."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from afterthought.domain.errors import VersionConflict
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.schedule import LATE_USAGE_SECONDS
from afterthought.services.commit import commit
from afterthought.services.notify.publish import Notifier
from afterthought.services.ports import JobQueue, JobStore


@dataclass(frozen=True)
class SweepReport:
    """The overdue jobs by result: `woken` got a message, `published` had their end published again, `not_due` have a
    later next step, `given_up` were ended. `errors` are those that failed; the next pass tries them again."""

    woken: list[Job] = field(default_factory=list)
    published: list[Job] = field(default_factory=list)
    not_due: list[Job] = field(default_factory=list)
    given_up: list[Job] = field(default_factory=list)
    errors: list[tuple[str, Exception]] = field(default_factory=list)


@dataclass(frozen=True)
class Sweeper:
    jobs: JobStore
    queue: JobQueue
    notifier: Notifier
    clock: Callable[[], datetime]

    def sweep(self, *, enough_time: Callable[[], bool]) -> SweepReport:
        """One pass over the overdue jobs while `enough_time` holds. The rest waits for the next pass."""
        report = SweepReport()
        for job_id in self.jobs.overdue(self.clock()):
            if not enough_time():
                break
            try:
                self._sweep(job_id, report)
            except Exception as error:  # noqa: BLE001 one failing job must not stop the sweep of the others
                report.errors.append((job_id, error))
        return report

    def _sweep(self, job_id: str, report: SweepReport) -> None:
        job, now = self.jobs.get(job_id), self.clock()
        if job is None or job.overdue_at is None or job.overdue_at > now:
            return
        try:
            # `overdue_at` moves first, so that a job that keeps failing does not block the others.
            after = commit(self.jobs, job, lambda current: current.record_sweep(now=now)).after
        except VersionConflict:
            return
        if job.terminal:
            self.notifier.publish(job_id)
            report.published.append(after)
        elif after.terminal:
            # The notifier sees the end on the table's stream.
            report.given_up.append(after)
            if after.awaiting_usage:
                self.queue.send(after, delay_seconds=LATE_USAGE_SECONDS)
        elif now < job.next_step_at:
            if job.open_attempt is not None and job.open_attempt.state == "pending":
                # The end of a long wait is near enough for a delayed message.
                self.queue.send(after, delay_seconds=math.ceil((job.next_step_at - now).total_seconds()))
            report.not_due.append(after)
        else:
            self.queue.send(after)
            report.woken.append(after)
