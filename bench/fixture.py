"""What the functions run on in the bench: an AWS in memory, a model provider on loopback, a clock that can be set."""

import contextlib
import io
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import boto3
from moto import mock_aws
from moto.dynamodb.models.dynamo_type import DDBType, DynamoType

from afterthought.adapters import clock
from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.kms import KmsCipher
from afterthought.domain.pricing import exact_sum
from afterthought.services.tenants import Tenants
from bench.fake_provider import SIGNING_SECRET, Provider
from local.stack import read_template

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

JOB_TABLE = "JobTable"
ACCOUNT_TABLE = "AccountTable"
BACKGROUND, DIRECT = "openai", "vllm"
"""The providers, by the way in which they are called."""

_QUEUES = {"JobQueue": "JOB_QUEUE_URL", "DirectQueue": "DIRECT_QUEUE_URL", "WebhookQueue": "WEBHOOK_QUEUE_URL"}


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

    def next_hour(self) -> datetime:
        return self.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


@dataclass
class Stage:
    """`logs` takes the functions' lines. The clients are not heard by a meter."""

    calendar: Calendar
    provider: Provider
    logs: io.StringIO
    dynamodb: "DynamoDBClient" = field(default_factory=lambda: boto3.Session().client("dynamodb"))
    sqs: "SQSClient" = field(default_factory=lambda: boto3.Session().client("sqs"))
    s3: "S3Client" = field(default_factory=lambda: boto3.Session().client("s3"))
    queue_urls: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plain = boto3.Session()
        resources = read_template()["Resources"]
        for table in (JOB_TABLE, ACCOUNT_TABLE):
            told = resources[table]["Properties"]
            known = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
            self.dynamodb.create_table(TableName=table, **{name: told[name] for name in known if name in told})
        for queue, setting in _QUEUES.items():
            self.queue_urls[queue] = os.environ[setting] = self.sqs.create_queue(QueueName=queue)["QueueUrl"]
        sns, kms = plain.client("sns"), plain.client("kms")
        os.environ["COMPLETION_TOPIC_ARN"] = topic = sns.create_topic(Name="CompletionTopic")["TopicArn"]
        subscription = resources["WebhookSubscription"]["Properties"]
        sns.subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint="arn:aws:sqs:us-east-1:123456789012:WebhookQueue",
            Attributes={"RawMessageDelivery": "true", "FilterPolicy": json.dumps(subscription["FilterPolicy"])},
        )
        self.s3.create_bucket(Bucket="payloads")
        self._secrets = plain.client("secretsmanager")
        os.environ["PROVIDER_SECRET_ARN"] = self._secrets.create_secret(Name="provider", SecretString="{}")["ARN"]
        self.accounts = AccountTable(self.dynamodb, ACCOUNT_TABLE)
        cipher = KmsCipher(kms, kms.create_key()["KeyMetadata"]["KeyId"])
        self._tenants = Tenants(self.accounts, cipher, self.calendar.now, secrets.token_bytes)

    def tenant(self, name: str, **limits: Any) -> str:
        """A new one's API key."""
        made = self._tenants.create(name)
        if made.api_key is None:
            raise RuntimeError("a new tenant has a key")
        if limits:
            self.accounts.change_tenant(name, limits)
        return made.api_key

    def announce(self, *, events: bool) -> None:
        """Whether the provider's events are set up. Who has read the secret does not read it again for a while."""
        connection = {"api_key": "sk-bench", "base_url": self.provider.base_url}
        entry = {**connection, "webhook_secrets": [SIGNING_SECRET]} if events else connection
        text = json.dumps({BACKGROUND: entry, DIRECT: connection})
        self._secrets.put_secret_value(SecretId=os.environ["PROVIDER_SECRET_ARN"], SecretString=text)


@contextlib.contextmanager
def staged(start: datetime) -> Iterator[Stage]:
    """A new stack whose clock stands at `start`. Once in a process: the functions keep their clients."""
    with contextlib.ExitStack() as stack:
        calendar = Calendar()
        provider = stack.enter_context(Provider(calendar.now, calendar.forward))
        stack.enter_context(patch.dict(os.environ, _ENVIRONMENT | {"WEBHOOK_ALLOWED_ORIGINS": provider.origin}))
        stack.enter_context(mock_aws())
        stack.enter_context(patch.object(DynamoType, "__add__", _added))
        calendar.set(start)
        stack.enter_context(patch.object(clock, "now", calendar.now))
        # The functions' log lines are counted, and would only be in the way.
        logs = stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        yield Stage(calendar, provider, logs)


def at(day: int) -> datetime:
    """The beginning of a minute on a day of the month that the bench plays in: of 31 days, and always the same one, so
    that the prices and models are."""
    return datetime(2026, 12, day, 12, tzinfo=UTC)


def _added(one: DynamoType, other: DynamoType) -> DynamoType:
    """moto's own sum of two numbers that make none is "0E-8", which it cannot read again."""
    return DynamoType({DDBType.NUMBER: f"{exact_sum(one.cast_value, other.cast_value):f}"})


_ENVIRONMENT = {
    # Lambda sets it, traced or not.
    "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "us-east-1",
    # moto answers the classic endpoints only.
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
    "POWERTOOLS_SERVICE_NAME": "webhooks",
    "POWERTOOLS_METRICS_NAMESPACE": "Afterthought",
    "JOB_TABLE": JOB_TABLE,
    "ACCOUNT_TABLE": ACCOUNT_TABLE,
    "PAYLOAD_BUCKET": "payloads",
    "PROVIDERS": f"{BACKGROUND},{DIRECT}",
}
