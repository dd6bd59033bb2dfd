"""The events that the functions are given."""

import json
from collections.abc import Mapping
from typing import Any

REQUEST_ID = "JKJaXmPLvHcESHA="
"""As long as API Gateway's are."""


def request_event(method: str, path: str, api_key: str, body: Any = None) -> dict[str, Any]:
    """A request as the HTTP API hands it on (payload format 2.0)."""
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
    """What a model provider says, as the HTTP API hands it on."""
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


def queue_event(body: str) -> dict[str, Any]:
    """One message of a queue."""
    return {
        "Records": [
            {
                "messageId": "1",
                "receiptHandle": "1",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
            }
        ]
    }


def stream_event(job_id: str) -> dict[str, Any]:
    """The table's record of a job's last step, as far as the notifier reads it."""
    keys = {"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "STATE"}}
    record = {"Keys": keys, "SequenceNumber": "1", "StreamViewType": "NEW_AND_OLD_IMAGES"}
    return {"Records": [{"eventID": "1", "eventName": "MODIFY", "eventSource": "aws:dynamodb", "dynamodb": record}]}
