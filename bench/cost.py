"""Dollars per million jobs, call by call, from what a job was counted to ask for and the dated price list."""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from bench import ROOT
from bench.meter import Request, Tally

MILLION = Decimal(10**6)
GB = Decimal(2**30)

WAY = ("api", "worker", "direct", "sweeper", "provider_events", "notifier", "webhooks")
"""The functions in the order a job travels."""


@dataclass(frozen=True)
class Prices:
    as_of: date
    region: str
    per_million: Mapping[str, Decimal]
    per_gb: Mapping[str, Decimal]
    per_gb_month: Mapping[str, Decimal]
    per_month: Mapping[str, Decimal]
    waits: Mapping[str, int]
    processor_ms: Mapping[str, int]
    cold_processor_ms: Mapping[str, int]
    mb_of_a_processor: int
    cold_share: Decimal
    log_bytes: Mapping[str, int]
    polls: int

    def working_ms(self, processor_ms: int, memory_mb: int) -> Decimal:
        """How long a function of that memory takes for that much work of a whole processor."""
        return processor_ms * max(Decimal(1), Decimal(self.mb_of_a_processor) / memory_mb)

    def lambda_usd(self, milliseconds: Decimal, memory_mb: int) -> Decimal:
        """A million times so long."""
        return milliseconds / 1000 * memory_mb / 1024 * self.per_million["lambda_arm_gb_second"]

    def cold_ms(self, function: str, memory_mb: int) -> Decimal:
        """What an invocation bears of the cold starts."""
        return self.cold_share * self.working_ms(self.cold_processor_ms[function], memory_mb)

    def logs_usd(self, size: Decimal | int) -> Decimal:
        """A million times so many bytes."""
        return size * MILLION / GB * self.per_gb["logs"]


def load() -> Prices:
    """The price list beside this file."""
    told = tomllib.loads((ROOT / "bench" / "prices.toml").read_text(encoding="utf-8"))

    def table(name: str) -> dict[str, Decimal]:
        return {what: Decimal(price) for what, price in told[name].items()}

    return Prices(
        as_of=told["as_of"],
        region=told["region"],
        per_million=table("per_million"),
        per_gb=table("per_gb"),
        per_gb_month=table("per_gb_month"),
        per_month=table("per_month"),
        waits=told["waits"],
        processor_ms=told["processor_ms"],
        cold_processor_ms=told["cold_processor_ms"],
        mb_of_a_processor=told["lambda"]["mb_of_a_processor"],
        cold_share=Decimal(told["lambda"]["cold_share"]),
        log_bytes=told["log_bytes"],
        polls=told["idle"]["polls"],
    )


@dataclass(frozen=True)
class Running:
    """What a job's invocations of one function take: how often and how long it waits for what, its own work, and its
    part of the cold starts."""

    function: str
    memory_mb: int
    invocations: int
    waits: Mapping[str, tuple[int, Decimal]]
    working_ms: Decimal
    cold_ms: Decimal

    @property
    def billed_ms(self) -> Decimal:
        return sum((ms for _, ms in self.waits.values()), self.working_ms + self.cold_ms)


class Line(NamedTuple):
    """One kind of call. `service` is who sends the bill; `number` counts calls, invocations or bytes."""

    function: str
    service: str
    what: str
    number: Decimal
    dollars: Decimal


def running(job: Tally, prices: Prices, memory_mb: Mapping[str, int], *, awaited_ms: int = 0) -> list[Running]:
    """By function. `awaited_ms` is how long a call that is awaited thinks."""
    found = []
    for function in sorted(job.invocations.keys() | {r.function for r in job.made}, key=WAY.index):
        waits: Counter[str] = Counter()
        for request in job.made:
            if request.who == function:
                waits[f"{request.service} {request.operation}"] += 1
        for (who, what), number in job.outside.items():
            if who == function:
                waits[f"{'receiver' if what == 'webhook' else 'provider'} {what}"] += number
        taken = {what: (number, Decimal(number * prices.waits[what])) for what, number in waits.items()}
        if awaited_ms and (awaited := waits["provider awaited create"]):
            taken["the model's thinking"] = (awaited, Decimal(awaited * awaited_ms))
        invoked, memory = job.invocations[function], memory_mb[function]
        found.append(
            Running(
                function,
                memory,
                invoked,
                taken,
                invoked * prices.working_ms(prices.processor_ms[function], memory),
                invoked * prices.cold_ms(function, memory),
            )
        )
    return found


