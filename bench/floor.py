"""A minimal function, for comparison: boto3, Powertools, pydantic, one client, one read, one log line."""

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from pydantic import BaseModel

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Answer(BaseModel):
    exists: bool


@cache
def client() -> "DynamoDBClient":
    return boto3.client("dynamodb")


@cache
def logger() -> Logger:
    return Logger(utc=True)


def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    response = client().get_item(TableName=event["table"], Key={"pk": {"S": "none"}, "sk": {"S": "none"}})
    answer = Answer(exists="Item" in response)
    logger().info("read", extra=answer.model_dump())
    return answer.model_dump()
