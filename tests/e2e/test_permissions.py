"""The functions' policies are enforced here: they suffice, and a worker with less makes no paid call."""

import json

import pytest
from openai import OpenAI

from local.logs import lines
from local.tenants import ACME
from tests.e2e.conftest import ARRIVAL_SECONDS, Deployment, wait_until, wait_until_ended
from tests.e2e.control import worker_without

pytestmark = pytest.mark.e2e


def test_no_function_is_denied_an_action(deployment: Deployment, client: OpenAI) -> None:
    job = client.responses.create(
        model="gpt-5.4-mini",
        input="What is 12 * 12?",
        background=True,
        extra_body={
            "afterthought": {"webhook_url": deployment.receiver.url(ACME.name)},
            "reasoning": {"effort": "none"},
        },
    )
    assert wait_until_ended(client, job).status == "completed"
    assert deployment.receiver.wait_for(job.id, ARRIVAL_SECONDS) is not None

    logged = list(lines(deployment.service))

    assert any(job.id in line for line in logged)
    assert [line for line in logged if "AccessDenied" in line] == []


def test_worker_without_put_item_makes_no_call(deployment: Deployment, client: OpenAI) -> None:
    """After the test above, which reads all lines so far."""
    with worker_without(deployment.service, "dynamodb:PutItem"):
        job = client.responses.create(model="gpt-5.4-mini", input="What is 12 * 12?", background=True)
        wait_until(lambda: was_denied(deployment, "dynamodb:PutItem"), "the worker was not denied", seconds=60)
        assert client.responses.retrieve(job.id).status == "queued"
        assert deployment.generations_of(job.id) == []

    # Its message is hidden until the visibility timeout. Another one wakes the job now.
    cloud, stack = deployment.service.cloud, deployment.service.stack
    cloud.sqs.send_message(QueueUrl=stack["JobQueueUrl"], MessageBody=json.dumps({"job_id": job.id}))
    assert wait_until_ended(client, job).status == "completed"
    assert len(deployment.generations_of(job.id)) == 1


def was_denied(deployment: Deployment, action: str) -> bool:
    return any("AccessDenied" in line and action in line for line in lines(deployment.service))
