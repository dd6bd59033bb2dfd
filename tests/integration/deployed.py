"""The functions as Lambda calls them: each with the template's variables, on the template's resources."""

import base64
import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest

from afterthought.adapters import aws, clock, telemetry
from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.kms import KmsCipher
from afterthought.services.admin.tenants import Credentials, TenantAdmin
from tests.simulator import stack

Json = dict[str, Any]

EVENTS = Path(__file__).parents[2] / "events"
FUNCTIONS = ("Api", "Worker", "Direct", "ProviderEvents", "Notifier", "Webhooks", "Sweeper")
QUEUES = (
    "JobDeadLetterQueue",
    "DirectDeadLetterQueue",
    "WebhookDeadLetterQueue",
    "StreamDeadLetterQueue",
    "JobQueue",
    "DirectQueue",
    "WebhookQueue",
)
PROVIDER_KEY = "sk-provider-canary-7d1f"


def sample(name: str) -> Json:
    """One of the sample events, fresh."""
    event: Json = json.loads((EVENTS / f"{name}.json").read_text())
    return event


class Context:
    """Lambda's context, as far as the functions look at it."""

    function_name = "function"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id = "3f0c5d4e-0d1c-4f5e-9f6e-1a2b3c4d5e6f"

    def __init__(self, remaining_milliseconds: int = 100_000) -> None:
        self._remaining_milliseconds = remaining_milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._remaining_milliseconds


