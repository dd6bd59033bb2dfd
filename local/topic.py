"""Receives the completion events of the SNS topic through a queue."""

import json
import time
from dataclasses import dataclass, field

from local.cloud import Cloud


@dataclass(frozen=True)
class TopicMessage:
    """A completion event: its type, and the attributes that a subscriber can filter by."""

    type: str
    attributes: dict[str, str]


@dataclass
class TopicSubscription:
    """A queue that is subscribed to the topic. It is not deleted: it ends with the emulator."""

    cloud: Cloud
    queue_url: str
    _by_job: dict[str, list[TopicMessage]] = field(default_factory=dict)

    @classmethod
    def create(cls, cloud: Cloud, topic_arn: str) -> "TopicSubscription":
        queue_url = cloud.sqs.create_queue(QueueName="topic-messages")["QueueUrl"]
        result = cloud.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        queue_arn = result["Attributes"]["QueueArn"]
        cloud.sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy(queue_arn, topic_arn)})
        cloud.sns.subscribe(
            TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": "true"}
        )
        return cls(cloud, queue_url)

    def wait_for(self, job_id: str, seconds: float) -> list[TopicMessage]:
        """The messages about the job so far; none if none arrives within `seconds`."""
        deadline = time.monotonic() + seconds
        while job_id not in self._by_job and time.monotonic() < deadline:
            self._receive()
        return self._by_job.get(job_id, [])

    def _receive(self) -> None:
        result = self.cloud.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
        )
        for message in result.get("Messages", []):
            event = json.loads(message["Body"])
            attributes = {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}
            self._by_job.setdefault(event["data"]["id"], []).append(TopicMessage(event["type"], attributes))
            self.cloud.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])


def policy(queue_arn: str, topic_arn: str) -> str:
    """The queue policy that allows the topic to send."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
