"""The port `Topic`, on every backing, with the template's own subscription of the webhook queue."""

from openai.types.webhooks import UnwrapWebhookEvent
from pydantic import TypeAdapter

from afterthought.domain.webhooks.event import CompletionEvent
from tests.contract.backing import AwsBacking, Backing
from tests.simulator.examples import a_settled_job

EVENT = CompletionEvent.of(a_settled_job())


def test_event_reaches_webhook_queue(backing: Backing) -> None:
    backing.topic.publish(EVENT)
    assert backing.webhook_messages() == [EVENT.payload().decode()]


def test_event_without_webhook_is_filtered(backing: Backing) -> None:
    backing.topic.publish(EVENT.model_copy(update={"webhook": False}))
    assert backing.webhook_messages() == []


def test_message_is_an_openai_event(backing: Backing) -> None:
    backing.topic.publish(EVENT)
    (body,) = backing.webhook_messages()
    event: UnwrapWebhookEvent = TypeAdapter(UnwrapWebhookEvent).validate_json(body, strict=True)
    assert event.type == "response.completed"
    assert event.data.id == EVENT.job_id


def test_message_attributes_for_subscribers(moto: AwsBacking) -> None:
    queue_url = moto.clients.sqs.create_queue(QueueName="audit")["QueueUrl"]
    queue = moto.clients.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
    moto.clients.sns.subscribe(
        TopicArn=moto.names.topic_arn,
        Protocol="sqs",
        Endpoint=queue["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    moto.topic.publish(EVENT)
    (message,) = moto.clients.sqs.receive_message(QueueUrl=queue_url, MessageAttributeNames=["All"])["Messages"]
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes == {
        "tenant": "acme",
        "status": "completed",
        "model": "o3",
        "type": "response.completed",
        "webhook": "true",
    }


def test_message_group_is_the_tenant(moto: AwsBacking) -> None:
    """SNS passes the group to a standard queue, which makes it a fair queue. moto does not: check the request."""
    groups: list[str] = []

    def record(params: dict[str, str], **_: object) -> None:
        groups.append(params["MessageGroupId"])

    moto.clients.sns.meta.events.register("before-parameter-build.sns.Publish", record)
    moto.topic.publish(EVENT)
    assert groups == [EVENT.tenant]
