"""AccountTable's books: one budget item a tenant and month, one usage row a tenant, day, model and set of tags."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from afterthought.adapters.dynamodb import Item, from_item, to_item
from afterthought.domain import ledger
from afterthought.domain.budget import Caps, MonthBook
from afterthought.domain.ledger import Counts, Standing, UsageKey
from afterthought.domain.pricing import exact_sum

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Write = Mapping[str, Any]


class BookTable:
    """The port `Ledger` on DynamoDB. Raises botocore's ClientError."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def month(self, tenant: str, month: date) -> MonthBook:
        key = to_item(_budget_key(tenant, month))
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return month_book(answer.get("Item", {}), month)

    def usage(self, tenant: str, first: date, last: date) -> Iterator[tuple[UsageKey, Counts]]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues=to_item(
                # "$" comes right after the "#" that ends the day.
                {":pk": f"USAGE#{tenant}", ":first": f"{first.isoformat()}#", ":last": f"{last.isoformat()}$"}
            ),
            ConsistentRead=True,
        )
        for page in pages:
            for item in page["Items"]:
                values = from_item(item)
                if counts := {n: a for n, a in values.items() if n not in ("pk", "sk", "moves") and a}:
                    yield _usage_key(values["sk"]), counts


def items(part: ledger.Books) -> Iterator[tuple[str, str, Counts]]:
    """The items of a tenant's books with what they say: the kind (which with the tenant is the partition key), the sort
    key, the amounts by attribute. The budgets come first."""
    for month in sorted({day.replace(day=1) for day in part.days}):
        days = {day: standing for day, standing in part.days.items() if day.replace(day=1) == month}
        whole = Standing()
        amounts: dict[str, Decimal] = {}
        for day, standing in days.items():
            whole = whole.plus(standing)
            used_name, held_name = _day_names(day.day)
            amounts |= {used_name: standing.used_usd, held_name: standing.held_usd}
        yield "BUDGET", f"{month:%Y-%m}", {"used": whole.used_usd, "held": whole.held_usd, **amounts}
    for key, counts in part.usage.items():
        yield "USAGE", _usage_sk(key), counts


def writes(table: str, tenant: str, movement: ledger.Books, caps: Caps) -> Iterator[Write]:
    """The writes that make a movement true, as members of a transaction, in the order of `items`. A cap is a condition
    where the movement adds to what is used: conditions cannot add, so what may stand before is worked out here."""
    for kind, sk, amounts in items(movement):
        most = dict(_most_before(amounts, caps)) if kind == "BUDGET" else {}
        yield _update(table, {"pk": f"{kind}#{tenant}", "sk": sk}, amounts, most)


def month_book(item: Item, month: date) -> MonthBook:
    """The budget item of that month; an absent one (empty) stands for nothing used."""
    values = from_item(item)
    days = {
        month.replace(day=int(name[1:3])): _standing(values, *_day_names(int(name[1:3])))
        for name in values
        if name.startswith("d") and name.endswith("u")
    }
    return MonthBook(total=_standing(values, "used", "held"), days=days)


def _day_names(day: int) -> tuple[str, str]:
    """What is used and what is held of a day. Short, so that a month of 31 days is billed as one kilobyte."""
    return f"d{day:02}u", f"d{day:02}h"


def _standing(values: Mapping[str, Decimal], used_name: str, held_name: str) -> Standing:
    held = values.get(held_name, Decimal(0))
    used = values.get(used_name, Decimal(0))
    return Standing(held_usd=held, spent_usd=exact_sum(used, held.copy_negate()))


def _budget_key(tenant: str, month: date) -> dict[str, str]:
    return {"pk": f"BUDGET#{tenant}", "sk": f"{month:%Y-%m}"}


def _usage_sk(key: UsageKey) -> str:
    return f"{key.day.isoformat()}#{key.model}#{','.join(key.tags)}"


def _usage_key(sk: str) -> UsageKey:
    day, model, tags = sk.split("#", 2)
    return UsageKey(date.fromisoformat(day), model, tuple(tags.split(",")) if tags else ())


def _most_before(amounts: Counts, caps: Caps) -> Iterator[tuple[str, Decimal]]:
    for name, added in amounts.items():
        cap = caps.month_usd if name == "used" else caps.day_usd if name.endswith("u") else None
        if cap is not None and added > 0:
            yield name, exact_sum(cap, added.copy_negate())


def _update(table: str, key: dict[str, str], amounts: Counts, most: Counts) -> Write:
    moved = {name: amount for name, amount in amounts.items() if amount} | {"moves": Decimal(1)}
    values = {f":a{n}": amount for n, amount in enumerate(moved.values())}
    update: dict[str, Any] = {
        "TableName": table,
        "Key": to_item(key),
        "UpdateExpression": "ADD " + ", ".join(f"{name} :a{n}" for n, name in enumerate(moved)),
    }
    if most:
        values |= {f":most{n}": amount for n, amount in enumerate(most.values())}
        # Where nothing stands yet, nothing is used: that fits any cap that the hold itself fits.
        update["ConditionExpression"] = " AND ".join(
            f"(attribute_not_exists({name}) OR {name} <= :most{n})" if amount >= 0 else f"{name} <= :most{n}"
            for n, (name, amount) in enumerate(most.items())
        )
        update["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return {"Update": {**update, "ExpressionAttributeValues": to_item(values)}}
