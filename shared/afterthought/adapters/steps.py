"""What is told of a job's step: a line in the log, and the figures that alarms go by."""

from typing import Any, Protocol

from aws_lambda_powertools import Logger

from afterthought.adapters import telemetry
from afterthought.adapters.telemetry import Figures
from afterthought.domain.jobs.job import Job


class Taken(Protocol):
    """A step that was taken, as the services give it."""

    @property
    def outcome(self) -> str: ...

    @property
    def before(self) -> Job | None: ...

    @property
    def after(self) -> Job | None: ...

    @property
    def ended(self) -> Job | None: ...

    @property
    def enqueued(self) -> bool: ...


def tell(log: Logger, step: Taken, job_id: str, *figures: Figures) -> None:
    """The job and its tenant stand on each line by themselves: where many jobs are under way in one process, keys
    that the logger keeps would be those of another. `figures` are counted besides those of a job's end."""
    seen = step.after or step.before
    failure = seen.failure.code if seen and seen.failure else None
    whose: dict[str, Any] = {"job_id": job_id, "tenant": seen.tenant if seen else None}
    told: dict[str, Any] = {"step": step.outcome, "status": seen.status if seen else None, "failure": failure}
    if step.ended is not None:
        figures = (*figures, telemetry.ended(step.ended))
    log.info("advanced", **whose, **(told | telemetry.figures_of(*figures)))
    if not step.enqueued:
        log.warning("the job's next message was not sent; unless it has ended, the sweeper will send it", **whose)
    if step.ended is not None and failure == "internal_error":
        log.error("the job ended by a defect of ours", **whose)
    if step.after is not None and step.after.over_max_cost and not (step.before and step.before.over_max_cost):
        overrun = telemetry.figures_of(telemetry.counted("CostOverruns"))
        log.error("an answer cost more than was held for it", **whose, **overrun)
