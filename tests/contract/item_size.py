"""The size of an item as DynamoDB bills it ("DynamoDB item sizes and formats" in its developer guide)."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

UNIT = 1024
"""A write is billed by the begun kilobyte."""


def item_bytes(item: Mapping[str, Any]) -> int:
    """The names and the values, in UTF-8."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, held),) = value.items()
    match kind:
        case "S":
            return len(held.encode())
        case "N":
            return _number_bytes(held)
        case "B":
            return len(held)
        case "BOOL" | "NULL":
            return 1
        case "M":
            return 3 + item_bytes(held) + len(held)
        case "L":
            return 3 + sum(map(_value_bytes, held)) + len(held)
    raise ValueError(f"no size is known for the type {kind}")


def _number_bytes(number: str) -> int:
    """A byte for two significant digits and one more, another for the sign; a digit that stands alone on either side
    of the point takes a byte of its own, which the guide calls approximate. Rounded up here."""
    digits = Decimal(number).normalize().as_tuple().digits
    return (len(digits) + 1) // 2 + 2 + number.startswith("-")
