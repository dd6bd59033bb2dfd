"""Compressed payloads in the job's partition; those above 8 KB are in S3, with a pointer in the table."""

import zlib
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from afterthought.adapters.dynamodb import from_item, to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

MAX_BYTES_IN_TABLE = 8 * 1024
"""A table write costs one unit per KB, an S3 write a fixed price. Above about eight units, S3 is cheaper."""


class Payloads:
    """The port `Contents` on DynamoDB and S3. Raises botocore's ClientError."""

    def __init__(self, dynamodb: "DynamoDBClient", s3: "Callable[[], S3Client]", table: str, bucket: str) -> None:
        # Most payloads are small, so the S3 client is created only when needed.
        self._dynamodb = dynamodb
        self._s3 = s3
        self._table = table
        self._bucket = bucket

    def put(self, job_id: str, name: str, content: bytes, *, expires_at: datetime) -> None:
        packed = zlib.compress(content)
        item: dict[str, object] = {"pk": f"JOB#{job_id}", "sk": name, "expires_at": int(expires_at.timestamp())}
        if len(packed) <= MAX_BYTES_IN_TABLE:
            item["content"] = packed
        else:
            key = f"{job_id}/{name.replace('#', '/')}"
            self._s3().put_object(Bucket=self._bucket, Key=key, Body=packed)
            item["s3_key"] = key
        self._dynamodb.put_item(TableName=self._table, Item=to_item(item))

    def get(self, job_id: str, name: str) -> bytes | None:
        key = to_item({"pk": f"JOB#{job_id}", "sk": name})
        # An item never changes once written, so an eventually consistent read is enough, at half the price. Only its
        # absence needs a consistent read.
        response = self._dynamodb.get_item(TableName=self._table, Key=key)
        if "Item" not in response:
            response = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        if "Item" not in response:
            return None
        item = from_item(response["Item"])
        if "content" in item:
            return zlib.decompress(item["content"])
        body = self._s3().get_object(Bucket=self._bucket, Key=item["s3_key"])["Body"]
        return zlib.decompress(body.read())
