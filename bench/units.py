"""Item sizes and request units as DynamoDB bills them.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html and, for transactions,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Item = Mapping[str, Any]

WRITE_UNIT_BYTES = 1024
READ_UNIT_BYTES = 4096


def item_bytes(item: Item) -> int:
    """The size of an item: its attribute names and values."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def write_units(before: Item | None, after: Item | None) -> int:
    """A put or an update is billed by the larger of the two versions."""
    size = max(item_bytes(item) for item in (before or {}, after or {}))
    return max(1, -(-size // WRITE_UNIT_BYTES))


def transaction_units(before: Item | None, after: Item | None) -> int:
    """A write in a transaction is billed twice: for prepare and commit. Its index entries are billed once, since the
    index is updated after the transaction."""
    return 2 * write_units(before, after)


def read_units(item: Item | None, *, consistent: bool) -> Decimal:
    """A missing item is billed like a small one."""
    units = max(1, -(-item_bytes(item or {}) // READ_UNIT_BYTES))
    return Decimal(units) if consistent else Decimal(units) / 2


def index_units(before: Item | None, after: Item | None, keys: tuple[str, ...]) -> int:
    """The writes to a sparse index that projects keys only: one to delete the old entry, one to put the new one, none
    if they are equal."""
    old, new = (_index_entry(item, keys) for item in (before, after))
    if old == new:
        return 0
    return (old is not None) + (new is not None)


def _index_entry(item: Item | None, keys: tuple[str, ...]) -> tuple[str, ...] | None:
    if item is None or not all(key in item for key in keys):
        return None
    return tuple(repr(item[key]) for key in keys)


def _value_bytes(typed_value: Mapping[str, Any]) -> int:
    kind: str
    value: Any
    ((kind, value),) = typed_value.items()
    match kind:
        case "S":
            return len(str(value).encode())
        case "N":
            # About one byte for two digits, and one more; a sign takes another.
            digits = Decimal(value).normalize().as_tuple().digits
            return -(-len(digits) // 2) + 1 + int(str(value).startswith("-"))
        case "B":
            return len(value)
        case "BOOL" | "NULL":
            return 1
        case "M":
            return 3 + len(value) + item_bytes(value)
        case "L":
            return 3 + len(value) + sum(map(_value_bytes, value))
    raise ValueError(f"the size of the type {kind} is not known")
