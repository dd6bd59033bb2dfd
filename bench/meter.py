"""Counts what the functions ask of AWS, at the last moment before a request leaves botocore: retries count too."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from botocore.hooks import BaseEventHooks

from bench.units import Item, index_units, read_units, write_units

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WRITE_UNITS = "dynamodb write units"
INDEX_UNITS = "of which the index"
READ_UNITS = "dynamodb read units"

_WRITES = ("PutItem", "UpdateItem")
_INDEX_KEYS = ("due_shard", "due_at", "pk", "sk")


class Tally:
    """How much of what; sums and differences of jobs are tallies too."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str]] = Counter()
        """By function, service and operation."""
        self.invocations: Counter[str] = Counter()
        self.units: dict[str, Decimal] = {}
        self.log_bytes = 0

    def add_units(self, kind: str, amount: Decimal | int) -> None:
        self.units[kind] = self.units.get(kind, Decimal(0)) + amount

    def plus(self, other: "Tally", times: int) -> "Tally":
        """This and so many times the other; `times` may be negative."""
        made = Tally()
        for key in self.requests.keys() | other.requests.keys():
            made.requests[key] = self.requests[key] + times * other.requests[key]
        for name in self.invocations.keys() | other.invocations.keys():
            made.invocations[name] = self.invocations[name] + times * other.invocations[name]
        for kind in self.units.keys() | other.units.keys():
            made.units[kind] = self.units.get(kind, Decimal(0)) + times * other.units.get(kind, Decimal(0))
        made.log_bytes = self.log_bytes + times * other.log_bytes
        return made

    def of(self, service: str, *operations: str) -> int:
        """Requests to a service, of all functions."""
        return sum(
            number
            for (_, asked, operation), number in self.requests.items()
            if asked == service and (not operations or operation in operations)
        )


class Meter:
    """Listens on the events of a session whose clients the functions use. `plain` is a client that it does not hear."""

    def __init__(self, events: BaseEventHooks, plain: "DynamoDBClient") -> None:
        self._plain = plain
        self._function = ""
        self._tally = Tally()
        self._asked: dict[str, Any] = {}
        self._before: Item | None = None
        events.register("request-created", self._count)
        events.register("provide-client-params.dynamodb", self._look_before)
        events.register("after-call.dynamodb", self._look_after)

    def start(self) -> Tally:
        """A new tally, which is counted on from now."""
        self._tally = Tally()
        return self._tally

    @contextmanager
    def running(self, function: str) -> Iterator[None]:
        """While a function is invoked."""
        self._function = function
        self._tally.invocations[function] += 1
        try:
            yield
        finally:
            self._function = ""

    def by_lambda(self, function: str, service: str, operation: str) -> None:
        """A request that Lambda makes for the function."""
        self._tally.requests[f"Lambda for {function}", service, operation] += 1

    def _count(self, event_name: str, **_: Any) -> None:
        if self._function:
            service, operation = event_name.split(".")[1:]
            self._tally.requests[self._function, service, operation] += 1

    def _look_before(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self._asked = dict(params)
        if self._function and model.name in _WRITES:
            self._before = self._stored()

    def _look_after(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        if not self._function:
            return
        if model.name == "GetItem":
            consistent = bool(self._asked.get("ConsistentRead"))
            self._tally.add_units(READ_UNITS, read_units(parsed.get("Item"), consistent=consistent))
        elif model.name in _WRITES:
            after = self._stored()
            index = index_units(self._before, after, _INDEX_KEYS)
            self._tally.add_units(WRITE_UNITS, write_units(self._before, after) + index)
            self._tally.add_units(INDEX_UNITS, index)
        else:
            raise ValueError(f"no rule is known for what {model.name} costs")

    def _stored(self) -> Item | None:
        held = self._asked.get("Key") or self._asked["Item"]
        key = {name: held[name] for name in ("pk", "sk")}
        return self._plain.get_item(TableName=self._asked["TableName"], Key=key, ConsistentRead=True).get("Item")
