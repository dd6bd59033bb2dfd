"""DynamoDB's attribute values: models to items and back.

Times are numbers: seconds since 1970 with milliseconds. They are shorter than text, and the index and the time to live
need them. Money is a number too: DynamoDB stores 38 decimal digits and does not round.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

Item = dict[str, Any]

_serializer = TypeSerializer()
_deserializer = TypeDeserializer()


def seconds(at: datetime) -> Decimal:
    """The stored form of a time."""
    return Decimal(str(round(at.timestamp(), 3)))


def to_item(values: Mapping[str, Any]) -> Item:
    """Attribute values from plain ones. None is omitted."""
    return {name: _serializer.serialize(_plain(value)) for name, value in values.items() if value is not None}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values from attribute values: numbers as Decimal, binaries as bytes."""
    return {name: _bytes(_deserializer.deserialize(value)) for name, value in item.items()}


def is_condition_failure(error: ClientError) -> bool:
    """Whether a write failed because its condition was false."""
    return error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return seconds(value)
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return value


def _bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [_bytes(inner) for inner in value]
    inner = getattr(value, "value", value)
    return bytes(inner) if isinstance(inner, bytearray | bytes) else value
