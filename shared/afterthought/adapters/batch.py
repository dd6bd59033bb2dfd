"""Handle each record of a batch separately: those that fail are delivered again, the others are done."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSEvent, SQSRecord

from afterthought.adapters.telemetry import logger

_FAILED = "the record failed; it will be delivered again"


class RetryLater(Exception):
    """The record must be delivered again. The reason is logged already."""


def process_messages(event: dict[str, Any], context: Any, handle: Callable[[Any], None]) -> PartialItemFailureResponse:
    """Handles the messages of an SQS event one after the other."""
    return _process(EventType.SQS, event, context, handle)


async def process_messages_concurrently(
    event: dict[str, Any], handle: Callable[[SQSRecord], Awaitable[None]], *, max_concurrency: int
) -> PartialItemFailureResponse:
    """Handles the messages of an SQS event on one event loop. `handle` must name its job in each log line."""
    log = logger()
    slots = asyncio.Semaphore(max_concurrency)

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


def process_stream_records(
    event: dict[str, Any], context: Any, handle: Callable[[Any], None]
) -> PartialItemFailureResponse:
    """Handles the records of a DynamoDB stream event one after the other."""
    return _process(EventType.DynamoDBStreams, event, context, handle)


def _process(
    kind: EventType, event: dict[str, Any], context: Any, handle: Callable[[Any], None]
) -> PartialItemFailureResponse:
    log = logger()

    def handle_logged(record: Any) -> None:
        # The log lines of a record, including that of its failure, must carry its own job.
        log.append_keys(job_id=None, tenant=None)
        try:
            handle(record)
        except RetryLater:
            raise
        except Exception:
            log.warning(_FAILED, exc_info=True)
            raise

    # Even if the whole batch fails, return the list of failures and raise no exception.
    processor = BatchProcessor(event_type=kind, raise_on_entire_batch_failure=False)
    return process_partial_response(event, record_handler=handle_logged, processor=processor, context=context)
