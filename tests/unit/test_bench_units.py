"""DynamoDB's units, by its developer guide."""

from decimal import Decimal
from typing import Any

import pytest

from bench.cost import load_prices
from bench.meter import Tally
from bench.units import index_units, item_bytes, read_units, transaction_units, write_units

KEYS = ("overdue_shard", "overdue_at", "pk", "sk")


def item(size: int) -> dict[str, Any]:
    """An item of this size."""
    return {"b": {"B": bytes(size - 1)}}


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "héllo"}, 6),
        ({"B": b"1234"}, 4),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"N": "1"}, 2),
        ({"N": "1793611800.205"}, 8),
        ({"N": "-1000"}, 3),
        ({"L": []}, 3),
        ({"M": {}}, 3),
        ({"L": [{"S": "ab"}, {"BOOL": True}]}, 3 + 2 + 3),
        ({"M": {"k": {"S": "ab"}}}, 3 + 1 + 3),
    ],
)
def test_value_sizes(value: dict[str, Any], size: int) -> None:
    assert item_bytes({"name": value}) == len("name") + size


def test_unknown_type_fails() -> None:
    with pytest.raises(ValueError, match="SS"):
        item_bytes({"name": {"SS": ["a"]}})


@pytest.mark.parametrize(
    ("before", "after", "units"),
    [(None, 1, 1), (None, 1024, 1), (None, 1025, 2), (3000, 10, 3), (10, 3000, 3)],
)
def test_write_is_billed_by_larger_version(before: int | None, after: int, units: int) -> None:
    assert write_units(item(before) if before else None, item(after)) == units


@pytest.mark.parametrize(
    ("before", "after", "units"), [(None, 1, 2), (None, 1024, 2), (None, 1025, 4), (3000, 10, 6), (None, None, 2)]
)
def test_transactional_write_is_billed_twice(before: int | None, after: int | None, units: int) -> None:
    assert transaction_units(item(before) if before else None, item(after) if after else None) == units


@pytest.mark.parametrize(("size", "units"), [(1, "1"), (4096, "1"), (4097, "2")])
def test_read_is_billed_per_4_kilobytes(size: int, units: str) -> None:
    assert read_units(item(size), consistent=True) == Decimal(units)
    assert read_units(item(size), consistent=False) == Decimal(units) / 2


def test_empty_read_is_billed() -> None:
    assert read_units(None, consistent=True) == 1


def state(overdue_at: str | None) -> dict[str, Any]:
    index = {} if overdue_at is None else {"overdue_shard": {"S": "1"}, "overdue_at": {"N": overdue_at}}
    return {"pk": {"S": "JOB#1"}, "sk": {"S": "STATE"}, **index}


@pytest.mark.parametrize(
    ("before", "after", "units"),
    [
        (None, state("1"), 1),
        (state("1"), state("2"), 2),
        (state("1"), state("1"), 0),
        (state("1"), state(None), 1),
        (state(None), state(None), 0),
        (None, state(None), 0),
    ],
)
def test_index_is_written_if_entry_changes(before: dict[str, Any] | None, after: dict[str, Any], units: int) -> None:
    assert index_units(before, after, KEYS) == units


def test_tallies_add_up() -> None:
    one, other = Tally(), Tally()
    one.requests["api", "dynamodb", "GetItem"] = 3
    other.requests["api", "dynamodb", "GetItem"] = 1
    other.invocations["api"] = 2
    other.log_bytes["api"] = 10
    total = one.plus(other, -2)
    assert total.of("dynamodb") == 1
    assert total.invocations["api"] == -4
    assert total.log_bytes["api"] == -20
    assert one.requests["api", "dynamodb", "GetItem"] == 3, "the operands do not change"


def test_every_price_is_an_exact_decimal() -> None:
    prices = load_prices()
    tables = (prices.per_million, prices.per_gb, prices.per_gb_month, prices.per_month)
    assert all(price > 0 for table in tables for price in table.values())
    assert prices.per_million["dynamodb_write_unit"] == 5 * prices.per_million["dynamodb_read_unit"]
