"""Amounts what the functions ask of AWS, at the last moment before a request leaves botocore: retries count too."""

import io
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
_WRITES = ("PutItem", "UpdateItem", "DeleteItem", _TRANSACTION)
# The sweeper asks, once a minute, what is due: whether anything is or not.
_OF_NO_JOB = "Query"
_INDEX_KEYS = ("overdue_shard", "overdue_at", "pk", "sk")


class Touched(NamedTuple):
    """An item that a request read or wrote. `kind` is the first part of its name: STATE, INPUT, TENANT, BUDGET…"""

    kind: str
    write_units: int = 0
    index_units: int = 0
    read_units: Decimal = Decimal(0)


@dataclass(frozen=True)
class Request:
    """`who` is a function, or Lambda or SNS for it; `items` are DynamoDB's. `grouped`: an SQS message with a group."""

    who: str
    service: str
    operation: str
    items: tuple[Touched, ...] = ()
    grouped: bool = False

    @property
    def function(self) -> str:
        """Whose work it is part of."""
        return self.who.rpartition(" ")[2]

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
        self.over_http: Counter[str] = Counter()
        """Requests that came over the HTTP API, by the function that they went to."""
        self.outside: Counter[tuple[str, str]] = Counter()
        """Calls of what is not AWS, by function and what for."""
        self.log_bytes: Counter[str] = Counter()
        """By function."""
        self.log_lines: Counter[str] = Counter()
        """By function."""
        self.units: dict[str, Decimal] = {}

    def add(self, request: Request) -> None:
        self.made.append(request)
        for item in request.items:
            self._add_units(WRITE_UNITS, item.write_units + item.index_units)
            self._add_units(INDEX_UNITS, item.index_units)
            self._add_units(READ_UNITS, item.read_units)

    def add_counted(self, request: Request) -> None:
        """One that did not leave botocore."""
        self.requests[request.who, request.service, request.operation] += 1
        self.add(request)

    def plus(self, other: "Tally", times: int) -> "Tally":
        """This and so many times the other; `times` may be negative."""
        made = Tally()
        for name in ("requests", "invocations", "over_http", "outside", "log_bytes", "log_lines"):
            ours, theirs, both = getattr(self, name), getattr(other, name), getattr(made, name)
            for key in ours.keys() | theirs.keys():
                both[key] = ours[key] + times * theirs[key]
        for kind in self.units.keys() | other.units.keys():
            made.units[kind] = self.units.get(kind, Decimal(0)) + times * other.units.get(kind, Decimal(0))
        return made

    def of(self, service: str, *operations: str) -> int:
        """Requests to a service, of all functions."""
        return sum(
            number
            for (_, asked, operation), number in self.requests.items()
            if asked == service and (not operations or operation in operations)
        )

    def _add_units(self, kind: str, amount: Decimal | int) -> None:
        self.units[kind] = self.units.get(kind, Decimal(0)) + amount


class Meter:
    """Listens on the events of a session whose clients the functions use. `plain` is a client that it does not hear,
    `logs` what the functions log, `outside` what others than AWS have been called for so far."""

    def __init__(
        self, events: BaseEventHooks, plain: "DynamoDBClient", logs: io.StringIO, outside: Counter[str]
    ) -> None:
        self._plain = plain
        self._logs = logs
        self._outside = outside
        self._function = ""
        self._tally = Tally()
        self._asked: dict[str, Any] = {}
        self._before: list[Item | None] = []
        events.register("request-created", self._count)
        events.register("provide-client-params", self._look_before)
        events.register("after-call", self._record)

    def start(self) -> Tally:
        """A new tally, which is counted on from now."""
        self._tally = Tally()
        return self._tally

    @contextmanager
    def running(self, function: str, *, over_http: bool = False, invoked: bool = True) -> Iterator[None]:
        """While a function runs. `invoked`: for this job, and not anyway."""
        self._function = function
        logged, called = self._logs.tell(), self._outside.copy()
        try:
            yield
        finally:
            self._function = ""
            if invoked:
                self._tally.invocations[function] += 1
                self._tally.log_bytes[function] += self._logs.tell() - logged
                self._tally.log_lines[function] += self._logs.getvalue().count("\n", logged)
            self._tally.over_http[function] += over_http
            for what, number in (self._outside - called).items():
                self._tally.outside[function, what] += number

    def by_aws(self, who: str, function: str, operation: str, *, grouped: bool) -> None:
        """A request that Lambda or SNS makes of SQS for the function."""
        self._tally.add_counted(Request(f"{who} for {function}", "sqs", operation, grouped=grouped))

    def _count(self, event_name: str, **_: Any) -> None:
        service, operation = event_name.split(".")[1:]
        if self._function and operation != _OF_NO_JOB:
            self._tally.requests[self._function, service, operation] += 1

    def _look_before(self, event_name: str, params: dict[str, Any], model: Any, **_: Any) -> None:
        self._asked = dict(params)
        if self._function and ".dynamodb." in event_name and model.name in _WRITES:
            self._before = [self._stored(write) for write in self._asked_writes(model.name)]

    def _record(self, event_name: str, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        if not self._function or model.name == _OF_NO_JOB:
            return
        service = event_name.split(".")[1]
        items = self._touched(model.name, parsed) if service == "dynamodb" else ()
        grouped = service == "sqs" and "MessageGroupId" in self._asked
        self._tally.add(Request(self._function, service, model.name, items, grouped))

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
