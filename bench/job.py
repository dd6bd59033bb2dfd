"""One job, from its request to its webhook, through the real functions on an AWS in memory and a stand-in model."""

import contextlib
import importlib
import io
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest.mock import patch

import boto3
from moto import mock_aws

from afterthought.adapters import clock
from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.kms import KmsCipher
from afterthought.services.tenants import Tenants
from bench.child import Context, check
from bench.events import queue_event, request_event, stream_event
from bench.loopback import Loopback
from bench.meter import Meter, Tally
from bench.units import item_bytes
from local.stack import read_template
from local.standin import StandIn

Json = dict[str, Any]

_FUNCTIONS = ("api", "worker", "notifier", "webhooks")
_LARGE_BYTES = 40_000


@dataclass(frozen=True)
class Jobs:
    """What jobs ask of AWS, in a process that has served others before.

    `small` is looked at once; `look` is one look more; `large` is a small one whose question is so many bytes that it
    goes to S3; `read` is one GET of a finished job; `first` is what a process asks once and keeps.
    """

    small: Tally
    look: Tally
    large: Tally
    read: Tally
    first: Tally
    item_bytes: Mapping[str, int]
    """What a finished small job leaves in the table, by the kind of item."""
    large_item_bytes: Mapping[str, int]
    object_bytes: int
    """What a large one leaves in the bucket."""
    metrics: frozenset[tuple[str, ...]]
    """Name and dimensions of each metric that jobs of one model, all completed, have written."""


def count() -> Jobs:
    """Drives five jobs; takes some seconds, which the jobs' own delays are."""
    with contextlib.ExitStack() as stack:
        aws = stack.enter_context(Loopback(""))
        standin = stack.enter_context(StandIn(speed=1000))
        stack.enter_context(patch.dict(os.environ, _ENVIRONMENT | {"WEBHOOK_ALLOWED_ORIGINS": aws.url}))
        stack.enter_context(mock_aws())
        # The functions' log lines are counted, and would only be in the way.
        logs = stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        driver = Driver(f"{aws.url}/hook", standin, logs)
        warming, _ = driver.run("What is 17 times 23?")
        small, job_id = driver.run("What is 17 times 23?")
        standin.script("slow_run", seconds=1.5)
        slow, _ = driver.run("What is 17 times 23?")
        large, large_id = driver.run(secrets.token_urlsafe(_LARGE_BYTES))
        return Jobs(
            small=small,
            look=slow.plus(small, -1),
            large=large,
            read=driver.read(job_id),
            first=warming.plus(small, -1),
            item_bytes=driver.left(job_id),
            large_item_bytes=driver.left(large_id),
            object_bytes=driver.left_in_bucket(large_id),
            metrics=metrics_in(logs.getvalue()),
        )


def metrics_in(logs: str) -> frozenset[tuple[str, ...]]:
    """Of the lines in CloudWatch's embedded metric format: each name and set of dimensions is paid for."""
    found = set()
    for line in logs.splitlines():
        held = json.loads(line)
        for told in held.get("_aws", {}).get("CloudWatchMetrics", ()):
            for names in told["Dimensions"]:
                dimensions = tuple(f"{name}={held[name]}" for name in sorted(names))
                found |= {(metric["Name"], *dimensions) for metric in told["Metrics"]}
    return frozenset(found)


class Driver:
    """Hands each function its events, as Lambda would."""

    def __init__(self, webhook_url: str, standin: StandIn, logs: io.StringIO) -> None:
        self._webhook_url = webhook_url
        self._logs = logs
        plain = boto3.Session()
        self._dynamodb = plain.client("dynamodb")
        self._sqs = plain.client("sqs")
        self._s3 = plain.client("s3")
        self._queues: dict[str, str] = {}
        self._key = self._deploy(plain, standin)
        # The functions' clients come from the default session: this one, which the meter hears.
        boto3.setup_default_session()
        heard = boto3._get_default_session().events  # noqa: SLF001 - boto3 has no public name for it
        self._meter = Meter(heard, self._dynamodb)
        self._modules = {name: _load(name) for name in _FUNCTIONS}

    def run(self, question: str) -> tuple[Tally, str]:
        """One job to its end, and its id."""
        tally = self._meter.start()
        logged = self._logs.tell()
        # An effort of which the first look comes at once.
        asked = {
            "model": "gpt-5",
            "input": question,
            "reasoning": {"effort": "minimal"},
            "afterthought": {"webhook_url": self._webhook_url},
        }
        answer = self._invoke("api", request_event("POST", "/v1/responses", self._key, asked))
        job_id = str(json.loads(answer["body"])["id"])
        while self._status(job_id) in ("queued", "in_progress"):
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

    def left(self, job_id: str) -> dict[str, int]:
        """The sizes of what stands in the table."""
        found = self._dynamodb.query(
            TableName="JobTable",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"JOB#{job_id}"}},
        )
        return {item["sk"]["S"].partition("#")[0]: item_bytes(item) for item in found["Items"]}

    def left_in_bucket(self, job_id: str) -> int:
        """Bytes."""
        found = self._s3.list_objects_v2(Bucket="payloads", Prefix=f"{job_id}/")
        return sum(each["Size"] for each in found["Contents"])

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

    def _status(self, job_id: str) -> str:
        key = {"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "STATE"}}
        return self._dynamodb.get_item(TableName="JobTable", Key=key, ConsistentRead=True)["Item"]["status"]["S"]

    def _deploy(self, plain: boto3.Session, standin: StandIn) -> str:
        """The template's tables, queues, topic, bucket, key and secret, and a tenant; gives the tenant's API key."""
        resources = read_template()["Resources"]
        for table in ("JobTable", "AccountTable"):
            told = resources[table]["Properties"]
            known = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
            self._dynamodb.create_table(TableName=table, **{name: told[name] for name in known if name in told})
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
        tenants = Tenants(AccountTable(self._dynamodb, "AccountTable"), cipher, clock.now, secrets.token_bytes)
        made = tenants.create("bench")
        if made.api_key is None:
            raise RuntimeError("a new tenant has a key")
        return made.api_key


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
    "JOB_TABLE": "JobTable",
    "ACCOUNT_TABLE": "AccountTable",
    "PAYLOAD_BUCKET": "payloads",
    "PROVIDERS": "standin",
}
