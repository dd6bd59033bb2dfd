"""The providers' circuits in AccountTable: `PROVIDER#<name>` / `CIRCUIT`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from afterthought.adapters.dynamodb import Item, from_item, is_condition_failure, to_item
from afterthought.domain.limits.circuit_breaker import CircuitBreakerUnavailable, CircuitState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class CircuitBreakerTable:
    """The port `CircuitBreakerStore` on DynamoDB. `get` raises botocore's errors.

    If boto repeats a write whose answer was lost, `replace` finds what the first try wrote, and returns it.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def get(self, provider: str) -> CircuitState | None:
        # Eventually consistent, at half the price: processes cache the circuit anyway.
        response = self._client.get_item(TableName=self._table, Key=_key(provider))
        return _circuit(response.get("Item"))

    def replace(self, provider: str, before: CircuitState | None, after: CircuitState) -> CircuitState | None:
        values = {
            ":retry_at": after.retry_at,
            ":reason": after.reason,
            ":opened_at": after.opened_at,
            ":openings": after.openings,
            ":state": after.state,
            ":before": None if before is None else before.retry_at,
        }
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(provider),
                UpdateExpression="SET retry_at = :retry_at, reason = :reason, opened_at = :opened_at,"
                " openings = :openings, #state = :state REMOVE expires_at",
                ConditionExpression="attribute_not_exists(pk)" if before is None else "retry_at = :before",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues=to_item(values),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and is_condition_failure(error):
                return _circuit(error.response.get("Item"))  # type: ignore[arg-type]
            raise CircuitBreakerUnavailable(str(error)) from error
        return after

    def close(self, provider: str, probe: CircuitState, closed: CircuitState) -> None:
        values = {
            ":retry_at": closed.retry_at,
            ":closed": closed.state,
            ":expires_at": int(closed.expires_at.timestamp()),
            ":opened_at": probe.opened_at,
            ":openings": probe.openings,
        }
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(provider),
                UpdateExpression="SET retry_at = :retry_at, #state = :closed, expires_at = :expires_at",
                ConditionExpression="opened_at = :opened_at AND openings = :openings AND #state <> :closed",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues=to_item(values),
            )
        except (ClientError, BotoCoreError) as error:
            if not (isinstance(error, ClientError) and is_condition_failure(error)):
                raise CircuitBreakerUnavailable(str(error)) from error


def _key(provider: str) -> Item:
    return to_item({"pk": f"PROVIDER#{provider}", "sk": "CIRCUIT"})


def _circuit(item: Mapping[str, Any] | None) -> CircuitState | None:
    if item is None:
        return None
    values = from_item(item)
    return CircuitState(
        retry_at=_time(values["retry_at"]),
        reason=str(values["reason"]),
        opened_at=_time(values["opened_at"]),
        openings=int(values["openings"]),
        state=values["state"],
    )


def _time(seconds: Any) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
