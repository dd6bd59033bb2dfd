"""Worlds without one safeguard: the sweep of each must find broken laws. This shows that the sweep detects faults."""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from afterthought.domain.jobs.job import Job
from afterthought.domain.ledger.budget import NO_CAPS, Caps
from afterthought.domain.ledger.ledger import delta
from tests.simulator.tables import SimulatedJobs
from tests.simulator.world import World
from tests.sweep.journeys import JOURNEYS
from tests.sweep.sweep import sweep


class NoAttemptBeforeCall(SimulatedJobs):
    """Stores the attempt only with the result of its call."""

    def save(self, before: Job, after: Job, caps: Caps = NO_CAPS) -> None:
        if after.attempt is not None and after.attempt.state == "calling" and after.cancel_requested_at is None:
            return
        stored = self.items.get(after.id)
        if stored is not None and before.attempt is not None and before.attempt.state == "calling":
            before, after = stored, after.model_copy(update={"version": stored.version + 1})
        super().save(before, after, caps)


class UnconditionalSave(SimulatedJobs):
    """Overwrites any stored version."""

    def save(self, before: Job, after: Job, caps: Caps = NO_CAPS) -> None:
        def put() -> None:
            stored = self.items.get(after.id)
            self.ledger.apply(after.tenant, change, caps)
            # The versions stay consecutive, so that they alone do not show the fault.
            self._write(after.model_copy(update={"version": stored.version + 1 if stored else after.version}))

        change = delta(before, after)
        self.calls.call("jobs.save", put, kind="jobs.save with money" if change else None)


class EmptyOverdueIndex(SimulatedJobs):
    def overdue(self, now: datetime) -> Iterable[str]:
        return self.calls.call("jobs.overdue", list)


class Without(World):
    jobs_class: type[SimulatedJobs]

    def _wire(self) -> None:
        self.jobs = self.jobs_class(self.calls, self.ledger)
        super()._wire()


class WithoutAttemptBeforeCall(Without):
    jobs_class = NoAttemptBeforeCall


class WithoutCondition(Without):
    jobs_class = UnconditionalSave


class WithoutOverdueIndex(Without):
    jobs_class = EmptyOverdueIndex

    def __post_init__(self) -> None:
        super().__post_init__()
        # A sweep without overdue jobs changes nothing, and days of sweeps are slow to simulate.
        self.down.sweeper = True


class Safeguard(NamedTuple):
    """`breach` is what the safeguard prevents. `trivial_breach` occurs in every run without the safeguard, with or
    without a fault, so it proves nothing."""

    name: str
    without: type[Without]
    breach: str
    trivial_breach: str | None = None


SAFEGUARDS = (
    Safeguard(
        "the attempt recorded before the call",
        WithoutAttemptBeforeCall,
        breach="N generations ran for N attempts",
        trivial_breach="a generation started before its attempt was recorded",
    ),
    Safeguard("the condition of a save", WithoutCondition, breach="the ledger is not the sum of the jobs"),
    Safeguard("overdue_at", WithoutOverdueIndex, breach="never published"),
)
CHECKED_JOURNEYS = tuple(journey for journey in JOURNEYS if journey.name in ("polled", "woken"))
"""The simplest journeys: without faults, only the trivial breach occurs."""


def sweep_without(safeguard: Safeguard) -> tuple[Safeguard, int, int, Counter[str]]:
    """The number of runs, the number of those with a breach other than the trivial one, and these breaches."""
    runs, broken, laws = 0, 0, Counter[str]()
    for journey in CHECKED_JOURNEYS:
        report = sweep(journey, safeguard.without)
        runs += report.runs
        for _, breaches in report.breaches:
            kinds = {_law(breach) for breach in breaches} - {safeguard.trivial_breach}
            broken += bool(kinds)
            laws.update(kinds)
    return safeguard, runs, broken, laws


def _law(breach: str) -> str:
    """The breach without its job and its numbers."""
    if "the ledger has" in breach:
        return "the ledger is not the sum of the jobs"
    text = breach.split(": ", 1)[1] if breach.startswith("resp_") else breach
    return re.sub(r"[0-9][0-9.:e+-]*", "N", text)
