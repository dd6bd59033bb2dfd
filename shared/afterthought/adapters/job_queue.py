"""The job queue."""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterthought.domain.errors import QueueUnavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsJobQueue:
    """The port `JobQueue` on SQS. The message group is the tenant: a standard queue with groups is a fair queue."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, job_id: str, *, tenant: str, delay_seconds: int = 0) -> None:
        try:
            self._client.send_message(
                QueueUrl=self._queue_url,
                MessageBody=json.dumps({"job_id": job_id}),
                MessageGroupId=tenant,
                DelaySeconds=delay_seconds,
            )
        except (ClientError, BotoCoreError) as error:
            raise QueueUnavailable(str(error)) from error
