"""How much one job uses of each limited resource, by the bench's counts and assumptions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from afterthought.adapters.job_table import OVERDUE_SHARDS
from bench import cost
from bench.cost import Prices
from bench.meter import Request, Tally
from bench.template import memory_mb

STEPS = ("admitted", "called", "settled", "published", "delivered")
"""The steps of a job. One function takes each."""

_JOB_TABLE = frozenset({"STATE", "INPUT", "OUTPUT", "DELIVERY"})


@dataclass(frozen=True)
class JobCapacity:
    """The capacity that a woken job uses.

    `seconds` is how long one invocation of each function takes when warm. `job_units` and `account_units` are the write
    units by step, those of the job table with its index. `key_units` are the write units on partition keys that many
    jobs share. `sweep_seconds` is the sweeper's time for a job that it only postpones.
    """

    seconds: Mapping[str, float]
    job_units: Mapping[str, float]
    account_units: Mapping[str, float]
    key_units: Mapping[str, float]
    sweep_seconds: float


def capacity_of(job: Tally, prices: Prices) -> JobCapacity:
    memory = memory_mb()
    steps = dict(zip(STEPS, _requests_by_step(job.sequence), strict=True))
    return JobCapacity(
        seconds={
            each.function: float((each.billed_ms - each.cold_ms) / each.invocations / 1000)
            for each in cost.durations(job, prices, memory)
        },
        job_units={step: _units(requests, job_table=True) for step, requests in steps.items()},
        account_units={step: _units(requests, job_table=False) for step, requests in steps.items()},
        key_units={
            "a model's throttle": _units_of_kind("THROTTLE", job.sequence),
            "a tenant's minute": _units_of_kind("RATE", job.sequence),
            "a shard of the index": sum(item.index_units for r in job.sequence for item in r.items) / OVERDUE_SHARDS,
        },
        sweep_seconds=_sweep_ms(prices, memory["sweeper"]) / 1000,
    )


def _sweep_ms(prices: Prices, memory: int) -> float:
    """One read and one write of a job."""
    call_ms = prices.call_ms["dynamodb GetItem"] + prices.call_ms["dynamodb PutItem"]
    return float(call_ms + prices.working_ms(prices.processor_ms["sweep"], memory))


def _units_of_kind(kind: str, requests: Sequence[Request]) -> float:
    return sum(item.write_units for request in requests for item in request.items if item.kind == kind)


def _units(requests: Sequence[Request], *, job_table: bool) -> float:
    items = [item for request in requests for item in request.items if (item.kind in _JOB_TABLE) == job_table]
    return sum(item.write_units + item.index_units for item in items)


def _requests_by_step(requests: Sequence[Request]) -> Iterator[list[Request]]:
    """The worker takes two steps; each starts with a message."""
    by_function = {name: [request for request in requests if request.function == name] for name in cost.FUNCTIONS}
    worker = by_function["worker"]
    first, second = (index for index, request in enumerate(worker) if request.operation == "ReceiveMessage")
    yield by_function["api"]
    yield worker[first:second]
    yield worker[second:]
    yield by_function["notifier"]
    yield by_function["webhooks"]
