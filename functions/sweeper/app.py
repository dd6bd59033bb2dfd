"""The sweeper: once a minute, look again at every job for which something should have happened by now."""

from functools import cache
from typing import Any

from afterthought.adapters import aws, clock, settings, telemetry
from afterthought.adapters.job_queue import SqsJobQueue
from afterthought.adapters.job_table import JobTable
from afterthought.adapters.sns import SnsTopic
from afterthought.services.announce import Announce
from afterthought.services.sweep import Sweep

_ENOUGH_MILLISECONDS = 10_000


class JobsInTrouble(Exception):
    """Some jobs could not be swept. They are due still: each pass tries them again."""


@cache
def service() -> Sweep:
    jobs = JobTable(aws.dynamodb(), settings.required("JOB_TABLE"), settings.required("ACCOUNT_TABLE"))
    return Sweep(
        jobs=jobs,
        queue=SqsJobQueue(
            aws.sqs(),
            {"background": settings.required("JOB_QUEUE_URL"), "direct": settings.required("DIRECT_QUEUE_URL")},
        ),
        announce=Announce(jobs, SnsTopic(aws.sns(), settings.required("COMPLETION_TOPIC_ARN"))),
        clock=clock.now,
    )


def handler(_: dict[str, Any], context: Any) -> dict[str, int]:
    log = telemetry.begin(context)
    swept = service()(enough_time=lambda: context.get_remaining_time_in_millis() > _ENOUGH_MILLISECONDS)
    for ended in swept.given_up:
        figures = telemetry.figures_of(telemetry.ended(ended))
        log.error("a job was given up", job_id=ended.id, tenant=ended.tenant, **figures)
    for job_id, error in swept.troubled:
        log.warning("a job could not be swept; the next pass tries again", job_id=job_id, exc_info=error)
    counts = {
        "woken": len(swept.woken),
        "announced": len(swept.announced),
        "put_off": len(swept.put_off),
        "given_up": len(swept.given_up),
        "troubled": len(swept.troubled),
    }
    log.info("swept", extra=counts)
    if swept.troubled:
        # So that the alarm on this function's errors sees it; what could be done has been done.
        raise JobsInTrouble(f"{len(swept.troubled)} jobs could not be swept")
    return counts
