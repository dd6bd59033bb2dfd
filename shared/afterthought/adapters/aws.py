"""Clients of AWS, made when they are first asked for and kept for the life of the process."""

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

# boto's own is put together anew for each request, which is a sixth of all that it works.
_NAME = "Afterthought"

# A stalled service must not hold a call until the function is killed: attempts × (connect + read) and the pauses
# between them stay below the shortest function timeout, the api's 29 s.
CONFIG = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}, user_agent=_NAME
)
# Nothing may hang on a message: what could not be sent in time is found by the sweeper. And the api sends it when the
# job is already stored; killed there, it would answer 5xx, and the caller would pay for the job again.
QUEUE_CONFIG = Config(
    connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}, user_agent=_NAME
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
