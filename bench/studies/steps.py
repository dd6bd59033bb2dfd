"""What admitting a job asks of AWS, and what settling it does: for a tenant's first job of a month, and after many."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import chain

from afterthought.adapters import books
from afterthought.adapters.job_table import state_item
from afterthought.domain.attempt import Plan
from afterthought.domain.books import movement, total
from afterthought.domain.budget import Caps
from afterthought.domain.job import Job, accept
from afterthought.domain.pricing import Usage
from bench.driver import MODELS, Driver
from bench.fixture import ACCOUNT_TABLE, JOB_TABLE, at
from bench.meter import Tally

MANY = 200
"""The jobs before, over all days of the month."""

_DAYS = 31
_TAGS = ((), ("evaluation",), ("nightly", "team-a"))
_AT_ONCE = 50
_CAPS = {"month_cap_usd": Decimal(10_000), "day_cap_usd": Decimal(1_000)}
_NO_CAPS: Mapping[str, Decimal | None] = dict.fromkeys(_CAPS)
_LATER = timedelta(minutes=1)
# The job was admitted at the beginning of a minute.
_IN_ITS_MINUTE = timedelta(seconds=5)


@dataclass(frozen=True)
class _Variant:
    admission: str
    settlement: str
    budgets: bool
    key: bool
    thinking: timedelta = _LATER


_VARIANTS = (
    _Variant("plain", "plain", budgets=False, key=False),
    _Variant("budgets", "budgets", budgets=True, key=False),
    _Variant("a key", "its minute", budgets=False, key=True, thinking=_IN_ITS_MINUTE),
    _Variant("both", "both", budgets=True, key=True, thinking=_IN_ITS_MINUTE),
)


@dataclass(frozen=True)
class Measured:
    """Admissions by what they come with: budgets, an Idempotency-Key, both. Settlements by whether there are budgets,
    and by whether they come in the minute of their admission."""

    admissions: Mapping[str, Tally]
    settlements: Mapping[str, Tally]


@dataclass(frozen=True)
class Steps:
    first: Measured
    """Of tenants without a job before."""
    after_many: Measured
    """Of one on the last day of a month, after `MANY` jobs on all of its days."""
    budget_bytes: int
    """The size of that one's budget item."""
    usage_rows: int


def measure(driver: Driver) -> Steps:
    """Takes some seconds."""
    first = _measure(driver, 1, lambda variant: f"new-{_VARIANTS.index(variant)}", {})
    busy = {"busy": driver.stage.tenant("busy")}
    _write_history(driver, "busy")
    after_many = _measure(driver, _DAYS, lambda _: "busy", busy)
    sizes = driver.book_bytes("busy")
    return Steps(first, after_many, budget_bytes=max(sizes["BUDGET"]), usage_rows=len(sizes["USAGE"]))


def _measure(driver: Driver, day: int, tenant_of: Callable[[_Variant], str], keys: Mapping[str, str]) -> Measured:
    admissions, settlements = {}, {}
    for variant in _VARIANTS:
        tenant = tenant_of(variant)
        api_key = keys.get(tenant) or driver.stage.tenant(tenant)
        driver.stage.accounts.change_tenant(tenant, _CAPS if variant.budgets else _NO_CAPS)
        driver.stage.calendar.set(at(day))
        key = f"{_VARIANTS.index(variant)}-{day}" if variant.key else None
        admissions[variant.admission], job_id = driver.admit(api_key, idempotency_key=key)
        settlements[variant.settlement] = driver.settle(job_id, thinking=variant.thinking)
    return Measured(admissions, settlements)


def _write_history(driver: Driver, tenant: str) -> None:
    """`MANY` jobs that have come and ended. Their movements are booked some at once, which adds up to the same, and
    without transactions, for each of whose members moto copies a whole table."""
    for first in range(0, MANY, _AT_ONCE):
        queued = [_queued(tenant, number) for number in range(first, first + _AT_ONCE)]
        ended = [_ended(job) for job in queued]
        came = total(movement(None, job) for job in queued)
        went = total(movement(before, after) for before, after in zip(queued, ended, strict=True))
        for write in chain.from_iterable(books.writes(ACCOUNT_TABLE, tenant, moved, Caps()) for moved in (came, went)):
            driver.stage.dynamodb.update_item(**write["Update"])
        for job in ended:
            driver.stage.dynamodb.put_item(TableName=JOB_TABLE, Item=state_item(job))


def _queued(tenant: str, number: int) -> Job:
    return accept(
        id=f"resp_{number:048}",
        tenant=tenant,
        model=MODELS["woken"],
        effort="low",
        max_output_tokens=None,
        service_tier="default",
        body_hash="0" * 64,
        webhook=True,
        plan=Plan(MODELS["woken"], "low", None, Decimal("1.280745")),
        tags=_TAGS[number % len(_TAGS)],
        now=at(day=1 + number % _DAYS),
    )


def _ended(job: Job) -> Job:
    now = job.created_at + _LATER
    called = job.begin(token="0" * 32, provider="openai", now=now)
    return called.submitted(response_id="resp_bench", now=now, check_seconds=1).settled(
        "completed",
        now=now,
        served_model=MODELS["woken"],
        usage=Usage(input_tokens=10, output_tokens=137, reasoning_tokens=128),
        price_id="bench",
        cost_usd=Decimal("0.0013825"),
    )
