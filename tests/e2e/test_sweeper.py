"""The sweeper wakes a job whose queue message was lost."""

import json

import pytest
from openai import OpenAI

from tests.e2e.conftest import Deployment, wait_until_ended
from tests.e2e.control import expire, paused_worker

pytestmark = pytest.mark.e2e


def test_sweeper_wakes_a_job_without_message(deployment: Deployment, client: OpenAI) -> None:
    cloud, stack = deployment.service.cloud, deployment.service.stack
    with paused_worker(deployment.service):
        job = client.responses.create(model="gpt-5.4-mini", input="What is 8 * 8?", background=True)
        cloud.sqs.purge_queue(QueueUrl=stack["JobQueueUrl"])
    expire(deployment.service, job.id)

    answer = cloud.functions.invoke(FunctionName=stack["SweeperFunctionName"], Payload=json.dumps({}).encode())

    assert not answer.get("FunctionError")
    assert wait_until_ended(client, job).status == "completed"
    assert len(deployment.generations_of(job.id)) == 1
