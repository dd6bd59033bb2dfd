"""A batch of records, each handled by itself: what raises is handed out again, the others are done."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSEvent, SQSRecord

from afterthought.adapters.telemetry import logger

_AGAIN = "the record failed; it will be handed out again"


class HandOutAgain(Exception):
    """A record that is to come again, for a reason that has been told already."""


def each_message(event: dict[str, Any], context: Any, handle: Callable[[Any], None]) -> PartialItemFailureResponse:
    """Handles the messages of an SQS event."""
    return _each(EventType.SQS, event, context, handle)


async def messages_at_once(
    event: dict[str, Any], handle: Callable[[SQSRecord], Awaitable[None]], *, most: int
) -> PartialItemFailureResponse:
    """Handles the messages of an SQS event on one event loop, `most` of them at once. What is logged of one must name
    its job by itself."""
    log = logger()
    places = asyncio.Semaphore(most)

    async def failed(record: SQSRecord) -> bool:
        async with places:
            try:
                await handle(record)
            except HandOutAgain:
                return True
            except Exception:
                log.warning(_AGAIN, exc_info=True, message_id=record.message_id)
                return True
            return False

    records = list(SQSEvent(event).records)
    failures = await asyncio.gather(*(failed(record) for record in records))
    return {
        "batchItemFailures": [
            {"itemIdentifier": record.message_id} for record, bad in zip(records, failures, strict=True) if bad
        ]
    }


def each_stream_record(
    event: dict[str, Any], context: Any, handle: Callable[[Any], None]
) -> PartialItemFailureResponse:
    """Handles the records of a DynamoDB stream's event."""
    return _each(EventType.DynamoDBStreams, event, context, handle)


def _each(
    kind: EventType, event: dict[str, Any], context: Any, handle: Callable[[Any], None]
) -> PartialItemFailureResponse:
    log = logger()

    def watched(record: Any) -> None:
        # Each record's lines carry its own job, and the line of its failure most of all.
        log.append_keys(job_id=None, tenant=None)
        try:
            handle(record)
        except HandOutAgain:
            raise
        except Exception:
            log.warning(_AGAIN, exc_info=True)
            raise

    # With the whole batch failed, raising would say less than the list of what failed does.
    processor = BatchProcessor(event_type=kind, raise_on_entire_batch_failure=False)
    return process_partial_response(event, record_handler=watched, processor=processor, context=context)
