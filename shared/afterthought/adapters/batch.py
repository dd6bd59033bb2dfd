"""A batch of records, each handled by itself: what raises is handed out again, the others are done."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse

from afterthought.adapters.telemetry import logger


class HandOutAgain(Exception):
    """A record that is to come again, for a reason that has been told already."""


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
    log = logger()

    def watched(record: Any) -> None:
        # Each record's lines carry its own job, and the line of its failure most of all.
        log.append_keys(job_id=None, tenant=None)
        try:
            handle(record)
        except HandOutAgain:
            raise
        except Exception:
            log.warning("the record failed; it will be handed out again", exc_info=True)
            raise

    # With the whole batch failed, raising would say less than the list of what failed does.
    processor = BatchProcessor(event_type=kind, raise_on_entire_batch_failure=False)
    return process_partial_response(event, record_handler=watched, processor=processor, context=context)
