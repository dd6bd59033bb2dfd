"""Counts what the functions ask of AWS, at the last moment before a request leaves botocore: retries count too."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.hooks import BaseEventHooks

from bench.units import Item, index_units, read_units, transaction_units, write_units

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WRITE_UNITS = "dynamodb write units"
INDEX_UNITS = "of which the index"
READ_UNITS = "dynamodb read units"

_TRANSACTION = "TransactWriteItems"
_WRITES = ("PutItem", "UpdateItem", _TRANSACTION)
_INDEX_KEYS = ("due_shard", "due_at", "pk", "sk")


class Touched(NamedTuple):
    """An item that a request read or wrote. `kind` is the first part of its name: STATE, INPUT, TENANT, BUDGET…"""

    kind: str
    write_units: int = 0
    index_units: int = 0
    read_units: Decimal = Decimal(0)


@dataclass(frozen=True)
class Request:
    """`who` is a function, or Lambda for it; `items` are DynamoDB's."""

    who: str
    service: str
    operation: str
    items: tuple[Touched, ...] = ()

    @property
    def write_units(self) -> int:
        """With those of the index."""
        return sum(item.write_units + item.index_units for item in self.items)

    @property
    def read_units(self) -> Decimal:
        return sum((item.read_units for item in self.items), Decimal(0))


class Tally:
    """How much of what; sums and differences of jobs are tallies too, but for `made`."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str]] = Counter()
        """By function, service and operation."""
        self.made: list[Request] = []
        """Each request, in its order; one that was repeated stands here once."""
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
        self._before: list[Item | None] = []
        events.register("request-created", self._count)
        events.register("provide-client-params.dynamodb", self._look_before)
        events.register("after-call", self._record)

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
        who = f"Lambda for {function}"
        self._tally.requests[who, service, operation] += 1
        self._tally.made.append(Request(who, service, operation))

    def _count(self, event_name: str, **_: Any) -> None:
        if self._function:
            service, operation = event_name.split(".")[1:]
            self._tally.requests[self._function, service, operation] += 1

    def _look_before(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self._asked = dict(params)
        if self._function and model.name in _WRITES:
            self._before = [self._stored(write) for write in self._asked_writes(model.name)]

    def _record(self, event_name: str, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        if not self._function:
            return
        service = event_name.split(".")[1]
        items = self._touched(model.name, parsed) if service == "dynamodb" else ()
        self._tally.made.append(Request(self._function, service, model.name, items))
        for item in items:
            self._tally.add_units(WRITE_UNITS, item.write_units + item.index_units)
            self._tally.add_units(INDEX_UNITS, item.index_units)
            self._tally.add_units(READ_UNITS, item.read_units)

    def _touched(self, operation: str, parsed: Mapping[str, Any]) -> tuple[Touched, ...]:
        if operation == "GetItem":
            consistent = bool(self._asked.get("ConsistentRead"))
            units = read_units(parsed.get("Item"), consistent=consistent)
            return (Touched(_kind(self._asked["Key"]), read_units=units),)
        if operation not in _WRITES:
            raise ValueError(f"no rule is known for what {operation} costs")
        billed = transaction_units if operation == _TRANSACTION else write_units
        writes = self._asked_writes(operation)
        return tuple(
            Touched(
                _kind(_key(write)),
                write_units=billed(before, after := self._stored(write)),
                index_units=index_units(before, after, _INDEX_KEYS),
            )
            for write, before in zip(writes, self._before, strict=True)
        )

    def _asked_writes(self, operation: str) -> Sequence[Mapping[str, Any]]:
        """What is written, each with its table and its key or item."""
        if operation != _TRANSACTION:
            return [self._asked]
        return [write for member in self._asked["TransactItems"] for write in member.values()]

    def _stored(self, write: Mapping[str, Any]) -> Item | None:
        return self._plain.get_item(TableName=write["TableName"], Key=_key(write), ConsistentRead=True).get("Item")


def _key(write: Mapping[str, Any]) -> dict[str, Any]:
    held = write.get("Key") or write["Item"]
    return {name: held[name] for name in ("pk", "sk")}


def _kind(key: Mapping[str, Any]) -> str:
    """A job's items share its key and have names of their own; of the others the key says what they are."""
    first, second = (str(key[name]["S"]).partition("#")[0] for name in ("pk", "sk"))
    return second if first == "JOB" else first
