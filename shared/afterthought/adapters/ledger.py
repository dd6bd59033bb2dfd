"""The writing of jobs, with the books that move with them."""

from typing import TYPE_CHECKING

from afterthought.adapters import ledger_table
from afterthought.adapters.dynamodb import to_item
from afterthought.adapters.job_table import JobTable, state_item
from afterthought.adapters.transactions import ConditionsLost, Transactions
from afterthought.domain.budget import NO_CAPS, Caps, OverBudget
from afterthought.domain.errors import JobChanged, JobExists
from afterthought.domain.job import Job
from afterthought.domain.ledger import movement

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# The order of a transaction's writes.
_STATE_WRITE, _BUDGET_WRITE = 0, 1


class LedgerTable(JobTable):
    """The port `JobStore` on DynamoDB: STATE in `table`, the books in `account_table`, in one transaction. Raises
    botocore's ClientError for what is not named there."""

    def __init__(
        self, client: "DynamoDBClient", table: str, account_table: str, transactions: Transactions | None = None
    ) -> None:
        super().__init__(client, table)
        self._account_table = account_table
        self._transactions = transactions or Transactions(client)

    def create(self, job: Job, caps: Caps) -> None:
        put = {"TableName": self._table, "Item": state_item(job), "ConditionExpression": "attribute_not_exists(pk)"}
        moved = ledger_table.writes(self._account_table, job.tenant, movement(None, job), caps)
        try:
            self._transactions.write([{"Put": put}, *moved])
        except ConditionsLost as lost:
            if _STATE_WRITE in lost.items:
                raise JobExists(job.id) from lost
            raise _over_budget(lost, job) from lost

    def save(self, before: Job, after: Job, caps: Caps = NO_CAPS) -> None:
        put = {
            "TableName": self._table,
            "Item": state_item(after),
            "ConditionExpression": "version = :before",
            "ExpressionAttributeValues": to_item({":before": before.version}),
        }
        moved = movement(before, after)
        try:
            if moved:
                writes = list(ledger_table.writes(self._account_table, after.tenant, moved, caps))
                self._transactions.write([{"Put": put}, *writes])
            else:
                self._transactions.put(put)
        except ConditionsLost as lost:
            if _STATE_WRITE in lost.items:
                raise JobChanged(after.id) from lost
            raise _over_budget(lost, after) from lost


def _over_budget(lost: ConditionsLost, job: Job) -> OverBudget:
    """The newest hold is what did not fit; its month's budget item is the last of those written."""
    held_at = job.attempts[-1].held_at
    return OverBudget(ledger_table.month_book(lost.items[max(lost.items)], held_at.date().replace(day=1)))
