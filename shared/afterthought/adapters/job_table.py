"""JobTable's STATE items and its index of what is overdue."""

import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from afterthought.adapters.dynamodb import Item, from_item, lost_condition, seconds, to_item
from afterthought.domain.jobs.job import Job

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

OVERDUE_SHARDS = 8
"""Partitions of the index. One takes 1,000 writes a second; every step of every job writes to it."""

_STATE = "STATE"


class JobTable:
    """The port `Jobs` on DynamoDB. Raises botocore's ClientError for what is not named there (throttling after boto's
    own retries, a missing permission).

    `ends_only`: for one who asks only how jobs have ended, which does not change any more. A read that may be behind
    costs half, and is believed where it shows the end."""

    def __init__(self, client: "DynamoDBClient", table: str, *, ends_only: bool = False) -> None:
        self._client = client
        self._table = table
        self._ends_only = ends_only

    def get(self, job_id: str) -> Job | None:
        if self._ends_only:
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
            # The version moves too, so that a sweep that read the job before cannot write `overdue_at` back.
            self._client.update_item(
                TableName=self._table,
                Key=to_item(_key(job_id)),
                UpdateExpression="REMOVE overdue_at, overdue_shard ADD version :one",
                ConditionExpression="attribute_exists(overdue_at)",
                ExpressionAttributeValues=to_item({":one": 1}),
            )
        except ClientError as error:
            if not lost_condition(error):
                raise

    def overdue(self, now: datetime) -> Iterator[str]:
        # Each pass begins at another shard, so that after an outage none of them is always the last.
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


_NOT_THE_JOBS = frozenset({"pk", "sk", "overdue_shard", "expires_at"})


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
    known = {name: value for name, value in values.items() if name not in _NOT_THE_JOBS}
    return Job.model_validate({"overdue_at": None, "effort": None, "max_output_tokens": None, **known, "id": job_id})
