"""The port `Topic`, on every backing: what reaches the webhook queue by the template's own subscription."""

from openai.types.webhooks import UnwrapWebhookEvent
from pydantic import TypeAdapter

from afterthought.domain.webhooks.event import CompletionEvent
from tests.contract.backing import AwsBacking, Backing
from tests.simulator.examples import a_settled_job

EVENT = CompletionEvent.of(a_settled_job())


def test_an_event_for_a_webhook_reaches_the_webhook_queue_as_it_is(backing: Backing) -> None:
    backing.topic.publish(EVENT)
    assert backing.webhook_messages() == [EVENT.payload().decode()]


def test_an_event_that_nobody_waits_for_stays_out_of_the_webhook_queue(backing: Backing) -> None:
    backing.topic.publish(EVENT.model_copy(update={"webhook": False}))
    assert backing.webhook_messages() == []


def test_what_reaches_the_queue_is_an_event_of_openais(backing: Backing) -> None:
    backing.topic.publish(EVENT)
    (body,) = backing.webhook_messages()
    event: UnwrapWebhookEvent = TypeAdapter(UnwrapWebhookEvent).validate_json(body, strict=True)
    assert event.type == "response.completed"
    assert event.data.id == EVENT.job_id


def test_a_subscriber_sees_who_how_and_which_model(moto: AwsBacking) -> None:
    queue_url = moto.clients.sqs.create_queue(QueueName="audit")["QueueUrl"]
    attributes = moto.clients.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
    moto.clients.sns.subscribe(
        TopicArn=moto.names.topic_arn,
        Protocol="sqs",
        Endpoint=attributes["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    moto.topic.publish(EVENT)
    (message,) = moto.clients.sqs.receive_message(QueueUrl=queue_url, MessageAttributeNames=["All"])["Messages"]
    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert told == {
        "tenant": "acme",
        "status": "completed",
        "model": "o3",
        "type": "response.completed",
        "webhook": "true",
    }


def test_a_message_belongs_to_its_tenants_group(moto: AwsBacking) -> None:
    """SNS hands the group on to a standard queue, which it makes fair; moto does not, so this looks at what is sent."""
    sent: list[str] = []

    def note(params: dict[str, str], **_: object) -> None:
        sent.append(params["MessageGroupId"])

    moto.clients.sns.meta.events.register("before-parameter-build.sns.Publish", note)
    moto.topic.publish(EVENT)
    assert sent == [EVENT.tenant]
