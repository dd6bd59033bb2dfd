"""The throttle's items in AccountTable: `THROTTLE#<provider>#<model>` / `<window number>` or `QUEUE#<tenant>`."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from afterthought.adapters.dynamodb import Item, from_item, is_condition_failure, to_item
from afterthought.domain.limits.throttle import EMPTY_QUEUE, Capacity, Refusal, TenantQueue, Window, WindowUsage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_QUEUE_RETENTION = timedelta(days=2)

_NOT_TAKEN = "attribute_not_exists(pk) OR queue_end <= :earliest OR refused_at <= :abandoned_before"
_TAKEN = "queue_end > :earliest AND refused_at > :abandoned_before"


class ThrottleTable:
    """The port `ThrottleStore` on DynamoDB. Raises botocore's errors.

    Every item has a fixed number of attributes, however many tenants call. If boto repeats a write whose answer was
    lost, it counts twice: calls are then slower, never faster.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def take(
        self, provider: str, model: str, window: Window, tokens: int, capacity: Capacity
    ) -> tuple[bool, WindowUsage]:
        values = {":expires_at": _whole_seconds(window.expires_at), ":one": 1, ":tokens": tokens}
        conditions = []
        for name, limit in capacity._asdict().items():
            if limit is not None:
                conditions.append(f"(attribute_not_exists({name}) OR {name} < :{name}_limit)")
                values[f":{name}_limit"] = limit
        try:
            response = self._client.update_item(
                TableName=self._table,
                Key=_key(provider, model, str(window.number)),
                UpdateExpression="SET expires_at = :expires_at ADD requests :one, tokens :tokens",
                ConditionExpression=" AND ".join(conditions),
                ExpressionAttributeValues=to_item(values),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if is_condition_failure(error):
                return False, _usage(error.response.get("Item", {}))  # type: ignore[arg-type]
            raise
        return True, _usage(response["Attributes"])

    def add_tokens(self, provider: str, model: str, window: Window, tokens: int) -> WindowUsage:
        response = self._client.update_item(
            TableName=self._table,
            Key=_key(provider, model, str(window.number)),
            UpdateExpression="SET expires_at = :expires_at ADD tokens :tokens",
            ExpressionAttributeValues=to_item({":expires_at": _whole_seconds(window.expires_at), ":tokens": tokens}),
            ReturnValues="ALL_NEW",
        )
        return _usage(response["Attributes"])

    def join_queue(self, provider: str, model: str, tenant: str, refusal: Refusal) -> datetime | None:
        old_queue = self._update_queue(provider, model, tenant, refusal, "queue_end + :interval", _TAKEN)
        return None if old_queue is None else old_queue.end

    def start_queue(self, provider: str, model: str, tenant: str, refusal: Refusal) -> TenantQueue | None:
        return self._update_queue(provider, model, tenant, refusal, ":earliest + :interval", _NOT_TAKEN)

    def _update_queue(
        self, provider: str, model: str, tenant: str, refusal: Refusal, end: str, condition: str
    ) -> TenantQueue | None:
        """The queue before the update. None: the condition is false."""
        values = {
            ":earliest": _exact_seconds(refusal.earliest - _EPOCH),
            ":abandoned_before": _exact_seconds(refusal.abandoned_before - _EPOCH),
            ":interval": _exact_seconds(refusal.interval),
            ":refused_at": _exact_seconds(refusal.at - _EPOCH),
            ":expires_at": _whole_seconds(refusal.at + _QUEUE_RETENTION),
        }
        try:
            response = self._client.update_item(
                TableName=self._table,
                Key=_key(provider, model, f"QUEUE#{tenant}"),
                UpdateExpression=f"SET queue_end = {end}, refused_at = :refused_at, expires_at = :expires_at",
                ConditionExpression=condition,
                ExpressionAttributeValues=to_item(values),
                ReturnValues="ALL_OLD",
            )
        except ClientError as error:
            if is_condition_failure(error):
                return None
            raise
        queue = from_item(response.get("Attributes", {}))
        return TenantQueue(_time(queue["queue_end"]), _time(queue["refused_at"])) if queue else EMPTY_QUEUE


def _key(provider: str, model: str, sort_key: str) -> Item:
    return to_item({"pk": f"THROTTLE#{provider}#{model}", "sk": sort_key})


def _usage(item: Mapping[str, Any]) -> WindowUsage:
    values = from_item(item)
    return WindowUsage(int(values.get("requests", 0)), int(values.get("tokens", 0)))


def _exact_seconds(length: timedelta) -> Decimal:
    """To the microsecond: the interval of a fast model is less than a millisecond."""
    return Decimal(length // _MICROSECOND) / 1_000_000


def _time(seconds: Decimal) -> datetime:
    return _EPOCH + _MICROSECOND * int(seconds * 1_000_000)


def _whole_seconds(at: datetime) -> int:
    return int(at.timestamp())
