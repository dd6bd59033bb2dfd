"""Sends the message that starts a job's next step."""

from afterthought.domain.errors import QueueUnavailable
from afterthought.domain.jobs.job import Job
from afterthought.services.ports import JobQueue


def send_wakeup(queue: JobQueue, job: Job, delay_seconds: int = 0) -> bool:
    """False when the queue did not take the message. The sweeper sends it once the job is overdue."""
    try:
        queue.send(job, delay_seconds=delay_seconds)
    except QueueUnavailable:
        return False
    return True
