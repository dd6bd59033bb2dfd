"""What came of one look at a job."""

from dataclasses import dataclass
from typing import Literal

from afterthought.domain.job import Job

Outcome = Literal["dropped", "early", "elsewhere", "lost", "moved", "corrected"]


@dataclass(frozen=True)
class Step:
    """`dropped` (no such job, or it has ended), `early` (its time has not come), `elsewhere` (sent to those who call in
    its mode), `lost` (another worker moved it first), `moved`, with the job as it was and as it is, or `corrected`,
    where what an attempt really used took the place of an estimate. `enqueued` is false when the job's next message
    could not be sent: the sweeper then sends it, unless the job has ended."""

    outcome: Outcome
    before: Job | None = None
    after: Job | None = None
    enqueued: bool = True

    @property
    def ended(self) -> Job | None:
        """The job, if this step ended it."""
        return self.after if self.outcome == "moved" and self.after is not None and self.after.terminal else None
