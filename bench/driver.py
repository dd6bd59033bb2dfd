"""The real functions on an AWS in memory and a stand-in model, driven as Lambda would, by a clock that can be set."""

import contextlib
import importlib
import io
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from unittest.mock import patch

import boto3
from moto import mock_aws
from moto.dynamodb.models.dynamo_type import DDBType, DynamoType

from afterthought.adapters import clock
from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.kms import KmsCipher
from afterthought.domain.pricing import exact_sum
from afterthought.domain.record import TERMINAL
from afterthought.services.tenants import Tenants
from bench.child import Context, check
from bench.events import queue_event, request_event, stream_event
from bench.loopback import Loopback
from bench.meter import Meter, Tally
from bench.units import item_bytes
from local.stack import read_template
from local.standin import StandIn

Json = dict[str, Any]

JOB_TABLE = "JobTable"
ACCOUNT_TABLE = "AccountTable"

_FUNCTIONS = ("api", "worker", "notifier", "webhooks")
_MOST_LOOKS = 50


class Calendar:
    """The functions' clock: it runs as the real one does, from where it was set."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)
        self._real = clock.now

    def now(self) -> datetime:
        return self._real() + self._ahead

    def set(self, at: datetime) -> None:
        self._ahead = at - self._real()

    def forward(self, by: timedelta) -> None:
        self._ahead += by


class Driver:
    """Hands each function its events. `logs` takes the functions' lines."""

    def __init__(self, standin: StandIn, hook_url: str, logs: io.StringIO, calendar: Calendar) -> None:
        self.calendar = calendar
        self._hook_url = hook_url
        self._logs = logs
        plain = boto3.Session()
        self.dynamodb = plain.client("dynamodb")
        self._sqs = plain.client("sqs")
        self._s3 = plain.client("s3")
        self._queues: dict[str, str] = {}
        self.accounts = AccountTable(self.dynamodb, ACCOUNT_TABLE)
        self._tenants = self._deploy(plain, standin)
        self._key = self.tenant("bench")
        # The functions' clients come from the default session: this one, which the meter hears.
        boto3.setup_default_session()
        heard = boto3._get_default_session().events  # noqa: SLF001 - boto3 has no public name for it
        self._meter = Meter(heard, self.dynamodb)
        self._modules = {name: _load(name) for name in _FUNCTIONS}

    def tenant(self, name: str) -> str:
        """A new one's API key."""
        made = self._tenants.create(name)
        if made.api_key is None:
            raise RuntimeError("a new tenant has a key")
        return made.api_key

    def run(self, question: str) -> tuple[Tally, str]:
        """One job that takes more than a minute, from its request to its webhook, and its id."""
        tally = self._meter.start()
        logged = self._logs.tell()
        answer = self._invoke("api", request_event("POST", "/v1/responses", self._key, self._asked(question)))
        job_id = str(json.loads(answer["body"])["id"])
        self.calendar.forward(timedelta(minutes=1))
        while not self._ended(job_id):
            self._consume("worker", "JobQueue")
        self._invoke("notifier", stream_event(job_id))
        self._consume("webhooks", "WebhookQueue")
        tally.log_bytes = self._logs.tell() - logged
        return tally, job_id

    def read(self, job_id: str) -> Tally:
        """The GET of a job."""
        tally = self._meter.start()
        logged = self._logs.tell()
        self._invoke("api", request_event("GET", f"/v1/responses/{job_id}", self._key))
        tally.log_bytes = self._logs.tell() - logged
        return tally

    def admit(self, api_key: str, *, idempotency_key: str | None = None, **changes: Any) -> tuple[Tally, str]:
        """What the POST of a job asks for, and the job's id."""
        tally = self._meter.start()
        event = request_event("POST", "/v1/responses", api_key, self._asked("What is 17 times 23?") | changes)
        if idempotency_key is not None:
            event["headers"]["idempotency-key"] = idempotency_key
        answer = self._invoke("api", event)
        return tally, str(json.loads(answer["body"])["id"])

    def settle(self, job_id: str, *, thinking: timedelta) -> Tally:
        """What the last look at a job asks for, which sees its end. The messages are not waited for."""
        event = queue_event(json.dumps({"job_id": job_id}))
        self._meter.start()
        self._invoke("worker", event)
        for _ in range(_MOST_LOOKS):
            self.calendar.forward(thinking)
            tally = self._meter.start()
            self._meter.by_lambda("worker", "sqs", "ReceiveMessage")
            self._invoke("worker", event)
            self._meter.by_lambda("worker", "sqs", "DeleteMessage")
            if self._ended(job_id):
                return tally
        raise RuntimeError("the job does not end")

    def left(self, job_id: str) -> dict[str, int]:
        """The sizes of what stands in the table."""
        items = self._items(JOB_TABLE, f"JOB#{job_id}")
        return {item["sk"]["S"].partition("#")[0]: item_bytes(item) for item in items}

    def book_bytes(self, tenant: str) -> dict[str, list[int]]:
        """The sizes of a tenant's budget items and usage rows."""
        return {
            kind: [item_bytes(item) for item in self._items(ACCOUNT_TABLE, f"{kind}#{tenant}")]
            for kind in ("BUDGET", "USAGE")
        }

    def left_in_bucket(self, job_id: str) -> int:
        """Bytes."""
        found = self._s3.list_objects_v2(Bucket="payloads", Prefix=f"{job_id}/")
        return sum(each["Size"] for each in found["Contents"])

    def _asked(self, question: str) -> Json:
        # An effort of which the first look comes at once.
        return {
            "model": "gpt-5",
            "input": question,
            "reasoning": {"effort": "minimal"},
            "afterthought": {"webhook_url": self._hook_url},
        }

    def _invoke(self, name: str, event: Json) -> Any:
        with self._meter.running(name):
            answer = self._modules[name].handler(event, Context())
        check(answer)
        return answer

    def _consume(self, name: str, queue: str) -> None:
        """One message of a queue. A delayed one is waited for, as SQS would."""
        url = self._queues[queue]
        found = self._sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)
        if not found.get("Messages"):
            raise RuntimeError(f"no message came to the {queue}")
        message = found["Messages"][0]
        self._meter.by_lambda(name, "sqs", "ReceiveMessage")
        self._invoke(name, queue_event(message["Body"]))
        self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        self._meter.by_lambda(name, "sqs", "DeleteMessage")

    def _ended(self, job_id: str) -> bool:
        key = {"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "STATE"}}
        found = self.dynamodb.get_item(TableName=JOB_TABLE, Key=key, ConsistentRead=True)
        return found["Item"]["status"]["S"] in TERMINAL

    def _items(self, table: str, key: str) -> list[Mapping[str, Any]]:
        found = self.dynamodb.query(
            TableName=table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": key}}
        )
        return list(found["Items"])

    def _deploy(self, plain: boto3.Session, standin: StandIn) -> Tenants:
        """The template's tables, queues, topic, bucket, key and secret."""
        resources = read_template()["Resources"]
        for table in (JOB_TABLE, ACCOUNT_TABLE):
            told = resources[table]["Properties"]
            known = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
            self.dynamodb.create_table(TableName=table, **{name: told[name] for name in known if name in told})
        for queue in ("JobQueue", "WebhookQueue"):
            self._queues[queue] = self._sqs.create_queue(QueueName=queue)["QueueUrl"]
        sns, kms = plain.client("sns"), plain.client("kms")
        topic = sns.create_topic(Name="CompletionTopic")["TopicArn"]
        subscription = resources["WebhookSubscription"]["Properties"]
        sns.subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint="arn:aws:sqs:us-east-1:123456789012:WebhookQueue",
            Attributes={"RawMessageDelivery": "true", "FilterPolicy": json.dumps(subscription["FilterPolicy"])},
        )
        self._s3.create_bucket(Bucket="payloads")
        connection = {"standin": {"api_key": "sk-bench", "base_url": standin.base_url}}
        secret = plain.client("secretsmanager").create_secret(Name="provider", SecretString=json.dumps(connection))
        os.environ |= {
            "JOB_QUEUE_URL": self._queues["JobQueue"],
            "WEBHOOK_QUEUE_URL": self._queues["WebhookQueue"],
            "COMPLETION_TOPIC_ARN": topic,
            "PROVIDER_SECRET_ARN": secret["ARN"],
        }
        cipher = KmsCipher(kms, kms.create_key()["KeyMetadata"]["KeyId"])
        return Tenants(self.accounts, cipher, self.calendar.now, secrets.token_bytes)


