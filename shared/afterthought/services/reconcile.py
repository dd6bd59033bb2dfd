"""Make the books again from the jobs, and compare: each difference is shown, and written right only when that is asked.

Jobs go on meanwhile, and to read a table is no one moment: a page may be read before a job's step and the job after it,
or, for a moment, the other way round. So only what differs in the same way in two looks, one after the other, is a
difference; and a page is only written over if it still stands as it was compared.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from afterthought.domain.job import Job
from afterthought.domain.ledger import Books, Page, Tally, booked
from afterthought.domain.record import RECORD_KEPT

_LOOKS = 5
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


class Seen(NamedTuple):
    """A page of a tenant's books as it stands, and what the jobs say that it must be."""

    page: Page
    told: Mapping[str, Decimal]

    @property
    def wrong(self) -> bool:
        return self.page.amounts != self.told


Name = tuple[str, str]
"""A tenant and the name of a page."""


class Look(NamedTuple):
    """One reading of the books and of the jobs. `overruns` are the jobs that cost more than was held for them."""

    jobs: int
    overruns: tuple[str, ...]
    pages: Mapping[Name, Seen]

    def wrong(self) -> dict[Name, Seen]:
        return {name: seen for name, seen in self.pages.items() if seen.wrong}


class Reconciled(NamedTuple):
    """What the last look saw. `moving` are the pages that would not stand still long enough to be compared; `mended`
    those that were written right."""

    look: Look
    differences: tuple[Difference, ...]
    moving: tuple[Name, ...]
    mended: tuple[Name, ...]


@dataclass(frozen=True)
class Reconcile:
    archive: Archive
    bookkeeping: Bookkeeping
    clock: Callable[[], datetime]

    def __call__(self, tenants: Iterable[str], *, mend: bool) -> Reconciled:
        """Compares these tenants' books with their jobs, as far back as jobs are kept. Reads the jobs once where all is
        right, and up to five times where it is not, or moves."""
        names = frozenset(tenants)
        look = self._look(names)
        wrong, certain = look.wrong(), dict[Name, Seen]()
        for _ in range(_LOOKS - 1):
            if wrong == certain:
                break
            look = self._look(names)
            before, wrong = wrong, look.wrong()
            certain = {name: seen for name, seen in wrong.items() if before.get(name) == seen}
        differences = tuple(each for name, seen in sorted(certain.items()) for each in _differences(name, seen))
        mended = tuple(name for name, seen in sorted(certain.items()) if mend and self._rewrite(name, seen))
        return Reconciled(look, differences, tuple(sorted(wrong.keys() - certain.keys())), mended)

    def _rewrite(self, name: Name, seen: Seen) -> bool:
        tenant, page = name
        return self.bookkeeping.rewrite(tenant, page, seen.told, moves=seen.page.moves)

    def _look(self, names: frozenset[str]) -> Look:
        since = self._since()
        stands = {name: self.bookkeeping.pages(name, since) for name in names}
        tallies: dict[str, Tally] = defaultdict(Tally)
        count = 0
        overruns: list[str] = []
        for job in self.archive.jobs(next(iter(names)) if len(names) == 1 else None):
            if job.tenant in names:
                count += 1
                tallies[job.tenant].add(_not_before(booked(job), since))
                if job.overrun:
                    overruns.append(job.id)
        pages: dict[Name, Seen] = {}
        for name in names:
            told = self.bookkeeping.made(tallies[name].books())
            for page in stands[name].keys() | told.keys():
                pages[name, page] = Seen(stands[name].get(page, NO_PAGE), told.get(page, {}))
        return Look(count, tuple(overruns), pages)

    def _since(self) -> date:
        """The month in which jobs are being deleted by their age cannot be made again whole: the one after it can."""
        oldest = (self.clock() - RECORD_KEPT).date()
        return date(oldest.year + oldest.month // 12, oldest.month % 12 + 1, 1)


def _not_before(part: Books, since: date) -> Books:
    return Books(
        {day: standing for day, standing in part.days.items() if day >= since},
        {key: counts for key, counts in part.usage.items() if key.day >= since},
    )


def _differences(name: Name, seen: Seen) -> Iterable[Difference]:
    stands, told = seen.page.amounts, seen.told
    for what in sorted(stands.keys() | told.keys()):
        here, there = stands.get(what, Decimal(0)), told.get(what, Decimal(0))
        if here != there:
            yield Difference(*name, what, here, there)
