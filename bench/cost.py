"""Dollars per million jobs, from what a job was counted to ask for and the dated price list."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from afterthought.adapters.job_table import DUE_SHARDS
from afterthought.domain.job import CONTENT_KEPT
from afterthought.domain.record import RECORD_KEPT
from afterthought.domain.schedule import check_seconds
from bench import ROOT
from bench.job import Jobs
from bench.meter import READ_UNITS, WRITE_UNITS, Tally

_MILLION = Decimal(10**6)
_GB = Decimal(2**30)
_MONTH = timedelta(days=365) / 12
_ITEM_OVERHEAD_BYTES = 100
_OBJECT_KEPT = timedelta(days=31)

Dollars = dict[str, Decimal]
"""By what they are for."""


@dataclass(frozen=True)
class Prices:
    as_of: date
    region: str
    per_million: Mapping[str, Decimal]
    per_gb: Mapping[str, Decimal]
    per_gb_month: Mapping[str, Decimal]
    per_month: Mapping[str, Decimal]
    effort: str
    thinking_seconds: int
    billed_ms: Mapping[str, int]
    log_bytes: Mapping[str, int]
    polls: int


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
        effort=told["job"]["effort"],
        thinking_seconds=told["job"]["thinking_seconds"],
        billed_ms=told["billed_ms"],
        log_bytes=told["log_bytes"],
        polls=told["idle"]["polls"],
    )


def looks(effort: str, thinking_seconds: int) -> int:
    """How often the worker looks at a job until it sees the end."""
    made, waited = 0, 0
    while waited < thinking_seconds or made == 0:
        waited += check_seconds(effort, made)
        made += 1
    return made


def of_jobs(job: Tally, prices: Prices, memory_mb: Mapping[str, int]) -> Dollars:
    """A million such jobs, by service, without what they leave behind."""
    million, invoked = prices.per_million, job.invocations
    gb_seconds = sum(
        (Decimal(number * prices.billed_ms[name] * memory_mb[name]) / 1000 / 1024 for name, number in invoked.items()),
        Decimal(0),
    )
    job_queue = job.of("sqs") - sum(
        n for (who, service, _), n in job.requests.items() if service == "sqs" and "webhooks" in who
    )
    # What SNS puts into the webhook queue is taken for a request, too.
    delivered = job.of("sns", "Publish")
    logged = (
        job.log_bytes
        + invoked.total() * prices.log_bytes["an_invocation"]
        + invoked["api"] * prices.log_bytes["an_http_request"]
    )
    return {
        "HTTP API": invoked["api"] * million["http_api_request"],
        "Lambda requests": invoked.total() * million["lambda_request"],
        "Lambda duration": gb_seconds * million["lambda_arm_gb_second"],
        "SQS": (job.of("sqs") + delivered) * million["sqs_request"] + job_queue * million["sqs_fair_request"],
        "SNS": job.of("sns", "Publish") * million["sns_publish"],
        "DynamoDB writes": job.units.get(WRITE_UNITS, Decimal(0)) * million["dynamodb_write_unit"],
        "DynamoDB reads": job.units.get(READ_UNITS, Decimal(0)) * million["dynamodb_read_unit"],
        "S3 requests": job.of("s3", "PutObject") * million["s3_put"] + job.of("s3", "GetObject") * million["s3_get"],
        "KMS, Secrets Manager": job.of("kms") * million["kms_request"]
        + job.of("secrets-manager") * million["secret_read"],
        "Logs": Decimal(logged) * _MILLION / _GB * prices.per_gb["logs"],
    }


def of_storage(items: Mapping[str, int], objects_bytes: int, prices: Prices) -> Dollars:
    """What a million jobs leave in the table and the bucket, for as long as it is kept."""
    gb_months = sum(
        (
            _gb_months(size + _ITEM_OVERHEAD_BYTES, RECORD_KEPT if kind == "STATE" else CONTENT_KEPT)
            for kind, size in items.items()
        ),
        Decimal(0),
    )
    rate = prices.per_gb_month
    return {
        "DynamoDB storage": gb_months * (rate["dynamodb"] + rate["dynamodb_recovery"]),
        "S3 storage": _gb_months(objects_bytes, _OBJECT_KEPT) * rate["s3"],
    }


def of_idleness(prices: Prices, memory_mb: Mapping[str, int], template: Mapping[str, Any]) -> Dollars:
    """A month in which nobody asks anything."""
    million, kinds = prices.per_million, [resource["Type"] for resource in template["Resources"].values()]
    minutes = Decimal(_MONTH / timedelta(minutes=1))
    queues = sum(
        event["Type"] == "SQS"
        for resource in template["Resources"].values()
        for event in resource.get("Properties", {}).get("Events", {}).values()
        if resource["Type"] == "AWS::Serverless::Function"
    )
    swept_gb_seconds = Decimal(prices.billed_ms["sweeper"] * memory_mb["sweeper"]) / 1000 / 1024
    logged = Decimal(prices.log_bytes["an_invocation"]) / _GB * prices.per_gb["logs"]
    return {
        "alarms": kinds.count("AWS::CloudWatch::Alarm") * prices.per_month["alarm"],
        "KMS key and secret": prices.per_month["kms_key"] + prices.per_month["secret"],
        "polling of the queues": queues * prices.polls * 3 * minutes * million["sqs_request"] / _MILLION,
        "sweeper": minutes
        * (
            (million["lambda_request"] + million["schedule_invocation"]) / _MILLION
            + swept_gb_seconds * million["lambda_arm_gb_second"] / _MILLION
            # A query that finds nothing is half a unit on each shard of the index.
            + DUE_SHARDS * million["dynamodb_read_unit"] / 2 / _MILLION
            + logged
        ),
    }


def priced(jobs: Jobs, kind: Tally, prices: Prices) -> Tally:
    """The job that is priced: looked at as often as its thinking asks for."""
    return kind.plus(jobs.look, looks(prices.effort, prices.thinking_seconds) - 1)


def memory(template: Mapping[str, Any]) -> dict[str, int]:
    """Megabytes by function."""
    usual = template["Globals"]["Function"]["MemorySize"]
    return {
        resource["Properties"]["CodeUri"].rpartition("/")[2]: int(resource["Properties"].get("MemorySize", usual))
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def _gb_months(size: int, kept: timedelta) -> Decimal:
    """Of a million."""
    return Decimal(size) * _MILLION / _GB * Decimal(kept / _MONTH)
