"""What the completion topic announces, seen as any subscriber would: by a queue of one's own, subscribed to it."""

import json
import time
from dataclasses import dataclass, field

from local.cloud import Cloud


@dataclass(frozen=True)
class Announcement:
    """One message of the topic: the event's type and the attributes that a subscriber can filter by."""

    type: str
    attributes: dict[str, str]


@dataclass
class Announcements:
    """A scratch queue on the topic; it goes with the emulator."""

    cloud: Cloud
    queue_url: str
    _by_job: dict[str, list[Announcement]] = field(default_factory=dict)

    @classmethod
    def subscribed(cls, cloud: Cloud, topic_arn: str) -> "Announcements":
        queue_url = cloud.sqs.create_queue(QueueName="completions-seen")["QueueUrl"]
        found = cloud.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        queue_arn = found["Attributes"]["QueueArn"]
        cloud.sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy(queue_arn, topic_arn)})
        cloud.sns.subscribe(
            TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": "true"}
        )
        return cls(cloud, queue_url)

    def wait_for(self, job_id: str, seconds: float) -> list[Announcement]:
        """All announcements of the job so far, or an empty list when none has come in that time."""
        deadline = time.monotonic() + seconds
        while job_id not in self._by_job and time.monotonic() < deadline:
            self.receive()
        return self._by_job.get(job_id, [])

    def receive(self) -> None:
        answer = self.cloud.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
        )
        for message in answer.get("Messages", []):
            event = json.loads(message["Body"])
            attributes = {name: given["StringValue"] for name, given in message.get("MessageAttributes", {}).items()}
            self._by_job.setdefault(event["data"]["id"], []).append(Announcement(event["type"], attributes))
            self.cloud.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])


def policy(queue_arn: str, topic_arn: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