def lines(job: Tally, ran: Sequence[Running], prices: Prices) -> list[Line]:
    """A million such jobs, in the order of their way. What they leave behind is apart."""
    found: list[Line] = []
    for each in ran:
        function = each.function
        found += _over_http(function, job.over_http[function], prices)
        merged: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}
        for request in job.made:
            if request.function == function:
                for service, what, number, dollars in _asked(request, prices):
                    before = merged.get((service, what), (Decimal(0), Decimal(0)))
                    merged[service, what] = (before[0] + number, before[1] + dollars)
        found += [Line(function, service, what, *amounts) for (service, what), amounts in merged.items()]
        found += _lambda(each, prices)
        if logged := job.log_bytes[function]:
            size = logged + job.log_lines[function] * prices.log_bytes["a_line"]
            found.append(
                Line(function, "Logs", f"{job.log_lines[function]} lines", Decimal(size), prices.logs_usd(size))
            )
    return found


def by_service(of: Sequence[Line]) -> dict[str, Decimal]:
    """Dollars by who sends the bill."""
    found: dict[str, Decimal] = {}
    for line in of:
        found[line.service] = found.get(line.service, Decimal(0)) + line.dollars
    return found


def total(of: Sequence[Line]) -> Decimal:
    return sum((line.dollars for line in of), Decimal(0))


def _over_http(function: str, number: int, prices: Prices) -> Iterator[Line]:
    if number:
        size = number * (prices.log_bytes["an_http_request"] + prices.log_bytes["a_line"])
        yield Line(function, "HTTP API", "request", Decimal(number), number * prices.per_million["http_api_request"])
        yield Line(function, "Logs", "line of the HTTP API", Decimal(size), prices.logs_usd(size))


def _lambda(ran: Running, prices: Prices) -> Iterator[Line]:
    if ran.invocations:
        asked = ran.invocations * prices.per_million["lambda_request"]
        yield Line(ran.function, "Lambda requests", "invocation", Decimal(ran.invocations), asked)
    warm = ran.billed_ms - ran.cold_ms
    yield Line(ran.function, "Lambda duration", "ms", warm, prices.lambda_usd(warm, ran.memory_mb))
    if ran.cold_ms:
        cold = prices.lambda_usd(ran.cold_ms, ran.memory_mb)
        yield Line(ran.function, "Lambda duration", "ms of cold starts", ran.cold_ms, cold)


def _asked(request: Request, prices: Prices) -> Iterator[tuple[str, str, Decimal, Decimal]]:
    """Service, what for, how many, dollars."""
    rate = prices.per_million
    if request.service == "dynamodb":
        for item in request.items:
            name = f"{request.operation} {item.kind}"
            if item.read_units:
                yield "DynamoDB reads", name, item.read_units, item.read_units * rate["dynamodb_read_unit"]
            for units, where in ((item.write_units, ""), (item.index_units, " in the index")):
                if units:
                    yield "DynamoDB writes", name + where, Decimal(units), units * rate["dynamodb_write_unit"]
        return
    service, price = _PER_REQUEST[request.service, request.operation]
    dollars = rate[price] + (rate["sqs_fair_request"] if request.grouped else 0)
    who = "" if request.who == request.function else f" by {request.who.partition(' ')[0]}"
    yield service, request.operation + who, Decimal(1), dollars


_PER_REQUEST = {
    ("sqs", "SendMessage"): ("SQS", "sqs_request"),
    ("sqs", "ReceiveMessage"): ("SQS", "sqs_request"),
    ("sqs", "DeleteMessage"): ("SQS", "sqs_request"),
    ("sns", "Publish"): ("SNS", "sns_publish"),
    ("s3", "PutObject"): ("S3", "s3_put"),
    ("s3", "GetObject"): ("S3", "s3_get"),
    ("kms", "Decrypt"): ("KMS", "kms_request"),
    ("secrets-manager", "GetSecretValue"): ("Secrets Manager", "secret_read"),
}
"""Who sends the bill, and its price."""


def memory(template: Mapping[str, Any]) -> dict[str, int]:
    """Megabytes by function."""
    usual = template["Globals"]["Function"]["MemorySize"]
    return {
        resource["Properties"]["CodeUri"].rpartition("/")[2]: int(resource["Properties"].get("MemorySize", usual))
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    }
