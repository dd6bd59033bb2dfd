"""The ledger: what each job holds, has spent and has used, by the day on which its money was held.

The ledger is a pure function of the jobs. Each write of a job also writes, in the same transaction, the difference
between the contributions of the new and the old version. So `spent` is exactly the sum of the jobs' costs, and the
ledger can be rebuilt from the jobs at any time.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from afterthought.domain.jobs.attempt import Attempt
from afterthought.domain.jobs.job import Job
from afterthought.domain.models.pricing import exact_sum

OPEN = "open"
"""The status of a job that has not ended: queued or in progress."""


class Balance(NamedTuple):
    """Dollars. Both amounts use up the budget."""

    held_usd: Decimal = Decimal(0)
    spent_usd: Decimal = Decimal(0)

    @property
    def used_usd(self) -> Decimal:
        return exact_sum(self.held_usd, self.spent_usd)

    def plus(self, other: "Balance") -> "Balance":
        return Balance(exact_sum(self.held_usd, other.held_usd), exact_sum(self.spent_usd, other.spent_usd))


class UsageKey(NamedTuple):
    """The key of a usage row: a day (UTC), a model and a sorted set of tags."""

    day: date
    model: str
    tags: tuple[str, ...]


Amounts = Mapping[str, Decimal]
"""The amounts of a usage row by `<status>_<measure>`, such as `completed_jobs`, `open_held_usd` or
`failed_reasoning_tokens`. The measures are jobs, held_usd, spent_usd, and input, cached_input, cache_write, output and
reasoning tokens. Zeros are omitted."""


class Contribution(NamedTuple):
    """Amounts of the ledger: those of one job, of several jobs, or a change. `days` are the balances of the budgets.
    False when it is empty."""

    days: Mapping[date, Balance]
    usage: Mapping[UsageKey, Amounts]

    def __bool__(self) -> bool:
        return bool(self.days or self.usage)


def contribution(job: Job) -> Contribution:
    """What the job adds to the ledger. Money and tokens count on the day of the attempt's hold, for the model that the
    attempt calls. The job itself counts on the day of its creation, for the model of its newest attempt."""
    status = job.status if job.terminal else OPEN
    days: dict[date, Balance] = {}
    usage: dict[UsageKey, dict[str, Decimal]] = defaultdict(dict)
    usage[UsageKey(job.created_at.date(), job.called_model, job.tags)][f"{status}_jobs"] = Decimal(1)
    for attempt in job.attempts:
        day = attempt.held_at.date()
        balance = Balance(attempt.held_usd, attempt.spent_usd)
        days[day] = days.get(day, Balance()).plus(balance)
        row = usage[UsageKey(day, attempt.model or job.model, job.tags)]
        for measure, amount in _measures(attempt, balance):
            name = f"{status}_{measure}"
            row[name] = exact_sum(row.get(name, Decimal(0)), amount)
    return _without_zeros(days, usage)


def delta(before: Job | None, after: Job) -> Contribution:
    """The change of the ledger when `after` replaces `before`; empty when nothing changes."""
    return difference(contribution(after), contribution(before) if before is not None else Contribution({}, {}))


class LedgerItem(NamedTuple):
    """One stored item of a tenant's ledger: its amounts by attribute, without zeros. `version` counts its writes."""

    amounts: Mapping[str, Decimal]
    version: int = 0


class Totals:
    """Adds up contributions one by one."""

    def __init__(self) -> None:
        self._days: dict[date, Balance] = {}
        self._usage: dict[UsageKey, dict[str, Decimal]] = defaultdict(dict)

    def add(self, part: Contribution) -> None:
        for day, balance in part.days.items():
            self._days[day] = self._days.get(day, Balance()).plus(balance)
        for key, amounts in part.usage.items():
            row = self._usage[key]
            for name, amount in amounts.items():
                row[name] = exact_sum(row.get(name, Decimal(0)), amount)

    def sum(self) -> Contribution:
        return _without_zeros(self._days, self._usage)


def total(parts: Iterable[Contribution]) -> Contribution:
    totals = Totals()
    for part in parts:
        totals.add(part)
    return totals.sum()


def difference(left: Contribution, right: Contribution) -> Contribution:
    """`left` minus `right`."""
    # copy_negate, because the minus sign rounds to the 28 digits of the ambient context.
    negative = Contribution(
        {day: Balance(*(amount.copy_negate() for amount in balance)) for day, balance in right.days.items()},
        {key: {n: amount.copy_negate() for n, amount in amounts.items()} for key, amounts in right.usage.items()},
    )
    return total((left, negative))


def _measures(attempt: Attempt, balance: Balance) -> Iterable[tuple[str, Decimal]]:
    yield "held_usd", balance.held_usd
    yield "spent_usd", balance.spent_usd
    if attempt.usage is not None:
        for name, tokens in attempt.usage.model_dump().items():
            yield name, Decimal(tokens)


def _without_zeros(days: Mapping[date, Balance], usage: Mapping[UsageKey, Mapping[str, Decimal]]) -> Contribution:
    rows = {key: {name: amount for name, amount in amounts.items() if amount} for key, amounts in usage.items()}
    return Contribution(
        {day: balance for day, balance in days.items() if any(balance)},
        {key: amounts for key, amounts in rows.items() if amounts},
    )
