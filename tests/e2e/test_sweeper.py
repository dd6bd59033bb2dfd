"""A job whose message was lost is found again."""

import json
import time

import pytest
from openai import OpenAI

from tests.e2e.conftest import Whole, until_ended

pytestmark = pytest.mark.e2e


def test_a_job_whose_message_is_lost_is_found_by_the_sweeper(whole: Whole, client: OpenAI) -> None:
    cloud, stack = whole.service.cloud, whole.service.stack
    mapping = cloud.functions.list_event_source_mappings(FunctionName=stack["WorkerFunctionName"])
    (source,) = (found["UUID"] for found in mapping["EventSourceMappings"])
    cloud.functions.update_event_source_mapping(UUID=source, Enabled=False)
    try:
        job = client.responses.create(model="gpt-5.4-mini", input="What is 8 * 8?", background=True)
        cloud.sqs.purge_queue(QueueUrl=stack["JobQueueUrl"])
    finally:
        cloud.functions.update_event_source_mapping(UUID=source, Enabled=True)
    # A minute passes for the job, not for us.
    cloud.dynamodb.update_item(
        TableName=stack["JobTableName"],
        Key={"pk": {"S": f"JOB#{job.id}"}, "sk": {"S": "STATE"}},
        UpdateExpression="SET overdue_at = :past",
        ExpressionAttributeValues={":past": {"N": str(int(time.time()) - 1)}},
    )

    answer = cloud.functions.invoke(FunctionName=stack["SweeperFunctionName"], Payload=json.dumps({}).encode())

    assert not answer.get("FunctionError")
    assert until_ended(client, job).status == "completed"
    assert whole.generations_of(job.id) == 1