@contextlib.contextmanager
def driving(start: datetime) -> Iterator[tuple[Driver, StandIn, io.StringIO]]:
    """A new stack whose clock stands at `start`, with its model and what the functions log. Once in a process: the
    functions keep their clients."""
    with contextlib.ExitStack() as stack:
        aws = stack.enter_context(Loopback(""))
        standin = stack.enter_context(StandIn(speed=1000))
        stack.enter_context(patch.dict(os.environ, _ENVIRONMENT | {"WEBHOOK_ALLOWED_ORIGINS": aws.url}))
        stack.enter_context(mock_aws())
        stack.enter_context(patch.object(DynamoType, "__add__", _added))
        calendar = Calendar()
        calendar.set(start)
        stack.enter_context(patch.object(clock, "now", calendar.now))
        # The functions' log lines are counted, and would only be in the way.
        logs = stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        yield Driver(standin, f"{aws.url}/hook", logs, calendar), standin, logs


def at(day: int) -> datetime:
    """The beginning of a minute on a day of the month that the bench plays in: of 31 days, and always the same one, so
    that the prices and models are."""
    return datetime(2026, 12, day, 12, tzinfo=UTC)


def _added(one: DynamoType, other: DynamoType) -> DynamoType:
    """moto's own sum of two numbers that make none is "0E-8", which it cannot read again."""
    return DynamoType({DDBType.NUMBER: f"{exact_sum(one.cast_value, other.cast_value):f}"})


def _load(name: str) -> ModuleType:
    return importlib.import_module(f"functions.{name}.app")


_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "us-east-1",
    # moto answers the classic endpoints only.
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
    "POWERTOOLS_SERVICE_NAME": "bench",
    "POWERTOOLS_METRICS_NAMESPACE": "Afterthought",
    "JOB_TABLE": JOB_TABLE,
    "ACCOUNT_TABLE": ACCOUNT_TABLE,
    "PAYLOAD_BUCKET": "payloads",
    "PROVIDERS": "standin",
}
