"""The webhooks: each message is a completion event; deliver it, signed, to the endpoint that the caller named."""

import json
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterthought.adapters import aws, clock, settings, telemetry
from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.batch import RetryLater, process_messages
from afterthought.adapters.delivery_records import DeliveryRecords
from afterthought.adapters.job_table import JobLookupTable
from afterthought.adapters.kms import KmsCipher
from afterthought.adapters.message_queue import MessageQueue
from afterthought.adapters.payloads import Payloads
from afterthought.adapters.receiver import WebhookReceiver
from afterthought.domain.schedule import delivery_seconds
from afterthought.services.deliver import Deliver


@cache
def service() -> Deliver:
    table = settings.required("JOB_TABLE")
    return Deliver(
        jobs=JobLookupTable(aws.dynamodb(), table, terminal_only=True),
        contents=Payloads(aws.dynamodb(), aws.s3, table, settings.required("PAYLOAD_BUCKET")),
        accounts=AccountTable(aws.dynamodb(), settings.required("ACCOUNT_TABLE")),
        deliveries=DeliveryRecords(aws.dynamodb(), table),
        cipher=KmsCipher(aws.kms()),
        receiver=WebhookReceiver(frozenset(settings.listed("WEBHOOK_ALLOWED_ORIGINS"))),
        clock=clock.now,
    )


@cache
def queue() -> MessageQueue:
    return MessageQueue(aws.sqs(), settings.required("WEBHOOK_QUEUE_URL"))


def handler(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    log = telemetry.begin(context)

    def deliver(record: SQSRecord) -> None:
        job_id = str(json.loads(record.body)["data"]["id"])
        log.append_keys(job_id=job_id)
        delivery = service()(job_id)
        sends = int(record.attributes.approximate_receive_count)
        log.append_keys(tenant=delivery.tenant)
        told = {"status": delivery.status, "reason": delivery.reason, "sends": sends}
        counted = telemetry.counted(f"Webhooks{delivery.outcome.capitalize()}")
        log.info(delivery.outcome, **(told | telemetry.figures_of(counted)))
        if delivery.outcome == "failed":
            # Out of sight until its next try; after the last one SQS sets it aside.
            queue().hide(record.receipt_handle, delivery_seconds(sends))
            raise RetryLater

    return process_messages(event, context, deliver)
