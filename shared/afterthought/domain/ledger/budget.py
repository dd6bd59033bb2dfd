"""The budgets of a tenant: its spending limits for a month and a day (UTC), and their use."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from afterthought.domain.errors import AfterthoughtError, MoneyRefused
from afterthought.domain.ledger.ledger import Balance
from afterthought.domain.models.pricing import exact_sum, format_usd
from afterthought.domain.tenants.tenant import Tenant


class Caps(NamedTuple):
    """Dollars; None means no budget."""

    month_usd: Decimal | None = None
    day_usd: Decimal | None = None


NO_CAPS = Caps()


def caps_of(tenant: Tenant) -> Caps:
    return Caps(month_usd=tenant.month_cap_usd, day_usd=tenant.day_cap_usd)


class MonthBalance(NamedTuple):
    """The balance of one tenant's month and of its days."""

    total: Balance = Balance()
    days: Mapping[date, Balance] = MappingProxyType({})


class OverBudget(AfterthoughtError):
    """A hold does not fit the budget. `balance` is the stored one at that moment."""

    def __init__(self, balance: MonthBalance) -> None:
        super().__init__("the hold does not fit the budget")
        self.balance = balance


class Budget(NamedTuple):
    """The state of one budget. `left_usd` is negative if the cap was lowered below the used amount, or a job cost
    more than its hold. `cap_usd` and `left_usd` are None without a cap."""

    period: Literal["month", "day"]
    name: str
    cap_usd: Decimal | None
    balance: Balance
    renews_at: datetime

    @property
    def left_usd(self) -> Decimal | None:
        return None if self.cap_usd is None else exact_sum(self.cap_usd, self.balance.used_usd.copy_negate())

    def wire(self) -> dict[str, Any]:
        """The budget as the API shows it: decimal strings, times in RFC 3339."""
        left = self.left_usd
        return {
            "period": self.period,
            "name": self.name,
            "cap_usd": None if self.cap_usd is None else format_usd(self.cap_usd),
            "held_usd": format_usd(self.balance.held_usd),
            "spent_usd": format_usd(self.balance.spent_usd),
            "left_usd": None if left is None else format_usd(left),
            "renews_at": self.renews_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


def budgets(balance: MonthBalance, caps: Caps, on: date) -> Iterator[Budget]:
    """The budget of the month and that of the day, with or without caps."""
    month = on.replace(day=1)
    next_month = (month + timedelta(days=31)).replace(day=1)
    yield Budget("month", f"{month:%Y-%m}", caps.month_usd, balance.total, _midnight(next_month))
    day = balance.days.get(on, Balance())
    yield Budget("day", on.isoformat(), caps.day_usd, day, _midnight(on + timedelta(days=1)))


def exceeded(balance: MonthBalance, caps: Caps, hold_usd: Decimal, on: date) -> tuple[Budget, ...]:
    """The budgets that the hold does not fit."""
    return tuple(
        budget for budget in budgets(balance, caps, on) if budget.left_usd is not None and hold_usd > budget.left_usd
    )


def refusal(full: Sequence[Budget], hold_usd: Decimal, fitting_output_tokens: int | None) -> MoneyRefused:
    """The error for a hold that does not fit these budgets. With `fitting_output_tokens` as `max_output_tokens` it
    would fit all of them."""
    advice = f" With max_output_tokens of {fitting_output_tokens} or less it fits." if fitting_output_tokens else ""
    return MoneyRefused(
        f"This job can cost up to ${format_usd(hold_usd)}. {' '.join(map(_sentence, full))}{advice}",
        detail={
            "bound_usd": format_usd(hold_usd),
            "budgets": [budget.wire() for budget in full],
            "max_output_tokens": fitting_output_tokens,
        },
    )


def _sentence(budget: Budget) -> str:
    wire = budget.wire()
    left = budget.left_usd or Decimal(0)
    rest = f"${wire['left_usd']} is left" if left > 0 else "Nothing is left"
    held = (
        f" and ${wire['held_usd']} is held for jobs that have not ended; what they do not spend is released"
        if budget.balance.held_usd
        else ""
    )
    return (
        f"{rest} of the {budget.period}'s budget of ${wire['cap_usd']} ({budget.name}): ${wire['spent_usd']} is "
        f"spent{held}. It renews at {wire['renews_at']}."
    )


def _midnight(on: date) -> datetime:
    return datetime(on.year, on.month, on.day, tzinfo=UTC)
