"""The notifier function with stream records: a job is published once, when it ends."""

import json
from typing import Any

import pytest

from afterthought.adapters import aws
from local.standin import StandIn
from tests.integration.deployed import Deployed, HttpAnswer, sample
from tests.simulator.pattern import passes_stream_filter

Json = dict[str, Any]

KEY = "local-key-acme"


@pytest.fixture
def ended(service: Deployed, standin: StandIn) -> Deployed:
    """The sample job has ended; its event is not published."""
    service.make_tenant("acme", api_key=KEY)
    assert HttpAnswer(service.invoke("Api", sample("api"))).status == 200
    for _ in range(2):
        service.invoke("Worker", sample("worker"))
        service.clock.pass_seconds(5)
    return service


def state(service: Deployed) -> Json:
    [item] = [item for item in service.items() if item["sk"] == {"S": "STATE"}]
    return item


def test_sample_record_passes_the_filter() -> None:
    [record] = sample("notifier")["Records"]
    assert passes_stream_filter(record)


def test_sample_record_has_real_attributes(ended: Deployed) -> None:
    [real] = filter(passes_stream_filter, ended.stream_records())
    [record] = sample("notifier")["Records"]
    for image in ("OldImage", "NewImage"):
        assert set(record["dynamodb"][image]) == set(real["dynamodb"][image])
        attempts = (each["dynamodb"][image]["attempts"]["L"][0]["M"] for each in (record, real))
        assert len({frozenset(attempt) for attempt in attempts}) == 1


def test_one_record_of_a_job_passes_the_filter(ended: Deployed) -> None:
    passing = [record for record in ended.stream_records() if passes_stream_filter(record)]
    assert len(passing) == 1
    assert ended.invoke("Notifier", {"Records": passing}) == {"batchItemFailures": []}
    # The write that marks the job as published fails.
    assert len([record for record in ended.stream_records() if passes_stream_filter(record)]) == 1


def test_sample_record_is_published_with_attributes(ended: Deployed) -> None:
    assert ended.invoke("Notifier", sample("notifier")) == {"batchItemFailures": []}
    [message] = ended.receive("WebhookQueue")
    attributes = {name: value["stringValue"] for name, value in message["messageAttributes"].items()}
    assert attributes == {
        "tenant": "acme",
        "status": "completed",
        "model": "o3",
        "type": "response.completed",
        "webhook": "true",
    }
    event = json.loads(message["body"])
    assert set(event) == {"id", "object", "created_at", "type", "data"}
    assert event["data"] == {"id": json.loads(sample("worker")["Records"][0]["body"])["job_id"]}
    assert "overdue_at" not in state(ended)
    assert "overdue_shard" not in state(ended)


def test_sample_webhook_message_is_real(ended: Deployed) -> None:
    ended.invoke("Notifier", sample("notifier"))
    [real] = ended.receive("WebhookQueue")
    [message] = sample("webhooks")["Records"]
    sample_event, real_event = json.loads(message["body"]), json.loads(real["body"])
    assert {**sample_event, "created_at": 0} == {**real_event, "created_at": 0}
    assert set(message["messageAttributes"]) == set(real["messageAttributes"])


def test_repeated_record_is_published_once(ended: Deployed) -> None:
    [record] = sample("notifier")["Records"]
    ended.invoke("Notifier", {"Records": [record, record]})
    ended.invoke("Notifier", {"Records": [record]})
    assert len(ended.receive("WebhookQueue")) == 1


def test_job_without_webhook_reaches_only_the_topic(service: Deployed, standin: StandIn) -> None:
    service.make_tenant("acme", api_key=KEY)
    inbox = aws.sqs().create_queue(QueueName="Inbox")["QueueUrl"]
    arn = aws.sqs().get_queue_attributes(QueueUrl=inbox, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.sns().subscribe(TopicArn=service.refs["CompletionTopic"], Protocol="sqs", Endpoint=arn)
    service.refs["Inbox"], service.arns["Inbox"] = inbox, arn
    job_id = service.call("POST", "/v1/responses", {"model": "gpt-4o", "input": "Hello"}, key=KEY).body["id"]
    [record] = sample("worker")["Records"]
    for _ in range(2):
        service.invoke("Worker", {"Records": [{**record, "body": json.dumps({"job_id": job_id})}]})
        service.clock.pass_seconds(5)
    service.invoke("Notifier", {"Records": service.stream_records()})
    assert service.receive("WebhookQueue") == []
    [message] = service.receive("Inbox")
    assert json.loads(json.loads(message["body"])["Message"])["data"] == {"id": job_id}


def test_running_or_missing_job_is_not_published(service: Deployed) -> None:
    service.make_tenant("acme", api_key=KEY)
    assert service.invoke("Notifier", sample("notifier")) == {"batchItemFailures": []}
    service.invoke("Api", sample("api"))
    assert service.invoke("Notifier", sample("notifier")) == {"batchItemFailures": []}
    assert service.receive("WebhookQueue") == []
    assert "overdue_at" in state(service)


def test_missing_topic_fails_the_record(ended: Deployed) -> None:
    aws.sns().delete_topic(TopicArn=ended.refs["CompletionTopic"])
    [record] = sample("notifier")["Records"]
    answer = ended.invoke("Notifier", {"Records": [record]})
    assert answer == {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
    assert "overdue_at" in state(ended)
