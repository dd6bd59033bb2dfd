"""The STATE items of JobTable and the index of overdue jobs."""

import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from afterthought.adapters import ledger_table
from afterthought.adapters.dynamodb import Item, from_item, is_condition_failure, seconds, to_item
from afterthought.adapters.transactions import ConditionsFailed, Transactions
from afterthought.domain.errors import JobExists, VersionConflict
from afterthought.domain.jobs.job import Job
from afterthought.domain.ledger.budget import NO_CAPS, Caps, OverBudget
from afterthought.domain.ledger.ledger import delta

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

OVERDUE_SHARDS = 8
"""Partitions of the index. One accepts 1,000 writes a second, and each step of a job writes to it."""

_STATE = "STATE"
# The position of the STATE write in a transaction.
_STATE_WRITE = 0
_NOT_JOB_FIELDS = frozenset({"pk", "sk", "overdue_shard", "expires_at"})


class JobLookupTable:
    """The port `JobLookup` on DynamoDB. Raises botocore's ClientError for errors that the port does not name.

    With `terminal_only` the caller needs terminal jobs only. They do not change, so the first read is eventually
    consistent, which costs half; it is repeated consistently unless it shows a terminal job."""

    def __init__(self, client: "DynamoDBClient", table: str, *, terminal_only: bool = False) -> None:
        self._client = client
        self._table = table
        self._terminal_only = terminal_only

    def get(self, job_id: str) -> Job | None:
        if self._terminal_only:
            job = self._get(job_id, consistent=False)
            if job is not None and job.terminal:
                return job
        return self._get(job_id, consistent=True)

    def _get(self, job_id: str, *, consistent: bool) -> Job | None:
        answer = self._client.get_item(TableName=self._table, Key=to_item(_key(job_id)), ConsistentRead=consistent)
        item = answer.get("Item")
        return None if item is None else job_of(item)

    def mark_published(self, job_id: str) -> None:
        try:
            # The version grows too, so that a sweep that read the job before cannot restore `overdue_at`.
            self._client.update_item(
                TableName=self._table,
                Key=to_item(_key(job_id)),
                UpdateExpression="REMOVE overdue_at, overdue_shard ADD version :one",
                ConditionExpression="attribute_exists(overdue_at)",
                ExpressionAttributeValues=to_item({":one": 1}),
            )
        except ClientError as error:
            if not is_condition_failure(error):
                raise

    def overdue(self, now: datetime) -> Iterator[str]:
        # Each pass starts at another shard, so that after an outage no shard is always the last.
        first = int(now.timestamp()) // 60
        for shard in ((first + number) % OVERDUE_SHARDS for number in range(OVERDUE_SHARDS)):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                IndexName="overdue",
                KeyConditionExpression="overdue_shard = :shard AND overdue_at < :now",
                ExpressionAttributeValues=to_item({":shard": str(shard), ":now": seconds(now)}),
            )
            for page in pages:
                for item in page["Items"]:
                    yield str(from_item(item)["pk"]).removeprefix("JOB#")


class JobTable(JobLookupTable):
    """The port `JobStore` on DynamoDB: STATE in `table` and the ledger in `account_table`, in one transaction. Raises
    botocore's ClientError for errors that the port does not name."""

    def __init__(
        self, client: "DynamoDBClient", table: str, account_table: str, transactions: Transactions | None = None
    ) -> None:
        super().__init__(client, table)
        self._account_table = account_table
        self._transactions = transactions or Transactions(client)

    def create(self, job: Job, caps: Caps) -> None:
        put = {"TableName": self._table, "Item": state_item(job), "ConditionExpression": "attribute_not_exists(pk)"}
        writes = ledger_table.writes(self._account_table, job.tenant, delta(None, job), caps)
        try:
            self._transactions.write([{"Put": put}, *writes])
        except ConditionsFailed as failed:
            if _STATE_WRITE in failed.items:
                raise JobExists(job.id) from failed
            raise _over_budget(failed, job) from failed

    def save(self, before: Job, after: Job, caps: Caps = NO_CAPS) -> None:
        put = {
            "TableName": self._table,
            "Item": state_item(after),
            "ConditionExpression": "version = :before",
            "ExpressionAttributeValues": to_item({":before": before.version}),
        }
        change = delta(before, after)
        try:
            if change:
                writes = ledger_table.writes(self._account_table, after.tenant, change, caps)
                self._transactions.write([{"Put": put}, *writes])
            else:
                self._transactions.put(put)
        except ConditionsFailed as failed:
            if _STATE_WRITE in failed.items:
                raise VersionConflict(after.id) from failed
            raise _over_budget(failed, after) from failed


def _key(job_id: str) -> dict[str, str]:
    return {"pk": f"JOB#{job_id}", "sk": _STATE}


def state_item(job: Job) -> Item:
    overdue_shard = None if job.overdue_at is None else str(zlib.crc32(job.id.encode()) % OVERDUE_SHARDS)
    values = job.model_dump(exclude={"id"}, exclude_none=True)
    return to_item(
        {**_key(job.id), **values, "overdue_shard": overdue_shard, "expires_at": int(job.expires_at.timestamp())}
    )


def job_of(item: Item) -> Job:
    values = from_item(item)
    job_id = values["pk"].removeprefix("JOB#")
    fields = {name: value for name, value in values.items() if name not in _NOT_JOB_FIELDS}
    return Job.model_validate({"overdue_at": None, "effort": None, "max_output_tokens": None, **fields, "id": job_id})


def _over_budget(failed: ConditionsFailed, job: Job) -> OverBudget:
    """Only the newest hold can exceed a cap. The budget item of its month is the last one with a failed condition."""
    month = job.attempts[-1].held_at.date().replace(day=1)
    return OverBudget(ledger_table.month_balance(failed.items[max(failed.items)], month))
