"""What one job asks of the parts that have limits, from what the bench has counted and assumed of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from afterthought.adapters.job_table import DUE_SHARDS
from bench import cost
from bench.cost import Prices
from bench.meter import Request, Tally

STEPS = ("admitted", "submitted", "settled", "announced", "delivered")
"""A job's, each of which one function takes."""

_JOB_TABLE = frozenset({"STATE", "INPUT", "OUTPUT", "DELIVERY"})


@dataclass(frozen=True)
class Demand:
    """Of a woken job. `seconds` is how long a warm function is busy with it, for each of its invocations; the write
    units are by step, those of JobTable with its index, and `key_units` by what has one partition key for many jobs.
    `swept_seconds` is what the sweeper takes for a job whose `due_at` it only moves."""

    seconds: Mapping[str, float]
    job_units: Mapping[str, float]
    account_units: Mapping[str, float]
    key_units: Mapping[str, float]
    swept_seconds: float


def of(job: Tally, prices: Prices, template: Mapping[str, Any]) -> Demand:
    ran = cost.running(job, prices, cost.memory(template))
    made = dict(zip(STEPS, _steps(job.made), strict=True))
    return Demand(
        seconds={r.function: float((r.billed_ms - r.cold_ms) / r.invocations / 1000) for r in ran},
        job_units={step: _units(requests, of_jobs=True) for step, requests in made.items()},
        account_units={step: _units(requests, of_jobs=False) for step, requests in made.items()},
        key_units={
            "a model's throttle": _units_of("THROTTLE", job.made),
            "a tenant's minute": _units_of("RATE", job.made),
            "a shard of the index": sum(i.index_units for r in job.made for i in r.items) / DUE_SHARDS,
        },
        swept_seconds=_swept_ms(prices, cost.memory(template)["sweeper"]) / 1000,
    )


def _swept_ms(prices: Prices, memory_mb: int) -> float:
    """To read a job and to write it."""
    waits = prices.waits["dynamodb GetItem"] + prices.waits["dynamodb PutItem"]
    return float(waits + prices.working_ms(prices.processor_ms["swept"], memory_mb))


def _units_of(kind: str, made: Sequence[Request]) -> float:
    return sum(item.write_units for request in made for item in request.items if item.kind == kind)


def _units(requests: Sequence[Request], *, of_jobs: bool) -> float:
    items = [item for request in requests for item in request.items if (item.kind in _JOB_TABLE) == of_jobs]
    return sum(item.write_units + item.index_units for item in items)


def _steps(made: Sequence[Request]) -> Iterator[list[Request]]:
    """The requests of each step: the worker takes two, each begun by a message."""
    by_function = {name: [request for request in made if request.function == name] for name in cost.WAY}
    first, second = (
        place for place, request in enumerate(by_function["worker"]) if request.operation == "ReceiveMessage"
    )
    yield by_function["api"]
    yield by_function["worker"][first:second]
    yield by_function["worker"][second:]
    yield by_function["notifier"]
    yield by_function["webhooks"]