@dataclass
class Clock:
    """The service's time, which a test may hurry on."""

    ahead: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        moment = datetime.now(UTC) + self.ahead
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def pass_seconds(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


class Deployed:
    """The template's resources in moto, and its functions over them. `parameters` are those of the deployment."""

    def __init__(self, patch: pytest.MonkeyPatch, parameters: Mapping[str, str]) -> None:
        self.clock = Clock()
        self._patch = patch
        self._parameters = {
            name: parameters.get(name, str(told.get("Default", "")))
            for name, told in stack._template()["Parameters"].items()
        }
        patch.setattr(clock, "now", self.clock.now)
        self.refs: dict[str, str] = {}
        self.arns: dict[str, str] = {}
        self._make_tables()
        self._make_queues()
        self._make_topic()
        self._make_rest()
        self._modules = {name: self._load(name) for name in FUNCTIONS}
        self._environments = {name: self._environment(name) for name in FUNCTIONS}

    # ---- what the template describes ----

    def _make_tables(self) -> None:
        for name in ("JobTable", "AccountTable"):
            properties = dict(stack.properties(name))
            for apart in ("TimeToLiveSpecification", "PointInTimeRecoverySpecification", "SSESpecification"):
                properties.pop(apart, None)
            if "StreamSpecification" in properties:
                properties["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
            aws.dynamodb().create_table(TableName=name, **properties)
            self.refs[name] = name

    def _make_queues(self) -> None:
        for name in QUEUES:
            properties = self.resolve(stack.properties(name))
            properties.pop("SqsManagedSseEnabled", None)
            attributes = {key: json.dumps(value) for key, value in properties.items()}
            self.refs[name] = aws.sqs().create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
            told = aws.sqs().get_queue_attributes(QueueUrl=self.refs[name], AttributeNames=["QueueArn"])
            self.arns[name] = told["Attributes"]["QueueArn"]

    def _make_topic(self) -> None:
        self.refs["CompletionTopic"] = aws.sns().create_topic(Name="CompletionTopic")["TopicArn"]
        properties = self.resolve(stack.properties("WebhookSubscription"))
        attributes = {
            name: json.dumps(properties[name]) for name in ("RawMessageDelivery", "FilterPolicy", "RedrivePolicy")
        }
        aws.sns().subscribe(
            TopicArn=properties["TopicArn"],
            Protocol=properties["Protocol"],
            Endpoint=properties["Endpoint"],
            Attributes=attributes,
        )

    def _make_rest(self) -> None:
        aws.s3().create_bucket(Bucket="payloads")
        self.refs["PayloadBucket"] = "payloads"
        self.refs["SecretsKey"] = aws.kms().create_key()["KeyMetadata"]["KeyId"]
        secret = aws.secretsmanager().create_secret(Name="ProviderSecret", SecretString="{}")["ARN"]
        self.refs["ProviderSecret"] = self.arns["ProviderSecret"] = secret

    def resolve(self, value: Any) -> Any:
        """CloudFormation's functions, as far as the template's properties that matter here use them."""
        if isinstance(value, list):
            return [self.resolve(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        match list(value.items()):
            case [("Ref", name)]:
                return self.refs[name] if name in self.refs else self._parameters[name]
            case [("GetAtt", path)]:
                name, attribute = path.split(".")
                assert attribute in ("Arn", "Id")
                return self.arns[name]
            case [("If", ["CreatesProviderSecret", made, _])]:
                return self.resolve(made)
        return {key: self.resolve(inner) for key, inner in value.items()}

    # ---- the functions ----

    def _load(self, name: str) -> ModuleType:
        code = stack.properties(f"{name}Function")["CodeUri"].replace("/", ".")
        module = importlib.import_module(f"{code}.app")
        # A service made for another test's tables must not be found here.
        module.service.cache_clear()
        return module

    def _environment(self, name: str) -> dict[str, str]:
        everywhere = stack._template()["Globals"]["Function"]["Environment"]["Variables"]
        own = stack.properties(f"{name}Function")["Environment"]["Variables"]
        variables: dict[str, str] = self.resolve({**everywhere, **own})
        return variables

    @contextmanager
    def running(self, name: str) -> Iterator[ModuleType]:
        """A function's module, with the template's variables and no others."""
        with pytest.MonkeyPatch.context() as patch:
            for other in self._environments.values():
                for variable in other:
                    patch.delenv(variable, raising=False)
            for variable, value in self._environments[name].items():
                patch.setenv(variable, value)
            telemetry.logger.cache_clear()
            for handler in telemetry.logger().handlers:
                # Not by setStream, which would flush the stream of an earlier test that is closed by now.
                handler.stream = sys.stdout  # type: ignore[attr-defined]
            yield self._modules[name]

    def invoke(self, name: str, event: Json, context: Context | None = None) -> Any:
        """What Lambda would hand back: it has been JSON in both directions."""
        with self.running(name) as module:
            answer = module.handler(json.loads(json.dumps(event)), context or Context())
        # The runtime encodes so; what it cannot encode is a 5xx.
        return json.loads(json.dumps(answer, ensure_ascii=False).encode())

    # ---- a caller ----

    def make_tenant(self, name: str, tier: str = "tier5", **fixed: str) -> Credentials:
        tenants = TenantAdmin(
            AccountTable(aws.dynamodb(), self.refs["AccountTable"]),
            KmsCipher(aws.kms(), self.refs["SecretsKey"]),
            self.clock.now,
            os.urandom,
        )
        # What is no test of the limits must not meet them.
        return tenants.create(name, tier=tier, **fixed)

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
        """One request through the api function, in the form of the sample event."""
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

    # ---- what happened ----

    def provide(self, **connections: Json) -> None:
        """Fill the providers' secret."""
        aws.secretsmanager().put_secret_value(
            SecretId=self.refs["ProviderSecret"], SecretString=json.dumps(connections)
        )

    def items(self, table: str = "JobTable") -> list[Json]:
        found: list[Json] = aws.dynamodb().scan(TableName=table)["Items"]
        return found

    def objects(self) -> list[str]:
        listed = aws.s3().list_objects_v2(Bucket="payloads")
        return [one["Key"] for one in listed.get("Contents", [])]

    def waiting(self, queue: str) -> int:
        names: list[Any] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
        told = aws.sqs().get_queue_attributes(QueueUrl=self.refs[queue], AttributeNames=names)["Attributes"]
        return sum(int(count) for count in told.values())

    def holds_nothing(self) -> bool:
        """No job, no content, no object, no message."""
        return not self.items() and not self.objects() and not self.waiting("JobQueue")

    def receive(self, queue: str) -> list[Json]:
        """The messages that are visible now, as Lambda puts them into its event. They stay in flight."""
        received = aws.sqs().receive_message(
            QueueUrl=self.refs[queue],
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        return [_record(message, self.arns[queue]) for message in received.get("Messages", [])]

    def stream_records(self) -> list[Json]:
        """All that the table's stream holds, as Lambda puts it into its event."""
        client = boto3.client("dynamodbstreams", region_name="us-east-1")
        arn = client.list_streams(TableName="JobTable")["Streams"][0]["StreamArn"]
        [shard] = client.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        iterator = client.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
            "ShardIterator"
        ]
        records = client.get_records(ShardIterator=iterator)["Records"]
        return json.loads(json.dumps([{**one, "eventSourceARN": arn} for one in records], default=_plain))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class HttpAnswer:
    """What the api function gave to the gateway."""

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
        single: Json = self.event["headers"]
        return {name.lower(): value for name, value in single.items()}


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


def _plain(value: Any) -> Any:
    """In a Lambda event a time is a number and bytes are base64."""
    return value.timestamp() if isinstance(value, datetime) else base64.b64encode(value).decode()
