"""The job queue, for provider events."""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterthought.domain.errors import QueueUnavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsEventQueue:
    """The port `EventQueue` on SQS. Messages have no group: the tenant is unknown until the worker retrieves the
    response."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, provider: str, response_id: str) -> None:
        try:
            self._client.send_message(
                QueueUrl=self._queue_url, MessageBody=json.dumps({"provider": provider, "response_id": response_id})
            )
        except (ClientError, BotoCoreError) as error:
            raise QueueUnavailable(str(error)) from error
