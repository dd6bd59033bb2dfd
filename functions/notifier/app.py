"""The notifier function: publishes the completion event when the table's stream shows that a job has ended."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord

from afterthought.adapters import telemetry
from afterthought.adapters.batch import process_stream_records
from afterthought.composition import notifier as composition
from afterthought.services.notify.publish import Notifier


@cache
def service() -> Notifier:
    return composition.from_environment()


def handler(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    log = telemetry.init_invocation(context)

    def publish(record: DynamoDBRecord) -> None:
        keys = record.dynamodb.keys if record.dynamodb else None
        if not keys or keys.get("sk") != "STATE":
            return
        job_id = str(keys["pk"]).removeprefix("JOB#")
        log.append_keys(job_id=job_id)
        completion = service().publish(job_id)
        if completion is None:
            log.info("no completion event to publish")
        else:
            log.append_keys(tenant=completion.tenant)
            log.info("completion event published", type=completion.type)

    return process_stream_records(event, context, publish)
