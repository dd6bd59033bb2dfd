"""All jobs and all items of the ledger, as `admin reconcile` reads them."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from afterthought.adapters import ledger_table
from afterthought.adapters.dynamodb import Item, to_item
from afterthought.adapters.job_table import job_of
from afterthought.adapters.transactions import ConditionsFailed, Transactions
from afterthought.domain.errors import AfterthoughtError, TablesBusy
from afterthought.domain.jobs.job import Job
from afterthought.domain.ledger.ledger import Contribution, LedgerItem

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_NO_AMOUNTS = frozenset({"pk", "sk", "version"})
# The version of an item that was not written by this service and has none.
_NO_VERSION = -1
# An item's name is its key without the tenant: "BUDGET 2026-11", "USAGE 2026-11-21#o3#team:search".
_KINDS = ("BUDGET", "USAGE")


class UnreadableJob(AfterthoughtError):
    """A stored job does not have the form that this code expects."""


class JobTableScan:
    """The port `JobScan` on DynamoDB: a consistent scan of the whole table. Content items are read and billed, but not
    returned. Raises UnreadableJob, and botocore's ClientError."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def jobs(self, tenant: str | None) -> Iterator[Job]:
        values: dict[str, Any] = {":sk": "STATE"} | ({":tenant": tenant} if tenant is not None else {})
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            FilterExpression="sk = :sk" + (" AND tenant = :tenant" if tenant is not None else ""),
            ExpressionAttributeValues=to_item(values),
            ConsistentRead=True,
        )
        for page in pages:
            yield from (self._job(item) for item in page["Items"])

    def _job(self, item: Item) -> Job:
        try:
            return job_of(item)
        except ValidationError as error:
            # Without the job, its money would be reported as a difference. The message must not show any of its values.
            fields = ", ".join(sorted({".".join(map(str, each["loc"])) for each in error.errors(include_input=False)}))
            raise UnreadableJob(
                f"{item['pk']['S']} cannot be read by this version ({fields}). Is it older than the deployed one?"
            ) from None


class LedgerItemTable:
    """The port `LedgerItems` on DynamoDB. Raises botocore's ClientError."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table
        self._transactions = Transactions(client)

    def items(self, tenant: str, since: date) -> Mapping[str, LedgerItem]:
        # A month sorts before its days, so the same sort key selects budgets (by month) and usage (by day).
        return {
            f"{kind} {item['sk']['S']}": LedgerItem(_amounts(item), int(item.get("version", {}).get("N", _NO_VERSION)))
            for kind in _KINDS
            for item in self._items(f"{kind}#{tenant}", f"{since:%Y-%m}")
        }

    def amounts(self, part: Contribution) -> Mapping[str, Mapping[str, Decimal]]:
        return {
            f"{kind} {sk}": {name: amount for name, amount in amounts.items() if amount}
            for kind, sk, amounts in ledger_table.items(part)
        }

    def replace(self, tenant: str, name: str, amounts: Mapping[str, Decimal], *, version: int) -> bool:
        kind, _, sk = name.partition(" ")
        item = to_item({"pk": f"{kind}#{tenant}", "sk": sk, **amounts, "version": max(0, version) + 1})
        absent = "version" if version == _NO_VERSION else "pk"
        condition: dict[str, Any] = {"ConditionExpression": f"attribute_not_exists({absent})"}
        if version > 0:
            condition = {
                "ConditionExpression": "version = :version",
                "ExpressionAttributeValues": to_item({":version": version}),
            }
        try:
            self._transactions.put({"TableName": self._table, "Item": item, **condition})
        except (ConditionsFailed, TablesBusy):
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
    # An attribute that is not a number was not written by this service. A repair removes it.
    amounts = {name: Decimal(value["N"]) for name, value in item.items() if name not in _NO_AMOUNTS and "N" in value}
    return {name: amount for name, amount in amounts.items() if amount}
