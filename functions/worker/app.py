"""The worker function: each message names a job or an ended response of a provider; runs the next step of the job."""

import json
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterthought.adapters import aws, settings, steps, telemetry
from afterthought.adapters.batch import RetryLater, process_messages
from afterthought.adapters.sqs import MessageQueue
from afterthought.composition import run as composition
from afterthought.composition.run import RunServices
from afterthought.domain.errors import ProviderError, VersionConflict
from afterthought.domain.jobs.schedule import event_seconds

_MIN_REMAINING_MS = 75_000
"""The longest step: read the secret (25 s when its service stalls), call the model (28 s), write the outcome."""


@cache
def service() -> RunServices:
    return composition.from_environment()


@cache
def queue() -> MessageQueue:
    return MessageQueue(aws.sqs(), settings.required("JOB_QUEUE_URL"))


def handler(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    log = telemetry.init_invocation(context)

    def handle(record: SQSRecord) -> None:
        if context.get_remaining_time_in_millis() < _MIN_REMAINING_MS:
            log.warning("not enough time left in this invocation")
            raise RetryLater
        message = json.loads(record.body)
        if "response_id" in message:
            _handle_provider_event(message, record)
            return
        job_id = str(message["job_id"])
        log.append_keys(job_id=job_id)
        steps.log_step(log, service().runner.run(job_id), job_id)

    return process_messages(event, context, handle)


def _handle_provider_event(message: dict[str, Any], record: SQSRecord) -> None:
    log = telemetry.logger()
    try:
        result = service().events.handle(str(message["provider"]), str(message["response_id"]))
    except (ProviderError, VersionConflict) as error:
        receives = int(record.attributes.approximate_receive_count)
        seconds = event_seconds(receives)
        fields: dict[str, Any] = {"error": str(error), "attempt": receives}
        if seconds is None:
            # Polling finds the job without the event.
            metric = telemetry.count("ProviderEventsDropped")
            log.warning("provider event dropped", **fields, **telemetry.emf_fields(metric))
            return
        log.warning("provider event not handled; it will be retried", **fields)
        queue().hide(record.receipt_handle, seconds)
        raise RetryLater from error
    metric = telemetry.count("ProviderEvents", outcome=result.outcome)
    job = result.step.after or result.step.before
    if job is None:
        log.info("provider event without a job", **telemetry.emf_fields(metric))
        return
    log.append_keys(job_id=job.id)
    steps.log_step(log, result.step, job.id, metric)
