"""The result of one step of a job."""

from dataclasses import dataclass
from typing import Literal

from afterthought.domain.jobs.job import Job

StepOutcome = Literal["ignored", "not_due", "wrong_mode", "conflict", "moved", "corrected"]
"""
- `ignored`: there is no such job, or nothing is left to do.
- `not_due`: the message arrived before the time of the next step.
- `wrong_mode`: the job was passed to the function of its mode.
- `conflict`: another process changed the job first.
- `moved`: the job changed.
- `corrected`: the real usage replaced an estimate.
"""


@dataclass(frozen=True)
class Step:
    """`enqueued` is false when the job's next message could not be sent: the sweeper then sends it, unless the job has
    ended."""

    outcome: StepOutcome
    before: Job | None = None
    after: Job | None = None
    enqueued: bool = True

    @property
    def ended(self) -> Job | None:
        """The job, if this step ended it."""
        return self.after if self.outcome == "moved" and self.after is not None and self.after.terminal else None
