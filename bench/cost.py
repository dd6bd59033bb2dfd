"""Dollars per million jobs, call by call: the counted requests of a job, at the prices in prices.toml."""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from bench import ROOT
from bench.fake_provider import CREATE_DIRECT, WEBHOOK
from bench.meter import Request, Tally

MILLION = Decimal(10**6)
GB = Decimal(2**30)

FUNCTIONS = ("api", "worker", "direct", "sweeper", "provider_events", "notifier", "webhooks")
"""In the order in which a job uses them."""


@dataclass(frozen=True)
class Prices:
    as_of: date
    region: str
    per_million: Mapping[str, Decimal]
    per_gb: Mapping[str, Decimal]
    per_gb_month: Mapping[str, Decimal]
    per_month: Mapping[str, Decimal]
    call_ms: Mapping[str, int]
    processor_ms: Mapping[str, int]
    cold_processor_ms: Mapping[str, int]
    mb_of_a_processor: int
    cold_share: Decimal
    log_bytes: Mapping[str, int]
    polls: int

    def working_ms(self, processor_ms: int, memory_mb: int) -> Decimal:
        """The time that a function with this memory needs for `processor_ms` of a whole processor."""
        return processor_ms * max(Decimal(1), Decimal(self.mb_of_a_processor) / memory_mb)

    def lambda_usd(self, milliseconds: Decimal, memory_mb: int) -> Decimal:
        """The price of a million durations of `milliseconds`."""
        return milliseconds / 1000 * memory_mb / 1024 * self.per_million["lambda_arm_gb_second"]

    def cold_ms(self, function: str, memory_mb: int) -> Decimal:
        """The cold start time per invocation, on average."""
        return self.cold_share * self.working_ms(self.cold_processor_ms[function], memory_mb)

    def logs_usd(self, size: Decimal | int) -> Decimal:
        """The price of a million times `size` bytes."""
        return size * MILLION / GB * self.per_gb["logs"]


def load_prices() -> Prices:
    tables = tomllib.loads((ROOT / "bench" / "prices.toml").read_text(encoding="utf-8"))

    def decimals(name: str) -> dict[str, Decimal]:
        return {key: Decimal(price) for key, price in tables[name].items()}

    return Prices(
        as_of=tables["as_of"],
        region=tables["region"],
        per_million=decimals("per_million"),
        per_gb=decimals("per_gb"),
        per_gb_month=decimals("per_gb_month"),
        per_month=decimals("per_month"),
        call_ms=tables["call_ms"],
        processor_ms=tables["processor_ms"],
        cold_processor_ms=tables["cold_processor_ms"],
        mb_of_a_processor=tables["lambda"]["mb_of_a_processor"],
        cold_share=Decimal(tables["lambda"]["cold_share"]),
        log_bytes=tables["log_bytes"],
        polls=tables["idle"]["polls"],
    )


@dataclass(frozen=True)
class Duration:
    """The billed time of a job's invocations of one function. `calls` has the number and the milliseconds of its calls,
    by kind."""

    function: str
    memory_mb: int
    invocations: int
    calls: Mapping[str, tuple[int, Decimal]]
    working_ms: Decimal
    cold_ms: Decimal

    @property
    def billed_ms(self) -> Decimal:
        return sum((ms for _, ms in self.calls.values()), self.working_ms + self.cold_ms)


class Line(NamedTuple):
    """One line of the bill. `service` is AWS's; `number` counts requests, units, milliseconds or bytes."""

    function: str
    service: str
    item: str
    number: Decimal
    dollars: Decimal


def durations(job: Tally, prices: Prices, memory_mb: Mapping[str, int], *, thinking_ms: int = 0) -> list[Duration]:
    """By function. `thinking_ms` is the duration of a direct call."""
    names = sorted(job.invocations.keys() | {request.function for request in job.sequence}, key=FUNCTIONS.index)
    return [_duration(name, job, prices, memory_mb[name], thinking_ms) for name in names]


