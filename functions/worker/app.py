"""The worker: each message names a job; take it one step further."""

import json
import secrets
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterthought.adapters import aws, clock, settings, telemetry
from afterthought.adapters.batch import each_message
from afterthought.adapters.job_table import JobTable
from afterthought.adapters.openai import OpenAIResponses
from afterthought.adapters.payloads import Payloads
from afterthought.adapters.provider_secrets import ProviderSecrets
from afterthought.adapters.sqs import SqsJobQueue
from afterthought.catalogue import default_catalogue
from afterthought.services.advance import Advance

_ENOUGH_MILLISECONDS = 45_000
"""A call to the provider may take 25 s, and its outcome must then be written."""


class TooLate(Exception):
    """This invocation ends too soon to begin one more step: the message goes back to the queue."""


@cache
def service() -> Advance:
    table = settings.required("JOB_TABLE")
    return Advance(
        jobs=JobTable(aws.dynamodb(), table),
        contents=Payloads(aws.dynamodb(), aws.s3, table, settings.required("PAYLOAD_BUCKET")),
        queue=SqsJobQueue(aws.sqs(), settings.required("JOB_QUEUE_URL")),
        generations=OpenAIResponses(ProviderSecrets(aws.secretsmanager(), settings.required("PROVIDER_SECRET_ARN"))),
        catalogue=default_catalogue(),
        providers=settings.listed("PROVIDERS"),
        clock=clock.now,
        new_token=lambda: secrets.token_hex(16),
    )


def handler(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    log = telemetry.begin(context)

    def advance(record: SQSRecord) -> None:
        if context.get_remaining_time_in_millis() < _ENOUGH_MILLISECONDS:
            raise TooLate
        job_id = str(json.loads(record.body)["job_id"])
        step = service()(job_id)
        seen = step.after or step.before
        log.info(
            "advanced",
            job_id=job_id,
            outcome=step.outcome,
            tenant=seen.tenant if seen else None,
            status=seen.status if seen else None,
            failure=seen.failure.code if seen and seen.failure else None,
        )
        if step.ended is not None:
            telemetry.count_ended(step.ended)

    return each_message(event, context, advance)
