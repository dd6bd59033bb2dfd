"""AWS clients, created on first use and cached for the life of the process."""

from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

# A fixed user agent: boto3 otherwise rebuilds it for each request, a sixth of its CPU time.
_USER_AGENT = "Afterthought"

# A stalled AWS service must not block a call until the function is killed: attempts × (connect + read), plus backoff,
# is below the shortest function timeout, the api's 29 s.
CONFIG = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}, user_agent=_USER_AGENT
)
# Shorter, because the sweeper replaces a message that was not sent. The api sends it after the job is stored: a timeout
# there would return a 5xx, and the caller would submit and pay for the job again.
QUEUE_CONFIG = Config(
    connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}, user_agent=_USER_AGENT
)


@cache
def dynamodb() -> "DynamoDBClient":
    return boto3.client("dynamodb", config=CONFIG)


@cache
def s3() -> "S3Client":
    return boto3.client("s3", config=CONFIG)


@cache
def sqs() -> "SQSClient":
    return boto3.client("sqs", config=QUEUE_CONFIG)


@cache
def sns() -> "SNSClient":
    return boto3.client("sns", config=CONFIG)


@cache
def kms() -> "KMSClient":
    return boto3.client("kms", config=CONFIG)


@cache
def secretsmanager() -> "SecretsManagerClient":
    return boto3.client("secretsmanager", config=CONFIG)
