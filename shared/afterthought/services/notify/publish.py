"""Publishes the completion event of a job."""

from dataclasses import dataclass

from afterthought.domain.webhooks.event import CompletionEvent
from afterthought.services.ports import JobLookup, Topic


@dataclass(frozen=True)
class Notifier:
    jobs: JobLookup
    topic: Topic

    def publish(self, job_id: str) -> CompletionEvent | None:
        """The published event; None when the job has not ended or its event is already published.

        After a crash between the two writes the job is still overdue: the sweeper publishes the same event again.
        """
        job = self.jobs.get(job_id)
        if job is None or not job.terminal or job.overdue_at is None:
            return None
        event = CompletionEvent.of(job)
        self.topic.publish(event)
        self.jobs.mark_published(job.id)
        return event
