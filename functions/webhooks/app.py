"""The webhooks function: each message is a completion event, which is signed and sent to the caller's endpoint."""

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
from afterthought.adapters.payloads import Payloads
from afterthought.adapters.sqs import MessageQueue
from afterthought.adapters.webhook_client import HttpsWebhookClient
from afterthought.domain.jobs.schedule import delivery_seconds
from afterthought.services.notify.deliver import WebhookSender


@cache
def service() -> WebhookSender:
    table = settings.required("JOB_TABLE")
    return WebhookSender(
        jobs=JobLookupTable(aws.dynamodb(), table, terminal_only=True),
        contents=Payloads(aws.dynamodb(), aws.s3, table, settings.required("PAYLOAD_BUCKET")),
        accounts=AccountTable(aws.dynamodb(), settings.required("ACCOUNT_TABLE")),
        deliveries=DeliveryRecords(aws.dynamodb(), table),
        cipher=KmsCipher(aws.kms()),
        client=HttpsWebhookClient(frozenset(settings.listed("WEBHOOK_ALLOWED_ORIGINS"))),
        clock=clock.now,
    )


@cache
def queue() -> MessageQueue:
    return MessageQueue(aws.sqs(), settings.required("WEBHOOK_QUEUE_URL"))


def handler(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    log = telemetry.init_invocation(context)

    def send(record: SQSRecord) -> None:
        job_id = str(json.loads(record.body)["data"]["id"])
        log.append_keys(job_id=job_id)
        delivery = service().send(job_id)
        attempt = int(record.attributes.approximate_receive_count)
        log.append_keys(tenant=delivery.tenant)
        fields: dict[str, Any] = {"http_status": delivery.status, "reason": delivery.reason, "attempt": attempt}
        metric = telemetry.count(f"Webhooks{delivery.outcome.capitalize()}")
        log.info("webhook %s", delivery.outcome, **fields, **telemetry.emf_fields(metric))
        if delivery.outcome == "failed":
            # Hidden until the next attempt. After the last attempt SQS moves it to the dead-letter queue.
            queue().hide(record.receipt_handle, delivery_seconds(attempt))
            raise RetryLater

    return process_messages(event, context, send)
