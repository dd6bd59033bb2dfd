"""The completion topic on SNS."""

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
            # SNS passes the group to the webhook queue, a fair queue: a slow endpoint delays only its own tenant.
            MessageGroupId=event.tenant,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in event.attributes().items()
            },
        )
