"""The sweeper function: once a minute, requeues or publishes every overdue job."""

from functools import cache
from typing import Any

from afterthought.adapters import telemetry
from afterthought.composition import sweeper as composition
from afterthought.services.run.sweep import Sweeper

_MIN_REMAINING_MS = 10_000


class SweepFailed(Exception):
    """Some jobs could not be swept. They stay overdue, so the next pass tries them again."""


@cache
def service() -> Sweeper:
    return composition.from_environment()


def handler(_: dict[str, Any], context: Any) -> dict[str, int]:
    log = telemetry.init_invocation(context)
    report = service().sweep(enough_time=lambda: context.get_remaining_time_in_millis() > _MIN_REMAINING_MS)
    for job in report.given_up:
        metrics = telemetry.emf_fields(telemetry.job_metrics(job))
        log.error("job given up", job_id=job.id, tenant=job.tenant, **metrics)
    for job_id, error in report.errors:
        log.warning("job not swept; the next pass will try again", job_id=job_id, exc_info=error)
    counts = {
        "requeued": len(report.woken),
        "published": len(report.published),
        "deferred": len(report.not_due),
        "given_up": len(report.given_up),
        "failed": len(report.errors),
    }
    log.info("sweep finished", extra=counts)
    if report.errors:
        # Raised for the alarm on this function's errors. All other jobs are already swept.
        raise SweepFailed(f"{len(report.errors)} jobs could not be swept")
    return counts
