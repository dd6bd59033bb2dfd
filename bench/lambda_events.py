"""The Lambda events that the bench sends to the functions."""

import json
from collections.abc import Mapping
from typing import Any

REQUEST_ID = "JKJaXmPLvHcESHA="
"""As long as API Gateway's."""


def request_event(method: str, path: str, api_key: str, body: Any = None) -> dict[str, Any]:
    """A request in the HTTP API's payload format 2.0."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"authorization": f"Bearer {api_key}", "content-type": "application/json"},
        "requestContext": {"requestId": REQUEST_ID, "stage": "$default", "http": {"method": method, "path": path}},
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }


def provider_event(provider: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """A model provider's webhook in the HTTP API's payload format 2.0."""
    path = f"/v1/provider_events/{provider}"
    return {
        "version": "2.0",
        "routeKey": "POST /v1/provider_events/{provider}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", **headers},
        "requestContext": {"requestId": REQUEST_ID, "stage": "$default", "http": {"method": "POST", "path": path}},
        "pathParameters": {"provider": provider},
        "body": body.decode(),
        "isBase64Encoded": False,
    }


def queue_event(*bodies: str) -> dict[str, Any]:
    """A batch of SQS messages."""
    return {
        "Records": [
            {
                "messageId": str(number),
                "receiptHandle": str(number),
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
            }
            for number, body in enumerate(bodies, start=1)
        ]
    }


def stream_event(job_id: str) -> dict[str, Any]:
    """The table's stream record of a job's last change, with the fields that the notifier reads."""
    keys = {"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "STATE"}}
    record = {"Keys": keys, "SequenceNumber": "1", "StreamViewType": "NEW_AND_OLD_IMAGES"}
    return {"Records": [{"eventID": "1", "eventName": "MODIFY", "eventSource": "aws:dynamodb", "dynamodb": record}]}
