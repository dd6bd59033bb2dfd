"""The log lines and metrics of a job's step."""

from typing import Any

from aws_lambda_powertools import Logger

from afterthought.adapters import telemetry
from afterthought.adapters.telemetry import Metrics
from afterthought.domain.jobs.step import Step


def log_step(log: Logger, step: Step, job_id: str, *metrics: Metrics) -> None:
    """Passes the job id and tenant with each line, not as keys of the logger: concurrent jobs share the logger.
    `metrics` are added to those of a finished job."""
    job = step.after or step.before
    error_code = job.failure.code if job and job.failure else None
    keys: dict[str, Any] = {"job_id": job_id, "tenant": job.tenant if job else None}
    fields: dict[str, Any] = {"step": step.outcome, "status": job.status if job else None, "error_code": error_code}
    if step.ended is not None:
        metrics = (*metrics, telemetry.job_metrics(step.ended))
    log.info("job step", **keys, **(fields | telemetry.emf_fields(*metrics)))
    if not step.enqueued:
        log.warning("job message not sent; the sweeper will send it unless the job has ended", **keys)
    if step.ended is not None and error_code == "internal_error":
        log.error("job failed with an internal error", **keys)
    if step.after is not None and step.after.over_max_cost and not (step.before and step.before.over_max_cost):
        log.error("job cost more than its hold", **keys, **telemetry.emf_fields(telemetry.count("CostOverruns")))
