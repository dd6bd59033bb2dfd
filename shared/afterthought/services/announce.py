"""Tell the world that a job has ended: publish, then note that nothing is due any more."""

from dataclasses import dataclass

from afterthought.domain.event import CompletionEvent
from afterthought.services.ports import Jobs, Topic


@dataclass(frozen=True)
class Announce:
    jobs: Jobs
    topic: Topic

    def __call__(self, job_id: str) -> CompletionEvent | None:
        """The event that was published; None when there is nothing to announce (any more).

        A crash between the two steps leaves the job due: the sweeper announces it again, with the same event id.
        """
        job = self.jobs.get(job_id)
        if job is None or not job.terminal or job.overdue_at is None:
            return None
        event = CompletionEvent.of(job)
        self.topic.publish(event)
        self.jobs.mark_published(job.id)
        return event
