"""The books: what each job holds, has spent and has used, by the day its money was held on.

They are a pure function of the job. Whoever writes a job writes, in the same transaction, the difference between what
the new version contributes and what the old one did: so `spent` is the sum of the jobs' costs because nothing else is
ever added to it, and the books can be made again from the jobs at any time.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from afterthought.domain.attempt import Attempt
from afterthought.domain.job import Job
from afterthought.domain.pricing import exact_sum

OPEN = "open"
"""The status under which a job counts that has not ended: queued or in progress."""


class Standing(NamedTuple):
    """Dollars. What is used of a budget is what is held plus what is spent."""

    held_usd: Decimal = Decimal(0)
    spent_usd: Decimal = Decimal(0)

    @property
    def used_usd(self) -> Decimal:
        return exact_sum(self.held_usd, self.spent_usd)

    def plus(self, other: "Standing") -> "Standing":
        return Standing(exact_sum(self.held_usd, other.held_usd), exact_sum(self.spent_usd, other.spent_usd))


class UsageKey(NamedTuple):
    """One row of the usage: jobs of one day (UTC), model and set of tags (sorted)."""

    day: date
    model: str
    tags: tuple[str, ...]


Counts = Mapping[str, Decimal]
"""What a row counts, by `<status>_<measure>`: `completed_jobs`, `open_held_usd`, `failed_reasoning_tokens`. The
measures are jobs, held_usd, spent_usd, and input, cached_input, cache_write, output and reasoning tokens. What is zero
is absent."""


class Books(NamedTuple):
    """What stands in the books, or a movement in them. `days` are the budgets' days."""

    days: Mapping[date, Standing]
    usage: Mapping[UsageKey, Counts]

    def __bool__(self) -> bool:
        return bool(self.days or self.usage)


def booked(job: Job) -> Books:
    """What the job contributes. Money and tokens count on the day its attempt's hold was taken, under the model that
    it called; the job itself on the day it was created, under the model that its newest attempt called."""
    status = job.status if job.terminal else OPEN
    days: dict[date, Standing] = {}
    usage: dict[UsageKey, dict[str, Decimal]] = defaultdict(dict)
    usage[UsageKey(job.created_at.date(), job.called_model, job.tags)][f"{status}_jobs"] = Decimal(1)
    for attempt in job.attempts:
        day = attempt.held_at.date()
        standing = Standing(attempt.held_usd, attempt.spent_usd)
        days[day] = days.get(day, Standing()).plus(standing)
        row = usage[UsageKey(day, attempt.model or job.model, job.tags)]
        for measure, amount in _measures(attempt, standing):
            name = f"{status}_{measure}"
            row[name] = exact_sum(row.get(name, Decimal(0)), amount)
    return _without_zeros(days, usage)


def movement(before: Job | None, after: Job) -> Books:
    """What the books move by when `after` takes the place of `before`; empty when nothing moves."""
    return difference(booked(after), booked(before) if before is not None else Books({}, {}))


class Page(NamedTuple):
    """One item of a tenant's books: its amounts by name, without zeros. `moves` counts its writes."""

    amounts: Mapping[str, Decimal]
    moves: int = 0


class Tally:
    """Adds up contributions, any number of them, as they come."""

    def __init__(self) -> None:
        self._days: dict[date, Standing] = {}
        self._usage: dict[UsageKey, dict[str, Decimal]] = defaultdict(dict)

    def add(self, part: Books) -> None:
        for day, standing in part.days.items():
            self._days[day] = self._days.get(day, Standing()).plus(standing)
        for key, counts in part.usage.items():
            row = self._usage[key]
            for name, amount in counts.items():
                row[name] = exact_sum(row.get(name, Decimal(0)), amount)

    def books(self) -> Books:
        return _without_zeros(self._days, self._usage)


def total(parts: Iterable[Books]) -> Books:
    """The sum: of all jobs, what must stand in the books."""
    tally = Tally()
    for part in parts:
        tally.add(part)
    return tally.books()


def difference(left: Books, right: Books) -> Books:
    """`left` less `right`."""
    # copy_negate, because the minus sign rounds to the ambient context's 28 digits.
    negative = Books(
        {day: Standing(*(amount.copy_negate() for amount in standing)) for day, standing in right.days.items()},
        {key: {n: amount.copy_negate() for n, amount in counts.items()} for key, counts in right.usage.items()},
    )
    return total((left, negative))


def _measures(attempt: Attempt, standing: Standing) -> Iterable[tuple[str, Decimal]]:
    yield "held_usd", standing.held_usd
    yield "spent_usd", standing.spent_usd
    if attempt.usage is not None:
        for name, tokens in attempt.usage.model_dump().items():
            yield name, Decimal(tokens)


def _without_zeros(days: Mapping[date, Standing], usage: Mapping[UsageKey, Mapping[str, Decimal]]) -> Books:
    rows = {key: {name: amount for name, amount in counts.items() if amount} for key, counts in usage.items()}
    return Books(
        {day: standing for day, standing in days.items() if any(standing)},
        {key: counts for key, counts in rows.items() if counts},
    )
