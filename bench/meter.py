"""Counts the requests that the functions send to AWS, as botocore sends them: retries count too."""

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
# Not counted for a job: the sweeper queries the index once a minute anyway.
_SWEEP_OPERATION = "Query"
_INDEX_KEYS = ("overdue_shard", "overdue_at", "pk", "sk")


class ItemUnits(NamedTuple):
    """The units of one item in a request. `kind` is the first part of its key: STATE, INPUT, TENANT, BUDGET…"""

    kind: str
    write_units: int = 0
    index_units: int = 0
    read_units: Decimal = Decimal(0)


@dataclass(frozen=True)
class Request:
    """`sender` is a function, or "Lambda for" or "SNS for" a function. `items` are DynamoDB's. `grouped`: an SQS
    message with a message group."""

    sender: str
    service: str
    operation: str
    items: tuple[ItemUnits, ...] = ()
    grouped: bool = False

    @property
    def function(self) -> str:
        """The function that the request is attributed to."""
        return self.sender.rpartition(" ")[2]

    @property
    def write_units(self) -> int:
        """Including the index."""
        return sum(item.write_units + item.index_units for item in self.items)

    @property
    def read_units(self) -> Decimal:
        return sum((item.read_units for item in self.items), Decimal(0))


class Tally:
    """What was counted. Sums and differences of tallies have no `sequence`."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str]] = Counter()
        """By sender, service and operation."""
        self.sequence: list[Request] = []
        """The requests in their order; a retried request is in it once."""
        self.invocations: Counter[str] = Counter()
        self.http_requests: Counter[str] = Counter()
        """Requests through the HTTP API, by function."""
        self.external: Counter[tuple[str, str]] = Counter()
        """Calls to the provider and the webhook receiver, by function and kind."""
        self.log_bytes: Counter[str] = Counter()
        self.log_lines: Counter[str] = Counter()
        self.units: dict[str, Decimal] = {}

    def add(self, request: Request) -> None:
        self.sequence.append(request)
        for item in request.items:
            self._add_units(WRITE_UNITS, item.write_units + item.index_units)
            self._add_units(INDEX_UNITS, item.index_units)
            self._add_units(READ_UNITS, item.read_units)

    def add_uncounted(self, request: Request) -> None:
        """Adds a request that botocore does not send here."""
        self.requests[request.sender, request.service, request.operation] += 1
        self.add(request)

    def plus(self, other: "Tally", times: int) -> "Tally":
        """This tally and `times` the other; `times` may be negative."""
        total = Tally()
        for name in ("requests", "invocations", "http_requests", "external", "log_bytes", "log_lines"):
            left, right, result = getattr(self, name), getattr(other, name), getattr(total, name)
            for key in left.keys() | right.keys():
                result[key] = left[key] + times * right[key]
        for kind in self.units.keys() | other.units.keys():
            total.units[kind] = self.units.get(kind, Decimal(0)) + times * other.units.get(kind, Decimal(0))
        return total

    def of(self, service: str, *operations: str) -> int:
        """The requests of all functions to a service."""
        return sum(
            number
            for (_, called, operation), number in self.requests.items()
            if called == service and (not operations or operation in operations)
        )

    def _add_units(self, kind: str, amount: Decimal | int) -> None:
        self.units[kind] = self.units.get(kind, Decimal(0)) + amount


class Meter:
    """Listens to the botocore events of the functions' clients. `dynamodb` is a client that it does not listen to,
    `logs` the functions' output, `external` the running count of calls outside AWS."""

    def __init__(
        self, hooks: BaseEventHooks, dynamodb: "DynamoDBClient", logs: io.StringIO, external: Counter[str]
    ) -> None:
        self._dynamodb = dynamodb
        self._logs = logs
        self._external = external
        self._function = ""
        self._tally = Tally()
        self._params: dict[str, Any] = {}
        self._before: list[Item | None] = []
        hooks.register("request-created", self._count)
        hooks.register("provide-client-params", self._read_before)
        hooks.register("after-call", self._record)

    def start(self) -> Tally:
        """A new tally, which counts from now on."""
        self._tally = Tally()
        return self._tally

    @contextmanager
    def running(self, function: str, *, over_http: bool = False, invoked: bool = True) -> Iterator[None]:
        """While the function runs. `invoked`: the invocation itself is counted."""
        self._function = function
        log_start, external_before = self._logs.tell(), self._external.copy()
        try:
            yield
        finally:
            self._function = ""
            if invoked:
                self._tally.invocations[function] += 1
                self._tally.log_bytes[function] += self._logs.tell() - log_start
                self._tally.log_lines[function] += self._logs.getvalue().count("\n", log_start)
            self._tally.http_requests[function] += over_http
            for kind, number in (self._external - external_before).items():
                self._tally.external[function, kind] += number

    def by_aws(self, service: str, function: str, operation: str, *, grouped: bool) -> None:
        """A request to SQS that Lambda or SNS makes for the function."""
        self._tally.add_uncounted(Request(f"{service} for {function}", "sqs", operation, grouped=grouped))

    def _count(self, event_name: str, **_: Any) -> None:
        service, operation = event_name.split(".")[1:]
        if self._function and operation != _SWEEP_OPERATION:
            self._tally.requests[self._function, service, operation] += 1

    def _read_before(self, event_name: str, params: dict[str, Any], model: Any, **_: Any) -> None:
        self._params = dict(params)
        if self._function and ".dynamodb." in event_name and model.name in _WRITES:
            self._before = [self._stored(write) for write in self._writes(model.name)]

    def _record(self, event_name: str, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        if not self._function or model.name == _SWEEP_OPERATION:
            return
        service = event_name.split(".")[1]
        items = self._items(model.name, parsed) if service == "dynamodb" else ()
        grouped = service == "sqs" and "MessageGroupId" in self._params
        self._tally.add(Request(self._function, service, model.name, items, grouped))

    def _items(self, operation: str, parsed: Mapping[str, Any]) -> tuple[ItemUnits, ...]:
        if operation == "GetItem":
            consistent = bool(self._params.get("ConsistentRead"))
            units = read_units(parsed.get("Item"), consistent=consistent)
            return (ItemUnits(_kind(self._params["Key"]), read_units=units),)
        if operation not in _WRITES:
            raise ValueError(f"the bench has no rule for the units of {operation}")
        billed = transaction_units if operation == _TRANSACTION else write_units
        items = []
        for write, before in zip(self._writes(operation), self._before, strict=True):
            after = self._stored(write)
            index = index_units(before, after, _INDEX_KEYS)
            items.append(ItemUnits(_kind(_key(write)), write_units=billed(before, after), index_units=index))
        return tuple(items)

    def _writes(self, operation: str) -> Sequence[Mapping[str, Any]]:
        """The single writes of the current request, each with its table and its key or item."""
        if operation != _TRANSACTION:
            return [self._params]
        return [write for member in self._params["TransactItems"] for write in member.values()]

    def _stored(self, write: Mapping[str, Any]) -> Item | None:
        return self._dynamodb.get_item(TableName=write["TableName"], Key=_key(write), ConsistentRead=True).get("Item")


def _key(write: Mapping[str, Any]) -> dict[str, Any]:
    attributes = write.get("Key") or write["Item"]
    return {name: attributes[name] for name in ("pk", "sk")}


def _kind(key: Mapping[str, Any]) -> str:
    """The items of a job share its partition key, so their sort key names the kind."""
    partition, sort = (str(key[name]["S"]).partition("#")[0] for name in ("pk", "sk"))
    return sort if partition == "JOB" else partition
