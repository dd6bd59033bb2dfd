"""Held, spent and used amounts, summed from the attempts of jobs, and read from the ledger for comparison.

Nothing here uses the service's own sums. Amounts are fractions, so nothing is rounded.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.status import TERMINAL

if TYPE_CHECKING:
    from tests.simulator.ledger import SimulatedLedger

OPEN = frozenset({"pending", "calling", "running", "outcome_unknown"})
SETTLED = "settled"

Period = tuple[str, str]
"""A tenant, and a month (`2026-11`) or a day (`2026-11-02`)."""
Row = tuple[str, str, str, str]
"""A tenant, a day, a model, and the tags joined by commas."""


class Budget(NamedTuple):
    """Dollars."""

    held: Fraction = Fraction(0)
    spent: Fraction = Fraction(0)

    @property
    def used(self) -> Fraction:
        return self.held + self.spent


class Money(NamedTuple):
    """Zero amounts are absent."""

    budgets: Mapping[Period, Budget]
    usage: Mapping[Row, Mapping[str, Fraction]]


def of_jobs(jobs: Iterable[Job]) -> Money:
    budgets: dict[Period, Budget] = defaultdict(Budget)
    usage: dict[Row, dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for job in jobs:
        status = job.status if job.status in TERMINAL else "open"
        tags = ",".join(sorted(job.tags))
        model = (job.attempts[-1].model if job.attempts else None) or job.model
        usage[job.tenant, f"{job.created_at:%Y-%m-%d}", model, tags][f"{status}_jobs"] += 1
        for entry in job.attempts:
            held = Fraction(entry.hold_usd) if entry.state in OPEN else Fraction(0)
            spent = Fraction(entry.cost_usd or 0) if entry.state == SETTLED else Fraction(0)
            for period in (f"{entry.held_at:%Y-%m}", f"{entry.held_at:%Y-%m-%d}"):
                before = budgets[job.tenant, period]
                budgets[job.tenant, period] = Budget(before.held + held, before.spent + spent)
            row = usage[job.tenant, f"{entry.held_at:%Y-%m-%d}", entry.model or job.model, tags]
            row[f"{status}_held_usd"] += held
            row[f"{status}_spent_usd"] += spent
            if entry.usage is not None:
                for part, tokens in entry.usage.model_dump().items():
                    row[f"{status}_{part}"] += tokens
    return _without_zeros(budgets, usage)


def of_ledger(ledger: "SimulatedLedger") -> Money:
    """From the simulator's ledger."""
    budgets: dict[Period, Budget] = {}
    for (tenant, month), balance in ledger.months.items():
        budgets[tenant, f"{month:%Y-%m}"] = _budget(*balance.total)
        for day, day_balance in balance.days.items():
            budgets[tenant, day.isoformat()] = _budget(*day_balance)
    usage = {
        (tenant, key.day.isoformat(), key.model, ",".join(key.tags)): {
            name: Fraction(amount) for name, amount in counts.items()
        }
        for tenant, rows in ledger.rows.items()
        for key, counts in rows.items()
    }
    return _without_zeros(budgets, usage)


def of_items(items: Iterable[Mapping[str, Any]]) -> Money:
    """From AccountTable's items, as a scan returns them."""
    budgets: dict[Period, Budget] = {}
    usage: dict[Row, dict[str, Fraction]] = {}
    for item in items:
        kind, _, tenant = item["pk"]["S"].partition("#")
        sk = item["sk"]["S"]
        numbers = {name: Decimal(value["N"]) for name, value in item.items() if "N" in value}
        numbers.pop("version", None)
        if kind == "BUDGET":
            budgets[tenant, sk] = _used_budget(numbers.pop("used_usd"), numbers.pop("held_usd"))
            for day in [name.removeprefix("used") for name in numbers if name.startswith("used")]:
                budgets[tenant, f"{sk}-{day}"] = _used_budget(numbers[f"used{day}"], numbers.get(f"held{day}"))
        elif kind == "USAGE":
            day, model, tags = sk.split("#")
            usage[tenant, day, model, tags] = {name: Fraction(amount) for name, amount in numbers.items()}
    return _without_zeros(budgets, usage)


def differences(expected: Money, actual: Money) -> Iterator[str]:
    """A text for each amount of the ledger that is not the sum of the jobs."""
    for period in sorted(expected.budgets.keys() | actual.budgets.keys()):
        expected_budget, stored = expected.budgets.get(period, Budget()), actual.budgets.get(period, Budget())
        if expected_budget != stored:
            yield f"{period}: the ledger has {_shown(stored)}, the jobs {_shown(expected_budget)}"
    for row in sorted(expected.usage.keys() | actual.usage.keys()):
        counts, stored_counts = expected.usage.get(row, {}), actual.usage.get(row, {})
        for name in sorted(counts.keys() | stored_counts.keys()):
            if counts.get(name, 0) != stored_counts.get(name, 0):
                yield f"{row} {name}: the ledger has {stored_counts.get(name, 0)}, the jobs {counts.get(name, 0)}"


def is_day(period: str) -> bool:
    """Whether a period is a day, not a month."""
    return len(period) == len("2026-11-02")


def _budget(held: Decimal, spent: Decimal) -> Budget:
    return Budget(Fraction(held), Fraction(spent))


def _used_budget(used: Decimal, held: Decimal | None) -> Budget:
    return Budget(Fraction(held or 0), Fraction(used) - Fraction(held or 0))


def _shown(budget: Budget) -> str:
    return f"{float(budget.held):.9f} held and {float(budget.spent):.9f} spent"


def _without_zeros(budgets: Mapping[Period, Budget], usage: Mapping[Row, Mapping[str, Fraction]]) -> Money:
    rows = {row: {name: amount for name, amount in counts.items() if amount} for row, counts in usage.items()}
    return Money(
        {period: budget for period, budget in budgets.items() if any(budget)},
        {row: counts for row, counts in rows.items() if counts},
    )
