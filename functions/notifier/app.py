"""The notifier: the table's stream shows a job's step into a terminal state; announce it."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord

from afterthought.adapters import aws, settings, telemetry
from afterthought.adapters.batch import process_stream_records
from afterthought.adapters.job_table import JobLookupTable
from afterthought.adapters.sns import SnsTopic
from afterthought.services.announce import Announce


@cache
def service() -> Announce:
    return Announce(
        jobs=JobLookupTable(aws.dynamodb(), settings.required("JOB_TABLE")),
        topic=SnsTopic(aws.sns(), settings.required("COMPLETION_TOPIC_ARN")),
    )


def handler(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    log = telemetry.begin(context)

    def announce(record: DynamoDBRecord) -> None:
        keys = record.dynamodb.keys if record.dynamodb else None
        if not keys or keys.get("sk") != "STATE":
            return
        job_id = str(keys["pk"]).removeprefix("JOB#")
        log.append_keys(job_id=job_id)
        published = service()(job_id)
        if published is None:
            log.info("nothing to announce")
        else:
            log.append_keys(tenant=published.tenant)
            log.info("announced", type=published.type)

    return process_stream_records(event, context, announce)
