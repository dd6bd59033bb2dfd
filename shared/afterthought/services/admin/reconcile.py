"""Rebuilds the ledger from the jobs, compares it with the stored one, and repairs the differences on request.

Jobs continue meanwhile, and a table is not read at one instant: an item may be read before a job's step and the job
after it, or vice versa. So an item counts as different only if two consecutive readings show the same difference, and
it is replaced only if it is unchanged since it was compared.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.schedule import RECORD_RETENTION
from afterthought.domain.ledger.ledger import Contribution, LedgerItem, Totals, contribution

_MAX_READINGS = 5
_NO_ITEM = LedgerItem({})


class JobScan(Protocol):
    def jobs(self, tenant: str | None) -> Iterable[Job]:
        """All jobs of one tenant, or of every tenant. Reads the whole table."""


class LedgerItems(Protocol):
    """The ledger as items: a month's budget, and a day's usage of a model and tags. Each has a name."""

    def items(self, tenant: str, since: date) -> Mapping[str, LedgerItem]:
        """The stored items from that month on. `since` is its first day."""

    def amounts(self, part: Contribution) -> Mapping[str, Mapping[str, Decimal]]:
        """The amounts that the items must have, by the names of the items."""

    def replace(self, tenant: str, name: str, amounts: Mapping[str, Decimal], *, version: int) -> bool:
        """Replaces the item of that version (0: there is none). False when another version is stored."""


ItemId = tuple[str, str]
"""A tenant and the name of an item."""


class Difference(NamedTuple):
    """One attribute of an item. `stored` and `expected` (from the jobs) are dollars or numbers."""

    tenant: str
    item: str
    attribute: str
    stored: Decimal
    expected: Decimal


class ItemComparison(NamedTuple):
    stored: LedgerItem
    expected: Mapping[str, Decimal]

    @property
    def differs(self) -> bool:
        return self.stored.amounts != self.expected


class Reading(NamedTuple):
    """One reading of the ledger and of the jobs. `over_max_cost` are the ids of jobs that cost more than their hold."""

    job_count: int
    over_max_cost: tuple[str, ...]
    items: Mapping[ItemId, ItemComparison]

    def differing(self) -> dict[ItemId, ItemComparison]:
        return {item_id: comparison for item_id, comparison in self.items.items() if comparison.differs}


class ReconcileReport(NamedTuple):
    """`reading` is the last one. `unstable` are the items that changed between all readings and were not compared."""

    reading: Reading
    differences: tuple[Difference, ...]
    unstable: tuple[ItemId, ...]
    repaired: tuple[ItemId, ...]

    @property
    def differing(self) -> frozenset[ItemId]:
        return frozenset((each.tenant, each.item) for each in self.differences)


@dataclass(frozen=True)
class Reconciler:
    jobs: JobScan
    ledger: LedgerItems
    clock: Callable[[], datetime]

    def run(self, tenants: Iterable[str], *, repair: bool) -> ReconcileReport:
        """Compares the ledger of these tenants with their jobs, as far back as jobs are kept. Reads the jobs once if
        nothing differs, otherwise up to five times."""
        names = frozenset(tenants)
        reading = self._read(names)
        differing, confirmed = reading.differing(), dict[ItemId, ItemComparison]()
        for _ in range(_MAX_READINGS - 1):
            if differing == confirmed:
                break
            previous, reading = differing, self._read(names)
            differing = reading.differing()
            confirmed = {item_id: each for item_id, each in differing.items() if previous.get(item_id) == each}
        differences = tuple(each for item_id, item in sorted(confirmed.items()) for each in _differences(item_id, item))
        repaired = tuple(
            item_id for item_id, item in sorted(confirmed.items()) if repair and self._repair(*item_id, item)
        )
        return ReconcileReport(reading, differences, tuple(sorted(differing.keys() - confirmed.keys())), repaired)

    def _repair(self, tenant: str, name: str, item: ItemComparison) -> bool:
        return self.ledger.replace(tenant, name, item.expected, version=item.stored.version)

    def _read(self, tenants: frozenset[str]) -> Reading:
        since = self._since()
        stored = {tenant: self.ledger.items(tenant, since) for tenant in tenants}
        totals: dict[str, Totals] = defaultdict(Totals)
        job_count = 0
        over_max_cost: list[str] = []
        for job in self.jobs.jobs(next(iter(tenants)) if len(tenants) == 1 else None):
            if job.tenant in tenants:
                job_count += 1
                totals[job.tenant].add(_not_before(contribution(job), since))
                if job.over_max_cost:
                    over_max_cost.append(job.id)
        items: dict[ItemId, ItemComparison] = {}
        for tenant in tenants:
            expected = self.ledger.amounts(totals[tenant].sum())
            for name in stored[tenant].keys() | expected.keys():
                items[tenant, name] = ItemComparison(stored[tenant].get(name, _NO_ITEM), expected.get(name, {}))
        return Reading(job_count, tuple(over_max_cost), items)

    def _since(self) -> date:
        """The oldest month whose jobs are all still stored: the month after the one in which jobs expire now."""
        oldest = (self.clock() - RECORD_RETENTION).date()
        return date(oldest.year + oldest.month // 12, oldest.month % 12 + 1, 1)


def _not_before(part: Contribution, since: date) -> Contribution:
    return Contribution(
        {day: balance for day, balance in part.days.items() if day >= since},
        {key: amounts for key, amounts in part.usage.items() if key.day >= since},
    )


def _differences(item_id: ItemId, item: ItemComparison) -> Iterable[Difference]:
    stored_amounts = item.stored.amounts
    for attribute in sorted(stored_amounts.keys() | item.expected.keys()):
        stored, expected = stored_amounts.get(attribute, Decimal(0)), item.expected.get(attribute, Decimal(0))
        if stored != expected:
            yield Difference(*item_id, attribute, stored, expected)
