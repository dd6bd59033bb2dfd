"""Make the books again from the jobs, and compare: each difference is shown, and written right only when that is asked.

Jobs go on meanwhile. A page of the books that moved while the jobs were read proves nothing, so it is looked at again;
and a page is only written over if it still stands as it was compared.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from afterthought.domain.books import Books, Page, Tally, booked
from afterthought.domain.job import RECORD_KEPT, Job

_ROUNDS = 5
NO_PAGE = Page({})


class Archive(Protocol):
    """Every job there is."""

    def jobs(self, tenant: str | None) -> Iterable[Job]:
        """All of one tenant's jobs, or of every tenant. Reads the whole table."""


class Bookkeeping(Protocol):
    """The books as items: a month's budget, a day's usage of a model and tags. `name` is the item's."""

    def pages(self, tenant: str, since: date) -> Mapping[str, Page]:
        """What stands from the month on that begins on that day."""

    def made(self, books: Books) -> Mapping[str, Mapping[str, Decimal]]:
        """What must stand, by the names of the pages."""

    def rewrite(self, tenant: str, name: str, amounts: Mapping[str, Decimal], *, moves: int) -> bool:
        """Writes the page over the one with so many moves (0: over none). False when that is not what stands."""


class Difference(NamedTuple):
    """`stands` and `told` are dollars or numbers, by what `what` counts. `told` is what the jobs say."""

    tenant: str
    page: str
    what: str
    stands: Decimal
    told: Decimal


class Reconciled(NamedTuple):
    """`moving` are the pages (tenant, name) that would not stand still long enough to be compared; `mended` those that
    were written right."""

    jobs: int
    pages: int
    differences: tuple[Difference, ...]
    moving: tuple[tuple[str, str], ...]
    mended: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reconcile:
    archive: Archive
    bookkeeping: Bookkeeping
    clock: Callable[[], datetime]

    def __call__(self, tenants: Iterable[str], *, mend: bool) -> Reconciled:
        """Compares these tenants' books with their jobs, as far back as jobs are kept."""
        names = tuple(tenants)
        compared = self._compare(names, mend)
        for _ in range(_ROUNDS - 1):
            if not compared.moving:
                break
            compared = self._compare(names, mend)
        return compared

    def _compare(self, names: tuple[str, ...], mend: bool) -> Reconciled:
        since = self._since()
        before = {name: self.bookkeeping.pages(name, since) for name in names}
        tallies, jobs = self._tallies(names, since)
        differences: list[Difference] = []
        moving: list[tuple[str, str]] = []
        mended: list[tuple[str, str]] = []
        pages = 0
        for name in names:
            told = self.bookkeeping.made(tallies[name].books())
            stands = self.bookkeeping.pages(name, since)
            for title in sorted(before[name].keys() | stands.keys() | told.keys()):
                pages += 1
                page, amounts = stands.get(title, NO_PAGE), told.get(title, {})
                if page.moves != before[name].get(title, NO_PAGE).moves:
                    moving.append((name, title))
                elif wrong := tuple(_differences(name, title, page.amounts, amounts)):
                    differences += wrong
                    if mend and self.bookkeeping.rewrite(name, title, amounts, moves=page.moves):
                        mended.append((name, title))
        return Reconciled(jobs, pages, tuple(differences), tuple(moving), tuple(mended))

    def _since(self) -> date:
        """The month in which jobs are being deleted by their age cannot be made again whole: the one after it can."""
        oldest = (self.clock() - RECORD_KEPT).date()
        return date(oldest.year + oldest.month // 12, oldest.month % 12 + 1, 1)

    def _tallies(self, names: tuple[str, ...], since: date) -> tuple[Mapping[str, Tally], int]:
        tallies: dict[str, Tally] = defaultdict(Tally)
        count = 0
        for job in self.archive.jobs(names[0] if len(names) == 1 else None):
            if job.tenant in names:
                count += 1
                tallies[job.tenant].add(_not_before(booked(job), since))
        return tallies, count


def _not_before(part: Books, since: date) -> Books:
    return Books(
        {day: standing for day, standing in part.days.items() if day >= since},
        {key: counts for key, counts in part.usage.items() if key.day >= since},
    )


def _differences(
    tenant: str, page: str, stands: Mapping[str, Decimal], told: Mapping[str, Decimal]
) -> Iterable[Difference]:
    for what in sorted(stands.keys() | told.keys()):
        here, there = stands.get(what, Decimal(0)), told.get(what, Decimal(0))
        if here != there:
            yield Difference(tenant, page, what, here, there)
