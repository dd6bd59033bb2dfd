"""Batch handling with partial failures: a record whose handler raises is retried, the others are done."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSEvent, SQSRecord

from afterthought.adapters.telemetry import logger

_FAILED = "record failed; it will be retried"


class RetryLater(Exception):
    """The record must be retried, for a reason that is already logged."""


def each_message(event: dict[str, Any], context: Any, handle: Callable[[Any], None]) -> PartialItemFailureResponse:
    """Handles the messages of an SQS event."""
    return _each(EventType.SQS, event, context, handle)


async def messages_concurrently(
    event: dict[str, Any], handle: Callable[[SQSRecord], Awaitable[None]], *, limit: int
) -> PartialItemFailureResponse:
    """Handles the messages of an SQS event on one event loop, `limit` at a time. The handler must log the job id
    itself, because concurrent handlers share the logger's keys."""
    log = logger()
    slots = asyncio.Semaphore(limit)

    async def failed(record: SQSRecord) -> bool:
        async with slots:
            try:
                await handle(record)
            except RetryLater:
                return True
            except Exception:
                log.warning(_FAILED, exc_info=True, message_id=record.message_id)
                return True
            return False

    records = list(SQSEvent(event).records)
    failures = await asyncio.gather(*(failed(record) for record in records))
    return {
        "batchItemFailures": [
            {"itemIdentifier": record.message_id} for record, retry in zip(records, failures, strict=True) if retry
        ]
    }


def each_stream_record(
    event: dict[str, Any], context: Any, handle: Callable[[Any], None]
) -> PartialItemFailureResponse:
    """Handles the records of a DynamoDB stream's event."""
    return _each(EventType.DynamoDBStreams, event, context, handle)


def _each(
    event_type: EventType, event: dict[str, Any], context: Any, handle: Callable[[Any], None]
) -> PartialItemFailureResponse:
    log = logger()

    def handle_logged(record: Any) -> None:
        # The keys of the previous record must not be on this record's lines.
        log.append_keys(job_id=None, tenant=None)
        try:
            handle(record)
        except RetryLater:
            raise
        except Exception:
            log.warning(_FAILED, exc_info=True)
            raise

    # When all records fail, the list of failures says more than an exception.
    processor = BatchProcessor(event_type=event_type, raise_on_entire_batch_failure=False)
    return process_partial_response(event, record_handler=handle_logged, processor=processor, context=context)
