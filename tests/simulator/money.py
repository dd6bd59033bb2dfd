"""What the jobs hold, have cost and have used, added up from their ledger entries alone.

None of the service's own sums is used here, so that its books can be held against these. In fractions: nothing rounds.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from afterthought.domain.jobs.job import TERMINAL, Job
from tests.simulator.ledger import SimulatedLedger

OPEN = frozenset({"pending", "calling", "running", "outcome_unknown"})
SETTLED = "settled"

Period = tuple[str, str]
"""A tenant, with a month (`2026-11`) or a day (`2026-11-02`)."""
Row = tuple[str, str, str, str]
"""A tenant, a day, a model and the tags, comma-joined."""


class Budget(NamedTuple):
    """Dollars."""

    held: Fraction = Fraction(0)
    spent: Fraction = Fraction(0)

    @property
    def used(self) -> Fraction:
        return self.held + self.spent


class Money(NamedTuple):
    """What is zero is absent."""

    budgets: Mapping[Period, Budget]
    usage: Mapping[Row, Mapping[str, Fraction]]


def of_jobs(jobs: Iterable[Job]) -> Money:
    budgets: dict[Period, Budget] = defaultdict(Budget)
    usage: dict[Row, dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for job in jobs:
        status = job.status if job.status in TERMINAL else "open"
        tags = ",".join(sorted(job.tags))
        called = (job.attempts[-1].model if job.attempts else None) or job.model
        usage[job.tenant, f"{job.created_at:%Y-%m-%d}", called, tags][f"{status}_jobs"] += 1
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


def of_ledger(books: SimulatedLedger) -> Money:
    """What the simulator's books say."""
    budgets: dict[Period, Budget] = {}
    for (tenant, month), book in books.months.items():
        budgets[tenant, f"{month:%Y-%m}"] = _budget(*book.total)
        for day, standing in book.days.items():
            budgets[tenant, day.isoformat()] = _budget(*standing)
    usage = {
        (tenant, key.day.isoformat(), key.model, ",".join(key.tags)): {n: Fraction(a) for n, a in counts.items()}
        for tenant, rows in books.rows.items()
        for key, counts in rows.items()
    }
    return _without_zeros(budgets, usage)


def of_items(items: Iterable[Mapping[str, Any]]) -> Money:
    """What AccountTable's items say, as a scan gives them."""
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


def differences(told: Money, stands: Money) -> Iterator[str]:
    """Where the books are not what the jobs say, in words."""
    for period in sorted(told.budgets.keys() | stands.budgets.keys()):
        said, stood = told.budgets.get(period, Budget()), stands.budgets.get(period, Budget())
        if said != stood:
            yield f"{period}: the books say {_shown(stood)}, the jobs {_shown(said)}"
    for row in sorted(told.usage.keys() | stands.usage.keys()):
        counts, counted = told.usage.get(row, {}), stands.usage.get(row, {})
        for name in sorted(counts.keys() | counted.keys()):
            if counts.get(name, 0) != counted.get(name, 0):
                yield f"{row} {name}: the books say {counted.get(name, 0)}, the jobs {counts.get(name, 0)}"


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
