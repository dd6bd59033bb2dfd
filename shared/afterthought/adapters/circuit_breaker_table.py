"""AccountTable's pauses of providers: `PROVIDER#<name>` / `BREAKER`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from afterthought.adapters.dynamodb import Item, from_item, lost_condition, to_item
from afterthought.domain.limits.circuit_breaker import BreakerUnavailable, Pause

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class BreakerTable:
    """The port `Breakers` on DynamoDB. `get` raises botocore's errors.

    boto's own repeat after a lost answer meets the pause that the first try wrote: it is then what stands, as if the
    first had been answered.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def get(self, provider: str) -> Pause | None:
        # Half the price of a consistent read: a pause is seen late anyway, by as long as processes remember.
        answer = self._client.get_item(TableName=self._table, Key=_key(provider))
        return _pause(answer.get("Item"))

    def swap(self, provider: str, before: Pause | None, after: Pause) -> Pause | None:
        condition = "attribute_not_exists(pk)" if before is None else "paused_until = :before"
        values = {
            ":paused_until": after.paused_until,
            ":code": after.code,
            ":since": after.since,
            ":pauses": after.pauses,
            ":before": None if before is None else before.paused_until,
        }
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(provider),
                UpdateExpression="SET paused_until = :paused_until, #code = :code, since = :since, pauses = :pauses"
                " REMOVE healed, expires_at",
                ConditionExpression=condition,
                ExpressionAttributeNames={"#code": "code"},
                ExpressionAttributeValues=to_item(values),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and lost_condition(error):
                return _pause(error.response.get("Item"))  # type: ignore[arg-type]
            raise BreakerUnavailable(str(error)) from error
        return after

    def clear(self, provider: str, probe: Pause, healed: Pause) -> None:
        values = {
            ":ended_at": healed.paused_until,
            ":healed": True,
            ":expires_at": int(healed.expires_at.timestamp()),
            ":since": probe.since,
            ":pauses": probe.pauses,
        }
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(provider),
                UpdateExpression="SET paused_until = :ended_at, healed = :healed, expires_at = :expires_at",
                ConditionExpression="since = :since AND pauses = :pauses AND attribute_not_exists(healed)",
                ExpressionAttributeValues=to_item(values),
            )
        except (ClientError, BotoCoreError) as error:
            if not (isinstance(error, ClientError) and lost_condition(error)):
                raise BreakerUnavailable(str(error)) from error


def _key(provider: str) -> Item:
    return to_item({"pk": f"PROVIDER#{provider}", "sk": "BREAKER"})


def _pause(item: Mapping[str, Any] | None) -> Pause | None:
    if item is None:
        return None
    values = from_item(item)
    return Pause(
        paused_until=_time(values["paused_until"]),
        code=str(values["code"]),
        since=_time(values["since"]),
        pauses=int(values["pauses"]),
        healed=bool(values.get("healed", False)),
    )


def _time(seconds: Any) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