def _duration(function: str, job: Tally, prices: Prices, memory_mb: int, thinking_ms: int) -> Duration:
    counts: Counter[str] = Counter()
    for request in job.sequence:
        if request.sender == function:
            counts[f"{request.service} {request.operation}"] += 1
    for (caller, kind), number in job.external.items():
        if caller == function:
            counts[f"{'receiver' if kind == WEBHOOK else 'provider'} {kind}"] += number
    calls = {kind: (number, Decimal(number * prices.call_ms[kind])) for kind, number in counts.items()}
    if thinking_ms and (direct := counts[f"provider {CREATE_DIRECT}"]):
        calls["the model's thinking"] = (direct, Decimal(direct * thinking_ms))
    invocations = job.invocations[function]
    return Duration(
        function,
        memory_mb,
        invocations,
        calls,
        invocations * prices.working_ms(prices.processor_ms[function], memory_mb),
        invocations * prices.cold_ms(function, memory_mb),
    )


def bill_lines(job: Tally, billed: Sequence[Duration], prices: Prices) -> list[Line]:
    """The bill of a million such jobs, in the order of the functions, without storage."""
    lines: list[Line] = []
    for duration in billed:
        function = duration.function
        lines += _http_lines(function, job.http_requests[function], prices)
        totals: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}
        for request in job.sequence:
            if request.function == function:
                for service, item, number, dollars in _request_lines(request, prices):
                    before = totals.get((service, item), (Decimal(0), Decimal(0)))
                    totals[service, item] = (before[0] + number, before[1] + dollars)
        lines += [Line(function, service, item, *amounts) for (service, item), amounts in totals.items()]
        lines += _lambda_lines(duration, prices)
        if text_bytes := job.log_bytes[function]:
            written = job.log_lines[function]
            size = text_bytes + written * prices.log_bytes["a_line"]
            lines.append(Line(function, "Logs", f"{written} lines", Decimal(size), prices.logs_usd(size)))
    return lines


def by_service(lines: Sequence[Line]) -> dict[str, Decimal]:
    """Dollars by service."""
    dollars: dict[str, Decimal] = {}
    for line in lines:
        dollars[line.service] = dollars.get(line.service, Decimal(0)) + line.dollars
    return dollars


def total(lines: Sequence[Line]) -> Decimal:
    return sum((line.dollars for line in lines), Decimal(0))


def _http_lines(function: str, number: int, prices: Prices) -> Iterator[Line]:
    if number:
        size = number * (prices.log_bytes["an_http_request"] + prices.log_bytes["a_line"])
        yield Line(function, "HTTP API", "request", Decimal(number), number * prices.per_million["http_api_request"])
        yield Line(function, "Logs", "access log line of the HTTP API", Decimal(size), prices.logs_usd(size))


def _lambda_lines(duration: Duration, prices: Prices) -> Iterator[Line]:
    if duration.invocations:
        dollars = duration.invocations * prices.per_million["lambda_request"]
        yield Line(duration.function, "Lambda requests", "invocation", Decimal(duration.invocations), dollars)
    warm_ms = duration.billed_ms - duration.cold_ms
    yield Line(duration.function, "Lambda duration", "ms", warm_ms, prices.lambda_usd(warm_ms, duration.memory_mb))
    if duration.cold_ms:
        dollars = prices.lambda_usd(duration.cold_ms, duration.memory_mb)
        yield Line(duration.function, "Lambda duration", "ms of cold starts", duration.cold_ms, dollars)


def _request_lines(request: Request, prices: Prices) -> Iterator[tuple[str, str, Decimal, Decimal]]:
    """Service, item, number, dollars."""
    rate = prices.per_million
    if request.service == "dynamodb":
        for item in request.items:
            name = f"{request.operation} {item.kind}"
            if item.read_units:
                yield "DynamoDB reads", name, item.read_units, item.read_units * rate["dynamodb_read_unit"]
            for units, suffix in ((item.write_units, ""), (item.index_units, " in the index")):
                if units:
                    yield "DynamoDB writes", name + suffix, Decimal(units), units * rate["dynamodb_write_unit"]
        return
    service, price = _PER_REQUEST[request.service, request.operation]
    dollars = rate[price] + (rate["sqs_fair_request"] if request.grouped else 0)
    sender = "" if request.sender == request.function else f" by {request.sender.partition(' ')[0]}"
    yield service, request.operation + sender, Decimal(1), dollars


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
"""The service on the bill, and the name of its price."""
