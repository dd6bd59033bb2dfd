"""AccountTable's rate windows: `RATE#<tenant>#<model>` / `<minutes since 1970>`."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from afterthought.adapters.dynamodb import Item, from_item, lost_condition, to_item
from afterthought.domain.limits.rate_limit import WINDOW_SECONDS, Limits, Window, window_number

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEPT_SECONDS = 300


class RateWindows:
    """The port `RateWindows` on DynamoDB. Raises botocore's ClientError.

    boto's own repeat after a lost answer counts a request twice: the tenant then has a little less of that minute, and
    never more.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def take(self, tenant: str, model: str, *, at: datetime, tokens: int, limits: Limits) -> tuple[bool, Window]:
        expires_at = (window_number(at) + 1) * WINDOW_SECONDS + _KEPT_SECONDS
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key=_key(tenant, model, at),
                UpdateExpression="SET expires_at = :expires_at ADD requests :one, tokens :tokens",
                # Conditions cannot add: what may stand before this request is worked out here.
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
            if lost_condition(error):
                return False, _window(_stood(error))
            raise
        return True, _window(answer["Attributes"])

    def peek(self, tenant: str, model: str, *, at: datetime) -> Window:
        answer = self._client.get_item(TableName=self._table, Key=_key(tenant, model, at), ConsistentRead=True)
        return _window(answer.get("Item", {}))

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
            if not lost_condition(error):
                raise


def _key(tenant: str, model: str, at: datetime) -> Item:
    return to_item({"pk": f"RATE#{tenant}#{model}", "sk": str(window_number(at))})


def _window(item: Mapping[str, Any]) -> Window:
    values = from_item(item)
    return Window(requests=int(values.get("requests", 0)), tokens=int(values.get("tokens", 0)))


def _stood(error: ClientError) -> Mapping[str, Any]:
    """The item that the condition did not hold for."""
    item: Mapping[str, Any] = error.response.get("Item", {})  # type: ignore[assignment]
    return item
