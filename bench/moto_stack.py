"""The resources of template.yaml in moto: the bench and the tests run the functions on them.

moto's own CloudFormation skips resource types without an error, so each type is created here.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.kms import KmsCipher
from afterthought.services.admin.tenants import TenantAdmin
from bench import moto_numbers
from bench.template import properties, template

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

REGION = "us-east-1"
FUNCTIONS = ("Api", "Worker", "Direct", "ProviderEvents", "Notifier", "Webhooks", "Sweeper")
BUCKET = "payloads"

_ACCOUNT = "123456789012"
_TABLE_PROPERTIES = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
# moto takes these as attributes of a queue.
_QUEUE_PROPERTIES = ("VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy")
_SUBSCRIPTION_PROPERTIES = ("RawMessageDelivery", "FilterPolicy", "RedrivePolicy")

moto_numbers.patch_arithmetic()


@dataclass(frozen=True)
class Clients:
    dynamodb: "DynamoDBClient"
    streams: "DynamoDBStreamsClient"
    s3: "S3Client"
    sqs: "SQSClient"
    sns: "SNSClient"
    kms: "KMSClient"
    secretsmanager: "SecretsManagerClient"


@cache
def clients() -> Clients:
    """Clients of a separate session: the bench counts the requests of the default session. They are created once,
    because that takes longer than most tests."""
    session = boto3.Session(region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing")  # noqa: S106
    # moto does not answer at endpoints that contain the account's id.
    config = Config(account_id_endpoint_mode="disabled")
    return Clients(
        dynamodb=session.client("dynamodb", config=config),
        streams=session.client("dynamodbstreams", config=config),
        s3=session.client("s3"),
        sqs=session.client("sqs"),
        sns=session.client("sns"),
        kms=session.client("kms"),
        secretsmanager=session.client("secretsmanager"),
    )


class MotoStack:
    """A new, empty stack. Create it inside `mock_aws`. A resource is created when something first refers to it:
    moto needs more time for a KMS key than for all other resources."""

    def __init__(self, parameters: Mapping[str, str] | None = None) -> None:
        self.clients = clients()
        self.parameters = {
            name: str(parameter.get("Default", "")) for name, parameter in template()["Parameters"].items()
        } | dict(parameters or {})
        self.arns: dict[str, str] = {}
        self.refs = _Refs(self._create)

    def resolve(self, value: Any) -> Any:
        """Evaluates the CloudFormation functions that the created resources and the environments use."""
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        match list(value.items()):
            case [("Ref", name)]:
                return self.parameters[name] if name in self.parameters else self.refs[name]
            case [("Fn::GetAtt", [name, "Arn" | "Id"])]:
                self.refs[name]
                return self.arns[name]
            case [("Fn::If", ["CreatesProviderSecret", created, _])]:
                return self.resolve(created)
        return {key: self.resolve(item) for key, item in value.items()}

    def environment(self, function: str) -> dict[str, str]:
        """The variables of a function, by its name in `FUNCTIONS`."""
        common = template()["Globals"]["Function"]["Environment"]["Variables"]
        own = properties(f"{function}Function")["Environment"]["Variables"]
        variables: dict[str, str] = self.resolve({**common, **own})
        return variables

    @property
    def accounts(self) -> AccountTable:
        return AccountTable(self.clients.dynamodb, self.refs["AccountTable"])

    def tenants(self, now: Callable[[], datetime]) -> TenantAdmin:
        cipher = KmsCipher(self.clients.kms, self.refs["SecretsKey"])
        return TenantAdmin(self.accounts, cipher, now, secrets.token_bytes)

    def put_provider_secret(self, **connections: Mapping[str, Any]) -> None:
        """Connections by provider."""
        text = json.dumps(connections)
        self.clients.secretsmanager.put_secret_value(SecretId=self.refs["ProviderSecret"], SecretString=text)

    def _create(self, name: str) -> str:
        match template()["Resources"][name]["Type"]:
            case "AWS::DynamoDB::Table":
                return self._create_table(name)
            case "AWS::SQS::Queue":
                return self._create_queue(name)
            case "AWS::SNS::Topic":
                return self._create_topic(name)
            case "AWS::S3::Bucket":
                self.clients.s3.create_bucket(Bucket=BUCKET)
                return BUCKET
            case "AWS::KMS::Key":
                return self.clients.kms.create_key()["KeyMetadata"]["KeyId"]
            case "AWS::SecretsManager::Secret":
                secret = self.clients.secretsmanager.create_secret(Name=name, SecretString="{}")
                self.arns[name] = secret["ARN"]
                return secret["ARN"]
        raise ValueError(f"{name} has a type that is not created in moto")

    def _create_table(self, name: str) -> str:
        table = properties(name)
        request: dict[str, Any] = {key: table[key] for key in _TABLE_PROPERTIES if key in table}
        if (stream := table.get("StreamSpecification")) is not None:
            request["StreamSpecification"] = {"StreamEnabled": True, **stream}
        self.clients.dynamodb.create_table(TableName=name, **request)
        self.clients.dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification=table["TimeToLiveSpecification"]
        )
        return name

    def _create_queue(self, name: str) -> str:
        queue = self.resolve({key: value for key, value in properties(name).items() if key in _QUEUE_PROPERTIES})
        attributes: Any = {key: json.dumps(value) for key, value in queue.items()}
        self.arns[name] = f"arn:aws:sqs:{REGION}:{_ACCOUNT}:{name}"
        return self.clients.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def _create_topic(self, name: str) -> str:
        """With its subscription, whose properties refer to the topic."""
        self.refs[name] = topic_arn = self.clients.sns.create_topic(Name=name)["TopicArn"]
        subscription = self.resolve(dict(properties("WebhookSubscription")))
        self.clients.sns.subscribe(
            TopicArn=topic_arn,
            Protocol=subscription["Protocol"],
            Endpoint=subscription["Endpoint"],
            Attributes={key: json.dumps(subscription[key]) for key in _SUBSCRIPTION_PROPERTIES},
        )
        return topic_arn


class _Refs(dict[str, str]):
    """What `Ref` returns, by logical id."""

    def __init__(self, create: Callable[[str], str]) -> None:
        super().__init__()
        self._create = create

    def __missing__(self, name: str) -> str:
        self[name] = value = self._create(name)
        return value
