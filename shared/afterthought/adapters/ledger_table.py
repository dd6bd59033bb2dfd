"""The ledger in AccountTable: a budget item per tenant and month, a usage row per tenant, day, model and tag set."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from afterthought.adapters.dynamodb import Item, from_item, to_item
from afterthought.domain.ledger.budget import Caps, MonthBalance
from afterthought.domain.ledger.ledger import Amounts, Balance, Contribution, UsageKey
from afterthought.domain.models.pricing import exact_sum

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Write = Mapping[str, Any]

_USED, _HELD = "used_usd", "held_usd"


class LedgerTable:
    """The port `Ledger` on DynamoDB. Raises botocore's ClientError."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def month(self, tenant: str, month: date) -> MonthBalance:
        key = to_item({"pk": f"BUDGET#{tenant}", "sk": f"{month:%Y-%m}"})
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return month_balance(answer.get("Item", {}), month)

    def usage(self, tenant: str, first: date, last: date) -> Iterator[tuple[UsageKey, Amounts]]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues=to_item(
                # "$" sorts directly after the "#" that ends the day.
                {":pk": f"USAGE#{tenant}", ":first": f"{first.isoformat()}#", ":last": f"{last.isoformat()}$"}
            ),
            ConsistentRead=True,
        )
        for page in pages:
            for item in page["Items"]:
                values = from_item(item)
                if amounts := {n: a for n, a in values.items() if n not in ("pk", "sk", "version") and a}:
                    yield _usage_key(values["sk"]), amounts


def items(part: Contribution) -> Iterator[tuple[str, str, Amounts]]:
    """The items of a tenant's ledger, budgets first: the kind (with the tenant it is the partition key), the sort key,
    and the amounts by attribute."""
    for month in sorted({day.replace(day=1) for day in part.days}):
        days = {day: balance for day, balance in part.days.items() if day.replace(day=1) == month}
        whole = Balance()
        amounts: dict[str, Decimal] = {}
        for day, balance in days.items():
            whole = whole.plus(balance)
            used_name, held_name = _day_names(day.day)
            amounts |= {used_name: balance.used_usd, held_name: balance.held_usd}
        yield "BUDGET", f"{month:%Y-%m}", {_USED: whole.used_usd, _HELD: whole.held_usd, **amounts}
    for key, usage in part.usage.items():
        yield "USAGE", f"{key.day.isoformat()}#{key.model}#{','.join(key.tags)}", usage


def writes(table: str, tenant: str, change: Contribution, caps: Caps) -> Iterator[Write]:
    """The members of a transaction that apply the change, in the order of `items`. Where an amount used grows, its cap
    is a condition. Condition expressions cannot add, so the stored amount is compared with the cap minus the growth."""
    for kind, sk, amounts in items(change):
        limits = dict(_limits(amounts, caps)) if kind == "BUDGET" else {}
        yield _update(table, {"pk": f"{kind}#{tenant}", "sk": sk}, amounts, limits)


def month_balance(item: Item, month: date) -> MonthBalance:
    """The balance in a budget item of that month; zero for an absent (empty) item."""
    values = from_item(item)
    days = {day: _balance(values, *_day_names(day.day)) for day in _days(values, month)}
    return MonthBalance(total=_balance(values, _USED, _HELD), days=days)


def _days(values: Mapping[str, Decimal], month: date) -> Iterator[date]:
    for name in values:
        if name.startswith("used") and name != _USED:
            yield month.replace(day=int(name.removeprefix("used")))


def _day_names(day: int) -> tuple[str, str]:
    """The attributes of a day, such as `used07` and `held07`. Short, so that a month of 31 days fits one kilobyte, the
    unit of billing."""
    return f"used{day:02}", f"held{day:02}"


def _balance(values: Mapping[str, Decimal], used_name: str, held_name: str) -> Balance:
    held = values.get(held_name, Decimal(0))
    used = values.get(used_name, Decimal(0))
    return Balance(held_usd=held, spent_usd=exact_sum(used, held.copy_negate()))


def _usage_key(sk: str) -> UsageKey:
    day, model, tags = sk.split("#", 2)
    return UsageKey(date.fromisoformat(day), model, tuple(tags.split(",")) if tags else ())


def _limits(amounts: Amounts, caps: Caps) -> Iterator[tuple[str, Decimal]]:
    """The highest stored value of each attribute with which the addition stays within its cap."""
    for name, added in amounts.items():
        if name.startswith("used") and added > 0:
            cap = caps.month_usd if name == _USED else caps.day_usd
            if cap is not None:
                yield name, exact_sum(cap, added.copy_negate())


def _update(table: str, key: dict[str, str], amounts: Amounts, limits: Amounts) -> Write:
    added = {name: amount for name, amount in amounts.items() if amount} | {"version": Decimal(1)}
    values = {f":a{n}": amount for n, amount in enumerate(added.values())}
    update: dict[str, Any] = {
        "TableName": table,
        "Key": to_item(key),
        "UpdateExpression": "ADD " + ", ".join(f"{name} :a{n}" for n, name in enumerate(added)),
    }
    if limits:
        values |= {f":max{n}": limit for n, limit in enumerate(limits.values())}
        # An absent attribute is zero, which meets every limit that is not negative.
        update["ConditionExpression"] = " AND ".join(
            f"(attribute_not_exists({name}) OR {name} <= :max{n})" if limit >= 0 else f"{name} <= :max{n}"
            for n, (name, limit) in enumerate(limits.items())
        )
        update["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return {"Update": {**update, "ExpressionAttributeValues": to_item(values)}}
