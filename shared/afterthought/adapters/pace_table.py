"""AccountTable's paces: `PACE#<provider>#<model>` / `<window number>`, and `LINE#<tenant>` beside the windows."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from afterthought.adapters.dynamodb import Item, from_item, is_condition_failure, to_item
from afterthought.domain.pace import Charge, Room, Taken, TenantLine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SHARE = "of_"


class PaceTable:
    """The port `Paces` on DynamoDB. Raises botocore's errors.

    A window's item stays below a kilobyte, one write unit, with some forty tenants in it. boto's own repeat after a
    lost answer counts twice: the pace is then a little slower, never faster.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def take(
        self, provider: str, model: str, number: int, tenant: str, charge: Charge, room: Room, *, expires_at: datetime
    ) -> tuple[bool, Taken]:
        conditions = ["(attribute_not_exists(#own) OR #own < :room)"]
        if room.requests is not None:
            conditions.append("(attribute_not_exists(requests) OR requests < :requests)")
        if room.tokens is not None:
            conditions.append("(attribute_not_exists(tokens) OR tokens < :room_tokens)")
        values = {
            ":expires_at": _whole_seconds(expires_at),
            ":one": 1,
            ":tokens": charge.tokens,
            ":share": charge.share,
            ":room": room.share,
            ":requests": room.requests,
            ":room_tokens": room.tokens,
        }
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key=_window_key(provider, model, number),
                UpdateExpression="SET expires_at = :expires_at ADD requests :one, tokens :tokens, #own :share",
                ConditionExpression=" AND ".join(conditions),
                # By a name of its own: a tenant's has dashes.
                ExpressionAttributeNames={"#own": f"{_SHARE}{tenant}"},
                ExpressionAttributeValues=to_item(values),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if is_condition_failure(error):
                return False, _taken(error.response.get("Item", {}))  # type: ignore[arg-type]
            raise
        return True, _taken(answer["Attributes"])

    def book(self, provider: str, model: str, number: int, tokens: int, *, expires_at: datetime) -> Taken:
        answer = self._client.update_item(
            TableName=self._table,
            Key=_window_key(provider, model, number),
            UpdateExpression="SET expires_at = :expires_at ADD tokens :tokens",
            ExpressionAttributeValues=to_item({":expires_at": _whole_seconds(expires_at), ":tokens": tokens}),
            ReturnValues="ALL_NEW",
        )
        return _taken(answer["Attributes"])

    def lengthen(
        self, provider: str, model: str, tenant: str, interval: timedelta, *, expires_at: datetime
    ) -> TenantLine:
        answer = self._client.update_item(
            TableName=self._table,
            Key=_line_key(provider, model, tenant),
            UpdateExpression="SET expires_at = :expires_at ADD next_at :interval",
            ExpressionAttributeValues=to_item(
                {":expires_at": _whole_seconds(expires_at), ":interval": _exact_seconds(interval)}
            ),
            ReturnValues="ALL_NEW",
        )
        values = from_item(answer["Attributes"])
        return TenantLine(_time(values.get("begins_at", Decimal())), _time(values["next_at"]))

    def restart(
        self, provider: str, model: str, tenant: str, line: TenantLine, begins: datetime, *, expires_at: datetime
    ) -> bool:
        values = {
            ":expires_at": _whole_seconds(expires_at),
            ":begins": _exact_seconds(line.begins - _EPOCH),
            ":end": _exact_seconds(line.end - _EPOCH),
        }
        condition = "attribute_not_exists(begins_at)"
        if begins > _EPOCH:
            condition, values[":before"] = "begins_at = :before", _exact_seconds(begins - _EPOCH)
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_line_key(provider, model, tenant),
                UpdateExpression="SET expires_at = :expires_at, begins_at = :begins, next_at = :end",
                ConditionExpression=condition,
                ExpressionAttributeValues=to_item(values),
            )
        except ClientError as error:
            if is_condition_failure(error):
                return False
            raise
        return True


def _window_key(provider: str, model: str, number: int) -> Item:
    return to_item({"pk": f"PACE#{provider}#{model}", "sk": str(number)})


def _line_key(provider: str, model: str, tenant: str) -> Item:
    return to_item({"pk": f"PACE#{provider}#{model}", "sk": f"LINE#{tenant}"})


def _taken(item: Mapping[str, Any]) -> Taken:
    values = from_item(item)
    shares = {name.removeprefix(_SHARE): int(value) for name, value in values.items() if name.startswith(_SHARE)}
    return Taken(int(values.get("requests", 0)), int(values.get("tokens", 0)), shares)


def _exact_seconds(length: timedelta) -> Decimal:
    """To the microsecond: what a call takes of a fast pace is less than a millisecond."""
    return Decimal(length // _MICROSECOND) / 1_000_000


def _time(seconds: Decimal) -> datetime:
    return _EPOCH + _MICROSECOND * int(seconds * 1_000_000)


def _whole_seconds(at: datetime) -> int:
    return int(at.timestamp())
