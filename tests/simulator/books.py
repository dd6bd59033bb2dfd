"""AccountTable's books, as they stand: written with the jobs, read by the services."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from afterthought.domain import books
from afterthought.domain.books import Counts, Standing, UsageKey
from afterthought.domain.budget import Caps, MonthBook, OverBudget
from tests.simulator.calls import CallRecorder

Month = tuple[str, date]


@dataclass
class SimulatedBooks:
    """The port `Books`. `months` go by tenant and the month's first day, `rows` by tenant and key; `history` is all
    that ever stood of a month."""

    calls: CallRecorder
    months: dict[Month, MonthBook] = field(default_factory=dict)
    history: list[tuple[Month, MonthBook]] = field(default_factory=list)
    rows: dict[str, dict[UsageKey, dict[str, Decimal]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(lambda: defaultdict(Decimal)))
    )

    def month(self, tenant: str, month: date) -> MonthBook:
        return self.calls.call("books.month", lambda: self.stands(tenant, month))

    def stands(self, tenant: str, month: date) -> MonthBook:
        """The same without a recorded call."""
        return self.months.get((tenant, month), MonthBook())

    def usage(self, tenant: str, first: date, last: date) -> Iterator[tuple[UsageKey, Counts]]:
        def read() -> list[tuple[UsageKey, Counts]]:
            rows = (
                (key, {n: amount for n, amount in row.items() if amount})
                for key, row in self.rows.get(tenant, {}).items()
            )
            found = [(key, counts) for key, counts in rows if counts and first <= key.day <= last]
            return sorted(found, key=lambda each: each[0])

        yield from self.calls.call("books.usage", read)

    def move(self, tenant: str, movement: books.Books, caps: Caps) -> None:
        """A part of the transaction that writes a job. Raises OverBudget before anything is moved."""
        moved: dict[date, MonthBook] = {}
        for day, change in movement.days.items():
            month = day.replace(day=1)
            book = moved.get(month, self.stands(tenant, month))
            after = MonthBook(
                total=book.total.plus(change),
                days={**book.days, day: book.days.get(day, Standing()).plus(change)},
            )
            raised = change.used_usd > 0
            over_month = caps.month_usd is not None and after.total.used_usd > caps.month_usd
            over_day = caps.day_usd is not None and after.days[day].used_usd > caps.day_usd
            if raised and (over_month or over_day):
                raise OverBudget(self.stands(tenant, month))
            moved[month] = after
        for month, after in moved.items():
            self.months[tenant, month] = after
            self.history.append(((tenant, month), after))
        for key, counts in movement.usage.items():
            for name, amount in counts.items():
                self.rows[tenant][key][name] += amount
