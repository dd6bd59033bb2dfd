"""JobTable's DELIVERY items: the webhook attempts of a job, one item for each endpoint."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from afterthought.adapters.dynamodb import seconds, to_item
from afterthought.domain.jobs.schedule import CONTENT_RETENTION

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DeliveryRecords:
    """The port `Deliveries` on DynamoDB. Raises botocore's ClientError."""

    def __init__(self, client: "DynamoDBClient", table: str, retention: timedelta = CONTENT_RETENTION) -> None:
        self._client = client
        self._table = table
        self._retention = retention

    def delivered(self, job_id: str, endpoint: str) -> bool:
        response = self._client.get_item(
            TableName=self._table, Key=to_item(_key(job_id, endpoint)), ProjectionExpression="delivered_at"
        )
        return "delivered_at" in response.get("Item", {})

    def record(self, job_id: str, endpoint: str, *, at: datetime, status: int | None, error: str | None) -> None:
        outcome = "delivered_at" if error is None else "failed_at"
        self._client.update_item(
            TableName=self._table,
            Key=to_item(_key(job_id, endpoint)),
            UpdateExpression="SET #outcome = :at, last_status = :status, last_error = :error, expires_at = :expires "
            "ADD attempts :one",
            ExpressionAttributeNames={"#outcome": outcome},
            ExpressionAttributeValues=to_item(
                {
                    ":at": seconds(at),
                    ":status": status or 0,
                    ":error": error or "",
                    ":expires": int((at + self._retention).timestamp()),
                    ":one": 1,
                }
            ),
        )


def _key(job_id: str, endpoint: str) -> dict[str, str]:
    return {"pk": f"JOB#{job_id}", "sk": f"DELIVERY#{endpoint}"}
