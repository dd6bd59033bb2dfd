"""What is paid for besides the jobs' ways: what they leave behind, and a stack that stands still."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from afterthought.adapters.job_table import DUE_SHARDS
from afterthought.domain.job import CONTENT_KEPT
from afterthought.domain.record import RECORD_KEPT
from bench.cost import GB, MILLION, Prices, memory

_MONTH = timedelta(days=365) / 12
_SECRET_KEPT = timedelta(minutes=5)
_ITEM_OVERHEAD_BYTES = 100

Dollars = dict[str, Decimal]
"""By what they are for."""


def of_storage(items: Mapping[str, int], objects_bytes: int, prices: Prices, template: Mapping[str, Any]) -> Dollars:
    """What a million jobs leave in the table and the bucket, for as long as it is kept."""
    records = _gb_months(items["STATE"] + _ITEM_OVERHEAD_BYTES, RECORD_KEPT)
    content = sum(
        (_gb_months(size + _ITEM_OVERHEAD_BYTES, CONTENT_KEPT) for kind, size in items.items() if kind != "STATE"),
        Decimal(0),
    )
    (rule,) = template["Resources"]["PayloadBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    rate = prices.per_gb_month["dynamodb"] + prices.per_gb_month["dynamodb_recovery"]
    found = {
        f"the record, {RECORD_KEPT.days} days": records * rate,
        f"the content, {CONTENT_KEPT.days} days": content * rate,
    }
    if objects_bytes:
        kept = timedelta(days=rule["ExpirationInDays"])
        found[f"objects, {kept.days} days"] = _gb_months(objects_bytes, kept) * prices.per_gb_month["s3"]
    return found


def of_idleness(prices: Prices, template: Mapping[str, Any]) -> Dollars:
    """A month in which nobody asks anything."""
    million, kinds = prices.per_million, [resource["Type"] for resource in template["Resources"].values()]
    minutes = Decimal(_MONTH / timedelta(minutes=1))
    queues = sum(
        event["Type"] == "SQS"
        for resource in template["Resources"].values()
        for event in resource.get("Properties", {}).get("Events", {}).values()
        if resource["Type"] == "AWS::Serverless::Function"
    )
    memory_mb = memory(template)["sweeper"]
    swept_ms = prices.working_ms(prices.processor_ms["sweeper"], memory_mb)
    swept_ms += DUE_SHARDS * prices.waits["dynamodb Query"]
    return {
        "alarms": kinds.count("AWS::CloudWatch::Alarm") * prices.per_month["alarm"],
        "KMS key and secret": prices.per_month["kms_key"] + prices.per_month["secret"],
        "polling of the queues": queues * prices.polls * 3 * minutes * million["sqs_request"] / MILLION,
        "sweeper": minutes
        * (
            million["lambda_request"]
            + million["schedule_invocation"]
            + prices.lambda_usd(swept_ms, memory_mb)
            # A query that finds nothing is half a unit on each shard of the index.
            + DUE_SHARDS * million["dynamodb_read_unit"] / 2
            + prices.logs_usd(prices.log_bytes["a_line"] + prices.log_bytes["an_own_line"])
        )
        / MILLION,
    }


def of_secrets(prices: Prices) -> Decimal:
    """A month of a process that never rests."""
    return Decimal(_MONTH / _SECRET_KEPT) * prices.per_million["secret_read"] / MILLION


def _gb_months(size: int, kept: timedelta) -> Decimal:
    """Of a million."""
    return Decimal(size) * MILLION / GB * Decimal(kept / _MONTH)
