"""The service in moto, with its functions called as Lambda calls them."""

import base64
import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlencode

import pytest

from afterthought.adapters import clock, telemetry
from afterthought.services.admin.tenants import Credentials
from bench.child import Context
from bench.clock import ShiftedClock
from bench.moto_stack import BUCKET, FUNCTIONS, MotoStack
from bench.template import properties

__all__ = ["PROVIDER_KEY", "Context", "Deployed", "HttpAnswer", "sample"]

Json = dict[str, Any]

EVENTS = Path(__file__).parents[2] / "events"
PROVIDER_KEY = "sk-provider-canary-7d1f"


def sample(name: str) -> Json:
    """A new copy of one of the sample events."""
    event: Json = json.loads((EVENTS / f"{name}.json").read_text())
    return event


class Deployed(MotoStack):
    """The functions on the template's resources in moto. `parameters` are those of the deployment."""

    def __init__(self, patch: pytest.MonkeyPatch, parameters: Mapping[str, str]) -> None:
        super().__init__(parameters)
        self.clock = ShiftedClock()
        patch.setattr(clock, "now", self.clock.now)
        self._modules = {name: _load(name) for name in FUNCTIONS}
        self._environments = {name: self.environment(name) for name in FUNCTIONS}

    @contextmanager
    def running(self, name: str) -> Iterator[ModuleType]:
        """A function's module, while the process has this function's variables and those of no other."""
        with pytest.MonkeyPatch.context() as patch:
            for other in self._environments.values():
                for variable in other:
                    patch.delenv(variable, raising=False)
            for variable, value in self._environments[name].items():
                patch.setenv(variable, value)
            telemetry.logger.cache_clear()
            for handler in telemetry.logger().handlers:
                # setStream() would flush the stream of an earlier test, which is closed.
                handler.stream = sys.stdout  # type: ignore[attr-defined]
            yield self._modules[name]

    def invoke(self, name: str, event: Json, context: Context | None = None) -> Any:
        """The function's result. Lambda sends both as JSON, so both are encoded and decoded here."""
        with self.running(name) as module:
            result = module.handler(json.loads(json.dumps(event)), context or Context(100_000))
        # As the Lambda runtime encodes it: a result that cannot be encoded is a 5xx.
        return json.loads(json.dumps(result, ensure_ascii=False).encode())

    # ---- the caller's side ----

    def make_tenant(self, name: str, tier: str = "tier5", **fixed: str) -> Credentials:
        """The default tier is the highest, so that only tests of rate limits meet them."""
        return self.tenants(self.clock.now).create(name, tier=tier, **fixed)

    def call(
        self,
        method: str,
        path: str,
        body: str | Json | None = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        encoded: bool = False,
    ) -> "HttpAnswer":
        """One HTTP request to the api function, in the form of the sample event."""
        event = sample("api")
        event["rawPath"] = event["requestContext"]["http"]["path"] = path
        event["requestContext"]["http"]["method"] = method
        event["headers"] = {"content-type": "application/json", **(headers or {})}
        if key is not None:
            event["headers"]["authorization"] = f"Bearer {key}"
        event.pop("body")
        if query:
            event["queryStringParameters"] = dict(query)
            event["rawQueryString"] = urlencode(query)
        if body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        event["isBase64Encoded"] = encoded
        return HttpAnswer(self.invoke("Api", event))

    # ---- state ----

    def provide(self, **connections: Json) -> None:
        """Sets the provider secret: connections by provider."""
        self.put_provider_secret(**connections)

    def items(self, table: str = "JobTable") -> list[Json]:
        items: list[Json] = self.clients.dynamodb.scan(TableName=table)["Items"]
        return items

    def objects(self) -> list[str]:
        listed = self.clients.s3.list_objects_v2(Bucket=BUCKET)
        return [each["Key"] for each in listed.get("Contents", [])]

    def waiting(self, queue: str) -> int:
        """The number of messages that are visible or delayed."""
        names: list[Any] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
        attributes = self.clients.sqs.get_queue_attributes(QueueUrl=self.refs[queue], AttributeNames=names)
        return sum(int(number) for number in attributes["Attributes"].values())

    def is_empty(self) -> bool:
        """No job, no content, no object, no message."""
        return not self.items() and not self.objects() and not self.waiting("JobQueue")

    def receive(self, queue: str) -> list[Json]:
        """The visible messages as records of a Lambda event. They stay in flight."""
        received = self.clients.sqs.receive_message(
            QueueUrl=self.refs[queue],
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        return [_record(message, self.arns[queue]) for message in received.get("Messages", [])]

    def stream_records(self) -> list[Json]:
        """All records of the job table's stream, as in a Lambda event."""
        streams = self.clients.streams
        arn = streams.list_streams(TableName="JobTable")["Streams"][0]["StreamArn"]
        [shard] = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = [{**each, "eventSourceARN": arn} for each in streams.get_records(ShardIterator=iterator)["Records"]]
        return json.loads(json.dumps(records, default=_as_json))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class HttpAnswer:
    """The api function's result for the gateway."""

    event: Json

    @property
    def status(self) -> int:
        status: int = self.event["statusCode"]
        return status

    @property
    def body(self) -> Json:
        body: Json = json.loads(self.event["body"])
        return body

    @property
    def error(self) -> Json:
        error: Json = self.body["error"]
        return error

    @property
    def headers(self) -> Json:
        headers: Json = self.event["headers"]
        return {name.lower(): value for name, value in headers.items()}


def _load(name: str) -> ModuleType:
    code = properties(f"{name}Function")["CodeUri"].replace("/", ".")
    module = importlib.import_module(f"{code}.app")
    # The cached service belongs to the resources of an earlier test.
    module.service.cache_clear()
    return module


def _record(message: Any, arn: str) -> Json:
    attributes = {
        name: {"stringValue": value.get("StringValue"), "dataType": value["DataType"]}
        for name, value in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": "us-east-1",
    }


def _as_json(value: Any) -> Any:
    """A Lambda event holds times as numbers and bytes as base64."""
    return value.timestamp() if isinstance(value, datetime) else base64.b64encode(value).decode()
