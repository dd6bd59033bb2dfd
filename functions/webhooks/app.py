"""The webhooks function: each message is a completion event, which is signed and sent to the caller's endpoint."""

import json
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterthought.adapters import aws, settings, telemetry
from afterthought.adapters.batch import RetryLater, process_messages
from afterthought.adapters.sqs import MessageQueue
from afterthought.composition import webhooks as composition
from afterthought.domain.jobs.schedule import delivery_seconds
from afterthought.services.notify.deliver import WebhookSender


@cache
def service() -> WebhookSender:
    return composition.from_environment()


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
