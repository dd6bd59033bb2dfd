"""What a tenant may spend in a month and in a day (UTC), and what stands against it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from afterthought.domain.errors import AfterthoughtError, MoneyRefused
from afterthought.domain.ledger import Standing
from afterthought.domain.pricing import exact_sum, format_usd
from afterthought.domain.tenant import Tenant


class Caps(NamedTuple):
    """Dollars; None where there is no budget."""

    month_usd: Decimal | None = None
    day_usd: Decimal | None = None


NO_CAPS = Caps()


def caps_of(tenant: Tenant) -> Caps:
    return Caps(month_usd=tenant.month_cap_usd, day_usd=tenant.day_cap_usd)


class MonthBook(NamedTuple):
    """What one tenant's budget item says: the month and its days."""

    total: Standing = Standing()
    days: Mapping[date, Standing] = MappingProxyType({})


class OverBudget(AfterthoughtError):
    """A hold does not fit: `book` is what stood at that moment."""

    def __init__(self, book: MonthBook) -> None:
        super().__init__("the hold does not fit the budget")
        self.book = book


class Budget(NamedTuple):
    """One budget as it stands. `left_usd` is below zero when the cap was lowered below what is used, or by an overrun.
    `cap_usd` and `left_usd` are None where there is no cap."""

    period: Literal["month", "day"]
    name: str
    cap_usd: Decimal | None
    standing: Standing
    renews_at: datetime

    @property
    def left_usd(self) -> Decimal | None:
        return None if self.cap_usd is None else exact_sum(self.cap_usd, self.standing.used_usd.copy_negate())

    def wire(self) -> dict[str, Any]:
        """As the API shows it: decimal strings, times in RFC 3339."""
        left = self.left_usd
        return {
            "period": self.period,
            "name": self.name,
            "cap_usd": None if self.cap_usd is None else format_usd(self.cap_usd),
            "held_usd": format_usd(self.standing.held_usd),
            "spent_usd": format_usd(self.standing.spent_usd),
            "left_usd": None if left is None else format_usd(left),
            "renews_at": self.renews_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


def budgets(book: MonthBook, caps: Caps, on: date) -> Iterator[Budget]:
    """The month's budget and the day's, capped or not."""
    month = on.replace(day=1)
    next_month = (month + timedelta(days=31)).replace(day=1)
    yield Budget("month", f"{month:%Y-%m}", caps.month_usd, book.total, _midnight(next_month))
    day = book.days.get(on, Standing())
    yield Budget("day", on.isoformat(), caps.day_usd, day, _midnight(on + timedelta(days=1)))


def over(book: MonthBook, caps: Caps, hold_usd: Decimal, on: date) -> tuple[Budget, ...]:
    """The budgets that a hold does not fit into."""
    return tuple(
        budget for budget in budgets(book, caps, on) if budget.left_usd is not None and hold_usd > budget.left_usd
    )


def refusal(full: Sequence[Budget], hold_usd: Decimal, fitting_output_tokens: int | None) -> MoneyRefused:
    """What is said of a hold that does not fit into these budgets, and of the `max_output_tokens` with which it would
    fit them all."""
    way_out = f" With max_output_tokens of {fitting_output_tokens} or less it fits." if fitting_output_tokens else ""
    return MoneyRefused(
        f"This job can cost up to ${format_usd(hold_usd)}. {' '.join(map(_said, full))}{way_out}",
        detail={
            "bound_usd": format_usd(hold_usd),
            "budgets": [budget.wire() for budget in full],
            "max_output_tokens": fitting_output_tokens,
        },
    )


def _said(budget: Budget) -> str:
    shown = budget.wire()
    left = budget.left_usd or Decimal(0)
    rest = f"${shown['left_usd']} is left" if left > 0 else "Nothing is left"
    held = (
        f" and ${shown['held_usd']} held for jobs that have not ended, of which what they do not cost comes back"
        if budget.standing.held_usd
        else ""
    )
    return (
        f"{rest} of the {budget.period}'s budget of ${shown['cap_usd']} ({budget.name}): ${shown['spent_usd']} is "
        f"spent{held}. It renews at {shown['renews_at']}."
    )


def _midnight(on: date) -> datetime:
    return datetime(on.year, on.month, on.day, tzinfo=UTC)
