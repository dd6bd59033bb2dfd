"""The rate windows in AccountTable: `RATE#<tenant>#<model>` / `<minutes since 1970>`."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from afterthought.adapters.dynamodb import Item, from_item, is_condition_failure, to_item
from afterthought.domain.limits.rate_limit import WINDOW_SECONDS, Limits, WindowUsage, window_number

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_RETENTION_SECONDS = 300


class RateWindowTable:
    """The port `RateWindowStore` on DynamoDB. Raises botocore's ClientError.

    If boto repeats a write whose answer was lost, the request counts twice: the tenant never gets more than its limit.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def take(self, tenant: str, model: str, *, at: datetime, tokens: int, limits: Limits) -> tuple[bool, WindowUsage]:
        expires_at = (window_number(at) + 1) * WINDOW_SECONDS + _RETENTION_SECONDS
        try:
            response = self._client.update_item(
                TableName=self._table,
                Key=_key(tenant, model, at),
                UpdateExpression="SET expires_at = :expires_at ADD requests :one, tokens :tokens",
                # A condition cannot add: it compares with the usage that leaves room for this request.
                ConditionExpression="attribute_not_exists(pk) OR (requests < :requests AND tokens <= :tokens_before)",
                ExpressionAttributeValues=to_item(
                    {
                        ":expires_at": expires_at,
                        ":one": 1,
                        ":tokens": tokens,
                        ":requests": limits.requests_per_minute,
                        ":tokens_before": limits.tokens_per_minute - tokens,
                    }
                ),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if is_condition_failure(error):
                return False, _usage(error.response.get("Item", {}))  # type: ignore[arg-type]
            raise
        return True, _usage(response["Attributes"])

    def peek(self, tenant: str, model: str, *, at: datetime) -> WindowUsage:
        response = self._client.get_item(TableName=self._table, Key=_key(tenant, model, at), ConsistentRead=True)
        return _usage(response.get("Item", {}))

    def correct(self, tenant: str, model: str, *, at: datetime, tokens: int) -> None:
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(tenant, model, at),
                UpdateExpression="ADD tokens :tokens",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeValues=to_item({":tokens": tokens}),
            )
        except ClientError as error:
            if not is_condition_failure(error):
                raise


def _key(tenant: str, model: str, at: datetime) -> Item:
    return to_item({"pk": f"RATE#{tenant}#{model}", "sk": str(window_number(at))})


def _usage(item: Mapping[str, Any]) -> WindowUsage:
    values = from_item(item)
    return WindowUsage(requests=int(values.get("requests", 0)), tokens=int(values.get("tokens", 0)))
