"""The completion topic."""

from typing import TYPE_CHECKING

from afterthought.domain.webhooks.event import CompletionEvent

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


class SnsTopic:
    """The port `Topic` on SNS. Raises botocore's ClientError."""

    def __init__(self, client: "SNSClient", topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def publish(self, event: CompletionEvent) -> None:
        self._client.publish(
            TopicArn=self._topic_arn,
            Message=event.payload().decode(),
            # Handed on to the webhook queue, which it makes fair: one tenant's slow receivers do not starve another's.
            MessageGroupId=event.tenant,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in event.attributes().items()
            },
        )
