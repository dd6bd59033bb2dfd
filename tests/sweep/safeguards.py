"""Worlds with one safeguard taken out: a sweep of any of them must find laws broken, or it could find nothing."""

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


class NoEntryBeforeTheCall(SimulatedJobs):
    """The ledger entry is written only with what the call came to: until then the table knows of no call."""

    def save(self, before: Job, after: Job, caps: Caps = NO_CAPS) -> None:
        if after.attempt is not None and after.attempt.state == "calling" and after.cancel_requested_at is None:
            return
        stands = self.items.get(after.id)
        if stands is not None and before.attempt is not None and before.attempt.state == "calling":
            before, after = stands, after.model_copy(update={"version": stands.version + 1})
        super().save(before, after, caps)


class NoCondition(SimulatedJobs):
    """A step is written whatever stands: what another has written meanwhile is written over."""

    def save(self, before: Job, after: Job, caps: Caps = NO_CAPS) -> None:
        def put() -> None:
            stands = self.items.get(after.id)
            self.ledger.apply(after.tenant, moved, caps)
            # It counts on, so that it is not the numbers alone that tell.
            self._write(after.model_copy(update={"version": stands.version + 1 if stands else after.version}))

        moved = delta(before, after)
        self.line.call("jobs.save", put, as_="jobs.save with money" if moved else None)


class NothingOverdue(SimulatedJobs):
    """The index of what is due shows nothing."""

    def overdue(self, now: datetime) -> Iterable[str]:
        return self.line.call("jobs.overdue", list)


class Without(World):
    jobs_class: type[SimulatedJobs]

    def _wire(self) -> None:
        self.jobs = self.jobs_class(self.line, self.ledger)
        super()._wire()


class WithoutTheEntry(Without):
    jobs_class = NoEntryBeforeTheCall


class WithoutTheCondition(Without):
    jobs_class = NoCondition


class WithoutDueAt(Without):
    jobs_class = NothingOverdue

    def _sweep_at(self) -> datetime | None:
        # A sweeper that finds nothing changes nothing; without this it would be watched doing that for days.
        return None


class Safeguard(NamedTuple):
    """`shows` is the law whose breach it keeps away. `obvious` is what shows in any run without it, be there a fault or
    not: to notice that alone is no proof."""

    name: str
    without: type[Without]
    shows: str
    obvious: str | None = None


SAFEGUARDS = (
    Safeguard(
        "the ledger entry before the call",
        WithoutTheEntry,
        shows="N generations ran for N attempts",
        obvious="a generation started before its attempt was recorded",
    ),
    Safeguard("the condition of the settlement", WithoutTheCondition, shows="the books are not what the jobs say"),
    Safeguard("overdue_at", WithoutDueAt, shows="never announced"),
)
TRIED_ON = tuple(journey for journey in JOURNEYS if journey.name in ("checked", "woken"))
"""The plainest lives; what comes of them without faults breaks no law but the obvious."""


def missed(safeguard: Safeguard) -> tuple[Safeguard, int, int, Counter[str]]:
    """How many runs there are without the safeguard, how many of them break a law that is not the obvious one, and
    which laws how often."""
    runs, broken, laws = 0, 0, Counter[str]()
    for journey in TRIED_ON:
        swept = sweep(journey, safeguard.without)
        runs += swept.runs
        for _, breaches in swept.breaches:
            told = {_law(breach) for breach in breaches} - {safeguard.obvious}
            broken += bool(told)
            laws.update(told)
    return safeguard, runs, broken, laws


def _law(breach: str) -> str:
    """What was broken, without by which job and how much."""
    if "the ledger has" in breach:
        return "the ledger is not the sum of the jobs"
    told = breach.split(": ", 1)[1] if breach.startswith("resp_") else breach
    return re.sub(r"[0-9][0-9.:e+-]*", "N", told)
