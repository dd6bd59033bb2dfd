"""The queues on SQS."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterthought.domain.errors import QueueUnavailable
from afterthought.domain.jobs.job import Job
from afterthought.domain.models.provider import Mode

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageRequestTypeDef


class SqsJobQueue:
    """The port `JobQueue`: one queue for each mode. The message group is the tenant, so a standard queue is fair."""

    def __init__(self, client: "SQSClient", queue_urls: Mapping[Mode, str]) -> None:
        self._client = client
        self._queue_urls = queue_urls

    def send(self, job: Job, *, delay_seconds: int = 0) -> None:
        message: SendMessageRequestTypeDef = {
            "QueueUrl": self._queue_urls[job.mode],
            "MessageBody": json.dumps({"job_id": job.id}),
            "MessageGroupId": job.tenant,
            "DelaySeconds": delay_seconds,
        }
        _send(self._client, message)


class SqsEventQueue:
    """The port `EventQueue`. Messages have no group: the tenant is unknown until the worker retrieves the response."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, provider: str, response_id: str) -> None:
        body = json.dumps({"provider": provider, "response_id": response_id})
        _send(self._client, {"QueueUrl": self._queue_url, "MessageBody": body})


class MessageQueue:
    """A queue whose messages an event source mapping receives. Raises botocore's ClientError."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def hide(self, receipt_handle: str, seconds: int) -> None:
        """Hides the message for `seconds`, at most 43,200 s from when it was received."""
        self._client.change_message_visibility(
            QueueUrl=self._queue_url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
        )


def _send(client: "SQSClient", message: "SendMessageRequestTypeDef") -> None:
    try:
        client.send_message(**message)
    except (ClientError, BotoCoreError) as error:
        raise QueueUnavailable(str(error)) from error
