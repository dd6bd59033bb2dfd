"""DynamoDB's transactions: all of the writes or none, tried again while others are at the same items."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from afterthought.adapters.dynamodb import Item, lost_condition
from afterthought.domain.errors import AfterthoughtError, TablesBusy
from afterthought.domain.jobs import schedule

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# boto3 does not repeat a cancelled transaction by itself, whatever cancelled it.
_PASSING = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
_CONDITION = "ConditionalCheckFailed"


class ConditionsLost(AfterthoughtError):
    """Conditions of the transaction did not hold, so nothing was written. `items` are, by the place of the write in the
    transaction, the items as they stood (empty where there was none, or where the write did not ask for it)."""

    def __init__(self, items: Mapping[int, Item]) -> None:
        super().__init__(f"the conditions of the writes {sorted(items)} did not hold")
        self.items = items


class Transactions:
    """Raises ConditionsLost, TablesBusy when every try met somebody else's, and botocore's ClientError for the rest."""

    def __init__(
        self,
        client: "DynamoDBClient",
        *,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._chance = chance

    def write(self, writes: Sequence[Mapping[str, Any]]) -> None:
        """All of them or none: at most 100 writes, each of another item."""
        for _ in self._tries():
            try:
                # boto3 gives each call a ClientRequestToken, so that its own repeat after a lost answer writes nothing.
                self._client.transact_write_items(TransactItems=writes)  # type: ignore[arg-type]
            except ClientError as error:
                reasons = _reasons(error)
                if lost := {n: r.get("Item", {}) for n, r in enumerate(reasons) if r.get("Code") == _CONDITION}:
                    raise ConditionsLost(lost) from error
                if not any(reason.get("Code") in _PASSING for reason in reasons):
                    raise
            else:
                return

    def put(self, put: Mapping[str, Any]) -> None:
        """A write by itself, which an item refuses while a transaction is at it."""
        for _ in self._tries():
            try:
                self._client.put_item(**put)
            except ClientError as error:
                if lost_condition(error):
                    raise ConditionsLost({0: {}}) from error
                if error.response.get("Error", {}).get("Code") != "TransactionConflictException":
                    raise
            else:
                return

    def _tries(self) -> Iterator[int]:
        """A pause before each try but the first. Raises TablesBusy when there have been enough."""
        for tries in range(schedule.TRANSACTION_TRIES):
            if tries:
                self._sleep(schedule.conflict_seconds(tries, self._chance()))
            yield tries
        raise TablesBusy(
            "Too many jobs of this tenant are changing at once. Try again in a moment.", headers={"retry-after": "1"}
        )


def _reasons(error: ClientError) -> Sequence[Mapping[str, Any]]:
    """Why each write was refused, in the order of the writes; empty for another error."""
    reasons: Sequence[Mapping[str, Any]] = error.response.get("CancellationReasons", [])
    return reasons
