"""The requests of an admission and a settlement, for a tenant's first job of a month and after a history of jobs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import chain

from afterthought.adapters import ledger_table
from afterthought.adapters.job_table import state_item
from afterthought.domain.jobs.attempt import CallSpec
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.spec import JobSpec
from afterthought.domain.ledger.budget import Caps
from afterthought.domain.ledger.ledger import delta, total
from afterthought.domain.models.pricing import Usage
from bench.driver import MODELS, Driver
from bench.fixture import on_day
from bench.meter import READ_UNITS, WRITE_UNITS, Request, Tally

HISTORY = 200
"""The number of earlier jobs, spread over the month."""

_DAYS = 31
_TAGS = ((), ("evaluation",), ("nightly", "team-a"))
_BATCH = 50
_CAPS = {"month_cap_usd": Decimal(10_000), "day_cap_usd": Decimal(1_000)}
_NO_CAPS: Mapping[str, Decimal | None] = dict.fromkeys(_CAPS)
_NEXT_MINUTE = timedelta(minutes=1)
# The job is admitted at the start of a minute.
_SAME_MINUTE = timedelta(seconds=5)


@dataclass(frozen=True)
class _Variant:
    admission: str
    settlement: str
    budgets: bool
    key: bool
    thinking: timedelta = _NEXT_MINUTE


_VARIANTS = (
    _Variant("plain", "plain", budgets=False, key=False),
    _Variant("budgets", "budgets", budgets=True, key=False),
    _Variant("key", "same minute", budgets=False, key=True, thinking=_SAME_MINUTE),
    _Variant("both", "both", budgets=True, key=True, thinking=_SAME_MINUTE),
)


@dataclass(frozen=True)
class Measured:
    """Admissions with budgets, with an Idempotency-Key, with both. Settlements with budgets, in the minute of the
    admission, with both."""

    admissions: Mapping[str, Tally]
    settlements: Mapping[str, Tally]


@dataclass(frozen=True)
class Steps:
    """`first`: tenants without earlier jobs. `later`: a tenant on the last day of a month with `history` earlier jobs,
    whose month budget item has `budget_bytes`."""

    first: Measured
    later: Measured
    history: int
    budget_bytes: int
    usage_rows: int


def study(functions: Driver, history: int = HISTORY) -> Steps:
    functions.configure_events(enabled=False)
    first = _measure(functions, 1, lambda variant: f"new-{_VARIANTS.index(variant)}", {})
    keys = {"busy": functions.fixture.create_tenant("busy")}
    _write_history(functions, "busy", history)
    later = _measure(functions, _DAYS, lambda _: "busy", keys)
    sizes = functions.ledger_sizes("busy")
    return Steps(first, later, history, budget_bytes=max(sizes["BUDGET"]), usage_rows=len(sizes["USAGE"]))


def _measure(functions: Driver, day: int, tenant_of: Callable[[_Variant], str], keys: Mapping[str, str]) -> Measured:
    environment = functions.fixture
    admissions, settlements = {}, {}
    for number, variant in enumerate(_VARIANTS):
        tenant = tenant_of(variant)
        api_key = keys.get(tenant) or environment.create_tenant(tenant)
        environment.stack.accounts.change_tenant(tenant, _CAPS if variant.budgets else _NO_CAPS)
        environment.clock.set(on_day(day))
        key = f"{number}-{day}" if variant.key else None
        admissions[variant.admission], job_id = functions.admit(api_key, idempotency_key=key)
        settlements[variant.settlement] = functions.settle(job_id, thinking=variant.thinking)
    return Measured(admissions, settlements)


def _write_history(functions: Driver, tenant: str, jobs: int) -> None:
    """Completed jobs. The ledger is updated for a batch of jobs at once and without transactions: moto copies a whole
    table for each write in a transaction."""
    dynamodb = functions.fixture.stack.clients.dynamodb
    for first in range(0, jobs, _BATCH):
        queued = [_queued(tenant, number) for number in range(first, min(first + _BATCH, jobs))]
        ended = [_completed(job) for job in queued]
        opened = total(delta(None, job) for job in queued)
        settled = total(delta(before, after) for before, after in zip(queued, ended, strict=True))
        writes = (ledger_table.writes("AccountTable", tenant, delta, Caps()) for delta in (opened, settled))
        for write in chain.from_iterable(writes):
            dynamodb.update_item(**write["Update"])
        for job in ended:
            dynamodb.put_item(TableName="JobTable", Item=state_item(job))


def _queued(tenant: str, number: int) -> Job:
    return Job.create(
        JobSpec(
            id=f"resp_{number:048}",
            tenant=tenant,
            model=MODELS["woken"],
            effort="low",
            max_output_tokens=None,
            service_tier="default",
            body_hash="0" * 64,
            webhook=True,
            tags=_TAGS[number % len(_TAGS)],
            created_at=on_day(1 + number % _DAYS),
            deadline_at=on_day(1 + number % _DAYS) + timedelta(hours=24),
        ),
        CallSpec(MODELS["woken"], "low", None, Decimal("1.280745")),
    )


def _completed(job: Job) -> Job:
    now = job.created_at + _NEXT_MINUTE
    called = job.start_call(token="0" * 32, provider="openai", now=now)
    return called.mark_running(response_id="resp_bench", now=now, poll_seconds=1).settle(
        "completed",
        now=now,
        served_model=MODELS["woken"],
        usage=Usage(input_tokens=10, output_tokens=137, reasoning_tokens=128),
        price_id="bench",
        cost_usd=Decimal("0.0013825"),
    )


_TRANSACTION = {"TransactWriteItems": "all of the following or none"}
_ADMISSION = _TRANSACTION | {
    "GetItem KEY": "the tenant of the API key",
    "GetItem STATE": "an earlier job with the Idempotency-Key",
    "GetItem TENANT": "tier, limits, caps",
    "UpdateItem RATE": "the rate limit of the minute",
    "GetItem BUDGET": "refuse early if the hold does not fit",
    "PutItem INPUT": "the request",
    "  STATE": "the job",
    "  STATE in the index": "when the job becomes overdue",
    "  BUDGET": "the hold, in month and day",
    "  USAGE": "one more open job",
    "sqs SendMessage": "wake the worker",
}
_SETTLEMENT = _TRANSACTION | {
    "Lambda's ReceiveMessage": "the worker's message",
    "GetItem STATE": "the job",
    "PutItem OUTPUT": "the answer",
    "  STATE": "the outcome, usage and cost",
    "  STATE in the index": "when its event becomes overdue",
    "  BUDGET": "release the hold, add the cost",
    "  USAGE": "one open job less, its tokens and cost",
    "UpdateItem RATE": "correct the estimated tokens",
    "Lambda's DeleteMessage": "acknowledge the message",
}


def report(measured: Steps) -> list[str]:
    first, later = measured.first, measured.later
    return [
        "AN ADMISSION AND A SETTLEMENT, REQUEST BY REQUEST",
        "w: write units, of which a transaction takes two for each of its writes; r: read units; •: not DynamoDB's.",
        "",
        *_table("an admission", _ADMISSION, first.admissions, later.admissions, measured.history),
        "",
        *_table("a settlement", _SETTLEMENT, first.settlements, later.settlements, measured.history),
        "",
        "Budgets: of a month and a day. Key: an Idempotency-Key. Same minute: settled in the minute of its admission.",
        f"After {measured.history} jobs, spread over a month, the tenant has {measured.usage_rows} usage rows,",
        f"and the month's budget item has {measured.budget_bytes} bytes.",
    ]


def _table(
    name: str, purposes: Mapping[str, str], first: Mapping[str, Tally], later: Mapping[str, Tally], history: int
) -> Iterator[str]:
    yield f"{name:<28}{'':<44}" + "".join(f"{column:>12}" for column in first)
    columns = [dict(row for request in tally.sequence for row in _rows(request)) for tally in first.values()]
    # The longest column has all rows in their order.
    for row in dict.fromkeys(row for column in sorted(columns, key=len, reverse=True) for row in column):
        yield f"{row:<28}{purposes.get(row, ''):<44}" + "".join(f"{column.get(row, ''):>12}" for column in columns)
    for label, tallies in (("total", first), (f"after {history} jobs", later)):
        cells = (
            f"{len(tally.sequence)}: {tally.units.get(WRITE_UNITS, 0)} w {tally.units.get(READ_UNITS, Decimal(0)):f} r"
            for tally in tallies.values()
        )
        yield f"{label:<28}{'requests, and their units':<44}" + "".join(f"{cell:>12}" for cell in cells)


def _rows(request: Request) -> Iterator[tuple[str, str]]:
    """A request's label and cell. Each write of a transaction has a row of its own."""
    if request.service != "dynamodb":
        sender = "Lambda's" if request.sender.startswith("Lambda") else request.service
        yield f"{sender} {request.operation}", "•"
        return
    cell = f"{request.write_units} w" if request.write_units else f"{request.read_units:f} r"
    if len(request.items) == 1:
        yield f"{request.operation} {request.items[0].kind}", cell
        return
    yield request.operation, cell
    for item in request.items:
        yield f"  {item.kind}", f"{item.write_units} w"
        if item.index_units:
            yield f"  {item.kind} in the index", f"{item.index_units} w"
