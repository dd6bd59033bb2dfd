"""The template's tables, queues, topic, bucket and key, made by hand from the template's own words in moto."""

import json
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from tests.contract.backing import AwsBacking, Clients, Names
from tests.simulator import stack

REGION = "us-east-1"
CLASSIC_TABLE_PROPERTIES = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")


@cache
def _clients() -> Clients:
    """Made once: each takes longer than a whole test. moto answers them whenever a `mock_aws` is entered."""
    session = boto3.Session(region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing")
    # By the accounts' own endpoints botocore would send the stream's calls past moto.
    by_region = Config(account_id_endpoint_mode="disabled")
    return Clients(
        dynamodb=session.client("dynamodb", config=by_region),
        streams=session.client("dynamodbstreams", config=by_region),
        s3=session.client("s3"),
        sqs=session.client("sqs"),
        sns=session.client("sns"),
        kms=session.client("kms"),
    )


def deploy() -> AwsBacking:
    """A new stack, as empty as on its first day. Call it inside of `mock_aws`."""
    clients = _clients()
    clients.s3.create_bucket(Bucket="payloads")
    webhook_queue_url = _queue(clients, "WebhookQueue")
    names = Names(
        job_table=_table(clients, "JobTable"),
        account_table=_table(clients, "AccountTable"),
        bucket="payloads",
        job_queue_url=_queue(clients, "JobQueue"),
        direct_queue_url=_queue(clients, "DirectQueue"),
        webhook_queue_url=webhook_queue_url,
        topic_arn=_topic(clients, webhook_queue_url),
        key_id=lambda: clients.kms.create_key()["KeyMetadata"]["KeyId"],
    )
    return AwsBacking(clients, names)


def _table(clients: Clients, name: str) -> str:
    properties = stack.properties(name)
    asked: dict[str, Any] = {key: properties[key] for key in CLASSIC_TABLE_PROPERTIES if key in properties}
    if (stream := properties.get("StreamSpecification")) is not None:
        asked["StreamSpecification"] = {"StreamEnabled": True, **stream}
    clients.dynamodb.create_table(TableName=name, **asked)
    clients.dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"])
    return name


def _queue(clients: Clients, name: str) -> str:
    attributes: Any = {"VisibilityTimeout": str(stack.visibility_seconds(name))}
    return clients.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def _topic(clients: Clients, webhook_queue_url: str) -> str:
    topic_arn = clients.sns.create_topic(Name="completions")["TopicArn"]
    subscription = stack.properties("WebhookSubscription")
    queue_arn = clients.sqs.get_queue_attributes(QueueUrl=webhook_queue_url, AttributeNames=["QueueArn"])
    clients.sns.subscribe(
        TopicArn=topic_arn,
        Protocol=subscription["Protocol"],
        Endpoint=queue_arn["Attributes"]["QueueArn"],
        Attributes={
            "RawMessageDelivery": json.dumps(subscription["RawMessageDelivery"]),
            "FilterPolicy": json.dumps(subscription["FilterPolicy"]),
        },
    )
    return topic_arn
