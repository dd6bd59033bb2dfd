"""DynamoDB transactions, retried while other transactions use the same items."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import random as random_float
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from afterthought.adapters.dynamodb import Item, is_condition_failure
from afterthought.domain.errors import AfterthoughtError, TablesBusy
from afterthought.domain.jobs import schedule

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# boto3 does not retry a cancelled transaction, whatever the reason.
_TRANSIENT = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
_CONDITION = "ConditionalCheckFailed"


class ConditionsFailed(AfterthoughtError):
    """Conditions of the transaction were false, so nothing was written. `items` are the stored items by the position of
    the write in the transaction; empty where there is no item or the write does not request it."""

    def __init__(self, items: Mapping[int, Item]) -> None:
        super().__init__(f"the conditions of the writes {sorted(items)} were false")
        self.items = items


class Transactions:
    """Raises ConditionsFailed, TablesBusy when every try conflicts, and botocore's ClientError for other errors."""

    def __init__(
        self,
        client: "DynamoDBClient",
        *,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random_float,
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._random = random

    def write(self, writes: Sequence[Mapping[str, Any]]) -> None:
        """At most 100 writes, each of a different item."""
        for _ in self._tries():
            try:
                # boto3 adds a ClientRequestToken, so its own retry after a lost answer writes nothing twice.
                self._client.transact_write_items(TransactItems=writes)  # type: ignore[arg-type]
            except ClientError as error:
                reasons = _reasons(error)
                if failed := {n: r.get("Item", {}) for n, r in enumerate(reasons) if r.get("Code") == _CONDITION}:
                    raise ConditionsFailed(failed) from error
                if not any(reason.get("Code") in _TRANSIENT for reason in reasons):
                    raise
            else:
                return

    def put(self, put: Mapping[str, Any]) -> None:
        """One write without a transaction. It conflicts while a transaction uses the item."""
        for _ in self._tries():
            try:
                self._client.put_item(**put)
            except ClientError as error:
                if is_condition_failure(error):
                    raise ConditionsFailed({0: {}}) from error
                if error.response.get("Error", {}).get("Code") != "TransactionConflictException":
                    raise
            else:
                return

    def _tries(self) -> Iterator[int]:
        """Waits before each try but the first. Raises TablesBusy after the last one."""
        for tries in range(schedule.TRANSACTION_TRIES):
            if tries:
                self._sleep(schedule.conflict_seconds(tries, self._random()))
            yield tries
        raise TablesBusy(
            "Too many jobs of this tenant are changing at once. Try again in a moment.", headers={"retry-after": "1"}
        )


def _reasons(error: ClientError) -> Sequence[Mapping[str, Any]]:
    """Why each write failed, in the order of the writes; empty for other errors."""
    reasons: Sequence[Mapping[str, Any]] = error.response.get("CancellationReasons", [])
    return reasons
