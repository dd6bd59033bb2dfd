"""A batch of records, each handled by itself: what raises is handed out again, the others are done."""

import logging
from collections.abc import Callable
from typing import Any, cast

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse

from afterthought.adapters.telemetry import logger


def each_message(event: dict[str, Any], context: Any, handle: Callable[[Any], None]) -> PartialItemFailureResponse:
    """Handles the messages of an SQS event."""
    return _each(EventType.SQS, event, context, handle)


def each_stream_record(
    event: dict[str, Any], context: Any, handle: Callable[[Any], None]
) -> PartialItemFailureResponse:
    """Handles the records of a DynamoDB stream's event."""
    return _each(EventType.DynamoDBStreams, event, context, handle)


def _each(
    kind: EventType, event: dict[str, Any], context: Any, handle: Callable[[Any], None]
) -> PartialItemFailureResponse:
    # Powertools' own logger has the methods of the standard one, though not its type. Without a logger, what a record
    # raised would be seen nowhere. And with the whole batch failed, raising would say less than the list does.
    processor = BatchProcessor(
        event_type=kind, raise_on_entire_batch_failure=False, logger=cast("logging.Logger", logger())
    )
    return process_partial_response(event, record_handler=handle, processor=processor, context=context)
