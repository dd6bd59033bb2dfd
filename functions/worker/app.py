"""The worker: each message names a job, or a response that a provider says has ended; take the job one step further."""

import json
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterthought.adapters import aws, settings, steps, telemetry
from afterthought.adapters.batch import RetryLater, process_messages
from afterthought.adapters.message_queue import MessageQueue
from afterthought.composition import compose
from afterthought.domain.errors import JobChanged, ProviderError
from afterthought.domain.schedule import event_seconds
from afterthought.services.calling import Calling

_ENOUGH_MILLISECONDS = 75_000
"""The longest step: the secret (25 s when its service stalls), the call (28 s), and its outcome to be written."""


@cache
def service() -> Calling:
    return compose().services


@cache
def queue() -> MessageQueue:
    return MessageQueue(aws.sqs(), settings.required("JOB_QUEUE_URL"))


def handler(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    log = telemetry.begin(context)

    def take(record: SQSRecord) -> None:
        if context.get_remaining_time_in_millis() < _ENOUGH_MILLISECONDS:
            log.warning("this invocation ends too soon for one more step")
            raise RetryLater
        message = json.loads(record.body)
        if "response_id" in message:
            _told(message, record)
            return
        job_id = str(message["job_id"])
        log.append_keys(job_id=job_id)
        steps.tell(log, service().advance(job_id), job_id)

    return process_messages(event, context, take)


def _told(message: dict[str, Any], record: SQSRecord) -> None:
    log = telemetry.logger()
    try:
        woken = service().wake(str(message["provider"]), str(message["response_id"]))
    except (ProviderError, JobChanged) as error:
        receives = int(record.attributes.approximate_receive_count)
        seconds = event_seconds(receives)
        given_up = () if seconds is not None else (telemetry.counted("ProviderEventsGivenUp"),)
        told = {"error": str(error), "receives": receives, **telemetry.figures_of(*given_up)}
        log.warning("a provider's event could not be heard yet", **told)
        if seconds is None:
            # The net looks at the job without it.
            return
        queue().hide(record.receipt_handle, seconds)
        raise RetryLater from error
    event = telemetry.counted("ProviderEvents", outcome=woken.outcome)
    job = woken.step.after or woken.step.before
    if job is None:
        log.info("an event that is none of ours", **telemetry.figures_of(event))
        return
    log.append_keys(job_id=job.id)
    steps.tell(log, woken.step, job.id, event)
