"""The direct function: each message names a job of a provider without a background mode. It awaits many calls at once
on one event loop."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterthought.adapters import aws, steps, telemetry
from afterthought.adapters.batch import RetryLater, process_messages_concurrently
from afterthought.composition import run as composition
from afterthought.services.run.await_call import DirectRunner, NoTimeLeft

_BASE_MEGABYTES = 128
_CALL_MEGABYTES = 56
"""Memory of the function without calls, and of one call while it is sent: a request has up to 4 MiB, and Python uses up
to four bytes per character. `make bench` measures up to 45 MB per call."""

_THREADS = 10
"""Table calls block in threads. An AWS client keeps ten connections."""


@cache
def service() -> DirectRunner:
    # Threads may share AWS clients, but creating one is not thread-safe.
    aws.s3()
    return composition.from_environment().direct


def handler(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    return asyncio.run(_handle(event, context))


async def _handle(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    log, direct = telemetry.init_invocation(context), service()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))

    async def call(record: SQSRecord) -> None:
        job_id = str(json.loads(record.body)["job_id"])
        try:
            step = await direct.run(job_id, lambda: context.get_remaining_time_in_millis() / 1000)
        except NoTimeLeft:
            log.warning("not enough time left in this invocation", job_id=job_id)
            raise RetryLater from None
        steps.log_step(log, step, job_id)

    return await process_messages_concurrently(event, call, max_concurrency=_max_concurrent_calls(context))


def _max_concurrent_calls(context: Any) -> int:
    """The number of calls that fit in memory when each has the maximum size."""
    return max(1, (int(context.memory_limit_in_mb) - _BASE_MEGABYTES) // _CALL_MEGABYTES)
