"""Costs that are independent of running jobs: storage and an idle stack."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

from afterthought.adapters.job_table import OVERDUE_SHARDS
from afterthought.domain.jobs.schedule import CONTENT_RETENTION, RECORD_RETENTION
from bench.cost import GB, MILLION, Prices
from bench.template import memory_mb, properties, template

_MONTH = timedelta(days=365) / 12
_SECRET_CACHED = timedelta(minutes=5)
_ITEM_OVERHEAD_BYTES = 100
_RECEIVES_A_MINUTE = 3
"""The duration of a long poll."""

Dollars = dict[str, Decimal]
"""By purpose."""


def storage(items: Mapping[str, int], objects_bytes: int, prices: Prices) -> Dollars:
    """The storage of a million jobs until it expires. `items` are the bytes of one job's items, by kind."""
    records = _gb_months(items["STATE"] + _ITEM_OVERHEAD_BYTES, RECORD_RETENTION)
    content = sum(
        (_gb_months(size + _ITEM_OVERHEAD_BYTES, CONTENT_RETENTION) for kind, size in items.items() if kind != "STATE"),
        Decimal(0),
    )
    rate = prices.per_gb_month["dynamodb"] + prices.per_gb_month["dynamodb_recovery"]
    dollars = {
        f"the record, {RECORD_RETENTION.days} days": records * rate,
        f"the content, {CONTENT_RETENTION.days} days": content * rate,
    }
    if objects_bytes:
        (rule,) = properties("PayloadBucket")["LifecycleConfiguration"]["Rules"]
        kept = timedelta(days=rule["ExpirationInDays"])
        dollars[f"objects, {kept.days} days"] = _gb_months(objects_bytes, kept) * prices.per_gb_month["s3"]
    return dollars


def idle_stack(prices: Prices) -> Dollars:
    """A month without requests."""
    million, resources = prices.per_million, template()["Resources"].values()
    minutes = Decimal(_MONTH / timedelta(minutes=1))
    queues = sum(
        event["Type"] == "SQS"
        for resource in resources
        for event in resource.get("Properties", {}).get("Events", {}).values()
        if resource["Type"] == "AWS::Serverless::Function"
    )
    alarms = sum(resource["Type"] == "AWS::CloudWatch::Alarm" for resource in resources)
    receives = queues * prices.polls * _RECEIVES_A_MINUTE * minutes
    memory = memory_mb()["sweeper"]
    sweep_ms = (
        prices.working_ms(prices.processor_ms["sweeper"], memory) + OVERDUE_SHARDS * prices.call_ms["dynamodb Query"]
    )
    sweep = (
        million["lambda_request"]
        + million["schedule_invocation"]
        + prices.lambda_usd(sweep_ms, memory)
        # An empty query is half a read unit, on each shard of the index.
        + OVERDUE_SHARDS * million["dynamodb_read_unit"] / 2
        + prices.logs_usd(prices.log_bytes["a_line"] + prices.log_bytes["an_own_line"])
    )
    return {
        "alarms": alarms * prices.per_month["alarm"],
        "KMS key and secret": prices.per_month["kms_key"] + prices.per_month["secret"],
        "polling of the queues": receives * million["sqs_request"] / MILLION,
        "sweeper": minutes * sweep / MILLION,
    }


def secret_reads(prices: Prices) -> Decimal:
    """A month of one busy process, which reads the provider secret again when its copy expires."""
    return Decimal(_MONTH / _SECRET_CACHED) * prices.per_million["secret_read"] / MILLION


def _gb_months(size: int, kept: timedelta) -> Decimal:
    """For a million times `size` bytes."""
    return Decimal(size) * MILLION / GB * Decimal(kept / _MONTH)
