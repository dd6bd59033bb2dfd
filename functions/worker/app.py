"""The worker: each message names a job; take it one step further."""

import json
import secrets
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterthought.adapters import aws, clock, settings, telemetry
from afterthought.adapters.batch import HandOutAgain, each_message
from afterthought.adapters.job_queue import SqsJobQueue
from afterthought.adapters.ledger import LedgerTable
from afterthought.adapters.openai import OpenAIResponses
from afterthought.adapters.payloads import Payloads
from afterthought.adapters.provider_secrets import ProviderSecrets
from afterthought.adapters.rate_windows import RateWindows
from afterthought.catalogue import default_catalogue
from afterthought.services.advance import Advance
from afterthought.services.limit import Limit

_ENOUGH_MILLISECONDS = 75_000
"""The longest step: the secret (25 s when its service stalls), the call (28 s), and its outcome to be written."""


@cache
def service() -> Advance:
    table, account_table = settings.required("JOB_TABLE"), settings.required("ACCOUNT_TABLE")
    catalogue = default_catalogue()
    return Advance(
        jobs=LedgerTable(aws.dynamodb(), table, account_table),
        contents=Payloads(aws.dynamodb(), aws.s3, table, settings.required("PAYLOAD_BUCKET")),
        queue=SqsJobQueue(aws.sqs(), settings.required("JOB_QUEUE_URL")),
        generations=OpenAIResponses(ProviderSecrets(aws.secretsmanager(), settings.required("PROVIDER_SECRET_ARN"))),
        catalogue=catalogue,
        providers=settings.listed("PROVIDERS"),
        limit=Limit(RateWindows(aws.dynamodb(), account_table), catalogue, clock.now),
        clock=clock.now,
        new_token=lambda: secrets.token_hex(16),
    )


def handler(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    log = telemetry.begin(context)

    def advance(record: SQSRecord) -> None:
        if context.get_remaining_time_in_millis() < _ENOUGH_MILLISECONDS:
            log.warning("this invocation ends too soon for one more step")
            raise HandOutAgain
        job_id = str(json.loads(record.body)["job_id"])
        log.append_keys(job_id=job_id)
        step = service()(job_id)
        seen = step.after or step.before
        failure = seen.failure.code if seen and seen.failure else None
        log.append_keys(tenant=seen.tenant if seen else None)
        log.info("advanced", outcome=step.outcome, status=seen.status if seen else None, failure=failure)
        if not step.enqueued:
            log.warning("the job's next message was not sent; unless it has ended, the sweeper will send it")
        if step.ended is not None:
            telemetry.count_ended(step.ended)
            if failure == "internal_error":
                log.error("the job ended by a defect of ours")
        if step.after is not None and step.after.overrun and not (step.before and step.before.overrun):
            telemetry.count("CostOverruns")
            log.error("an answer cost more than was held for it")

    return each_message(event, context, advance)
