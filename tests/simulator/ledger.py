"""The ledger of AccountTable: written with the jobs, read by the services."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from afterthought.domain.ledger import ledger
from afterthought.domain.ledger.budget import Caps, MonthBalance, OverBudget
from afterthought.domain.ledger.ledger import Amounts, Balance, UsageKey
from tests.simulator.calls import CallRecorder

Month = tuple[str, date]


@dataclass
class SimulatedLedger:
    """The port `Ledger`. `months` has the balances by tenant and first day of the month, `rows` the usage by tenant and
    key, `history` every version of every month."""

    calls: CallRecorder
    months: dict[Month, MonthBalance] = field(default_factory=dict)
    history: list[tuple[Month, MonthBalance]] = field(default_factory=list)
    rows: dict[str, dict[UsageKey, dict[str, Decimal]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(lambda: defaultdict(Decimal)))
    )

    def month(self, tenant: str, month: date) -> MonthBalance:
        return self.calls.call("ledger.month", lambda: self.balance(tenant, month))

    def balance(self, tenant: str, month: date) -> MonthBalance:
        """Like `month`, without a recorded call."""
        return self.months.get((tenant, month), MonthBalance())

    def usage(self, tenant: str, first: date, last: date) -> Iterator[tuple[UsageKey, Amounts]]:
        def read() -> list[tuple[UsageKey, Amounts]]:
            rows = (
                (key, {n: amount for n, amount in row.items() if amount})
                for key, row in self.rows.get(tenant, {}).items()
            )
            selected = [(key, amounts) for key, amounts in rows if amounts and first <= key.day <= last]
            return sorted(selected, key=lambda row: row[0])

        yield from self.calls.call("ledger.usage", read)

    def apply(self, tenant: str, delta: ledger.Contribution, caps: Caps) -> None:
        """A part of the transaction that writes a job. Raises OverBudget before it changes anything."""
        changed: dict[date, MonthBalance] = {}
        for day, change in delta.days.items():
            month = day.replace(day=1)
            before = changed.get(month, self.balance(tenant, month))
            after = MonthBalance(
                total=before.total.plus(change),
                days={**before.days, day: before.days.get(day, Balance()).plus(change)},
            )
            over_month = caps.month_usd is not None and after.total.used_usd > caps.month_usd
            over_day = caps.day_usd is not None and after.days[day].used_usd > caps.day_usd
            if change.used_usd > 0 and (over_month or over_day):
                raise OverBudget(self.balance(tenant, month))
            changed[month] = after
        for month, after in changed.items():
            self.months[tenant, month] = after
            self.history.append(((tenant, month), after))
        for key, amounts in delta.usage.items():
            for name, amount in amounts.items():
                self.rows[tenant][key][name] += amount
