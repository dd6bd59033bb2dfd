"""The books and the jobs as the admin sees them: all of them, item by item."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from afterthought.adapters import ledger_table
from afterthought.adapters.dynamodb import Item, to_item
from afterthought.adapters.job_table import job_of
from afterthought.adapters.transactions import ConditionsLost, Transactions
from afterthought.domain.errors import AfterthoughtError, TablesBusy
from afterthought.domain.job import Job
from afterthought.domain.ledger import Books, Page

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_NO_AMOUNTS = frozenset({"pk", "sk", "moves"})
# An item that somebody made by hand.
_NEVER_MOVED = -1
# A page's name is its item's key without the tenant: "BUDGET 2026-11", "USAGE 2026-11-21#o3#team:search".
_KINDS = ("BUDGET", "USAGE")


class UnreadableJob(AfterthoughtError):
    """A job in another form than this code's."""


class JobArchive:
    """The port `Archive` on DynamoDB: a consistent scan of the whole table, contents included (they are read and
    billed, not sent). Raises UnreadableJob, and botocore's ClientError."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def jobs(self, tenant: str | None) -> Iterator[Job]:
        wanted: dict[str, Any] = {":sk": "STATE"} | ({":tenant": tenant} if tenant is not None else {})
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            FilterExpression="sk = :sk" + (" AND tenant = :tenant" if tenant is not None else ""),
            ExpressionAttributeValues=to_item(wanted),
            ConsistentRead=True,
        )
        for page in pages:
            yield from (self._job(item) for item in page["Items"])

    def _job(self, item: Item) -> Job:
        try:
            return job_of(item)
        except ValidationError as error:
            # To leave it out would make its money a difference. Nothing of its values may be shown.
            fields = ", ".join(sorted({".".join(map(str, each["loc"])) for each in error.errors(include_input=False)}))
            raise UnreadableJob(f"{item['pk']['S']} cannot be read by this version ({fields}): is it older?") from None


class BookkeepingTable:
    """The port `Bookkeeping` on DynamoDB. Raises botocore's ClientError."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table
        self._transactions = Transactions(client)

    def pages(self, tenant: str, since: date) -> Mapping[str, Page]:
        # A month sorts before its days, so this takes the budgets' months and the usage's days alike.
        return {
            f"{kind} {item['sk']['S']}": Page(_amounts(item), int(item.get("moves", {}).get("N", _NEVER_MOVED)))
            for kind in _KINDS
            for item in self._items(f"{kind}#{tenant}", f"{since:%Y-%m}")
        }

    def made(self, books: Books) -> Mapping[str, Mapping[str, Decimal]]:
        return {
            f"{kind} {sk}": {name: amount for name, amount in amounts.items() if amount}
            for kind, sk, amounts in ledger_table.items(books)
        }

    def rewrite(self, tenant: str, name: str, amounts: Mapping[str, Decimal], *, moves: int) -> bool:
        kind, _, sk = name.partition(" ")
        item = to_item({"pk": f"{kind}#{tenant}", "sk": sk, **amounts, "moves": max(0, moves) + 1})
        absent = "moves" if moves == _NEVER_MOVED else "pk"
        condition: dict[str, Any] = {"ConditionExpression": f"attribute_not_exists({absent})"}
        if moves > 0:
            condition = {
                "ConditionExpression": "moves = :seen",
                "ExpressionAttributeValues": to_item({":seen": moves}),
            }
        try:
            self._transactions.put({"TableName": self._table, "Item": item, **condition})
        except (ConditionsLost, TablesBusy):
            return False
        return True

    def _items(self, pk: str, since: str) -> Iterator[Item]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk >= :since",
            ExpressionAttributeValues=to_item({":pk": pk, ":since": since}),
            ConsistentRead=True,
        )
        for page in pages:
            yield from page["Items"]


def _amounts(item: Item) -> dict[str, Decimal]:
    # What is no number was not written by this service: it is no amount, and goes when the page is written right.
    amounts = {name: Decimal(value["N"]) for name, value in item.items() if name not in _NO_AMOUNTS and "N" in value}
    return {name: amount for name, amount in amounts.items() if amount}
