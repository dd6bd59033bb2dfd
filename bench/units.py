"""What DynamoDB bills for, by the rules of its developer guide: item sizes, write and read request units.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html; for transactions,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Item = Mapping[str, Any]

_WRITE_BYTES = 1024
_READ_BYTES = 4096


def item_bytes(item: Item) -> int:
    """The size of an item in DynamoDB's own form: names and values."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def write_units(before: Item | None, after: Item | None) -> int:
    """A put or an update is billed by the larger of the two."""
    larger = max(item_bytes(item) for item in (before or {}, after or {}))
    return max(1, -(-larger // _WRITE_BYTES))


def transaction_units(before: Item | None, after: Item | None) -> int:
    """A write in a transaction is made twice: prepared and committed. An index is written once all the same: it follows
    the table outside the transaction."""
    return 2 * write_units(before, after)


def read_units(item: Item | None, *, consistent: bool) -> Decimal:
    """An item that is not there is billed as a small one."""
    units = max(1, -(-item_bytes(item or {}) // _READ_BYTES))
    return Decimal(units) if consistent else Decimal(units) / 2


def index_units(before: Item | None, after: Item | None, keys: tuple[str, ...]) -> int:
    """The writes to a sparse index that holds keys only: one to take the old entry out, one to put the new one in, none
    when they are the same."""
    entries = [_entry(item, keys) for item in (before, after)]
    if entries[0] == entries[1]:
        return 0
    return sum(entry is not None for entry in entries)


def _entry(item: Item | None, keys: tuple[str, ...]) -> tuple[str, ...] | None:
    if item is None or not all(key in item for key in keys):
        return None
    return tuple(repr(item[key]) for key in keys)


def _value_bytes(value: Mapping[str, Any]) -> int:
    kind: str
    held: Any
    ((kind, held),) = value.items()
    match kind:
        case "S":
            return len(str(held).encode())
        case "N":
            # About a byte for two digits, and one more; a sign takes another.
            digits = Decimal(held).normalize().as_tuple().digits
            return -(-len(digits) // 2) + 1 + int(str(held).startswith("-"))
        case "B":
            return len(held)
        case "BOOL" | "NULL":
            return 1
        case "M":
            return 3 + len(held) + item_bytes(held)
        case "L":
            return 3 + len(held) + sum(map(_value_bytes, held))
    raise ValueError(f"no size is known for the type {kind}")
