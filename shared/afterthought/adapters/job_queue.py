"""The job queue."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterthought.domain.errors import QueueUnavailable
from afterthought.domain.job import Job
from afterthought.domain.models.provider import Mode

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsJobQueue:
    """The port `JobQueue` on SQS: a queue for each mode. The message group is the tenant: a standard queue with groups
    is a fair queue."""

    def __init__(self, client: "SQSClient", queue_urls: Mapping[Mode, str]) -> None:
        self._client = client
        self._queue_urls = queue_urls

    def send(self, job: Job, *, delay_seconds: int = 0) -> None:
        try:
            self._client.send_message(
                QueueUrl=self._queue_urls[job.mode],
                MessageBody=json.dumps({"job_id": job.id}),
                MessageGroupId=job.tenant,
                DelaySeconds=delay_seconds,
            )
        except (ClientError, BotoCoreError) as error:
            raise QueueUnavailable(str(error)) from error
