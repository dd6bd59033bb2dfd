"""The direct calls: each message names a job of a provider without a background mode; its call is awaited here, beside
many others."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterthought.adapters import aws, clock, settings, steps, telemetry
from afterthought.adapters.batch import RetryLater, process_messages_concurrently
from afterthought.catalogue import default_catalogue
from afterthought.composition import compose
from afterthought.services.direct import Direct, NoTimeLeft

_OWN_MEGABYTES = 128
_CALL_MEGABYTES = 56
"""What the function takes without a call, and what one takes while it is sent: a request has up to 4 MiB, and Python
takes four bytes for each letter where one of them needs them. `make bench` measures up to 45 MB a call."""

_THREADS = 10
"""For the tables, which are waited for in threads: as many as a client of AWS keeps connections."""


@cache
def service() -> Direct:
    # Threads share the clients of AWS, but making one is nothing for them.
    aws.s3()
    composed = compose()
    providers = default_catalogue().providers
    return Direct(
        steps=composed.services.direct,
        jobs=composed.jobs,
        generations=composed.generations,
        longest_seconds=max(providers[name].direct_seconds for name in settings.listed("PROVIDERS")),
        clock=clock.now,
    )


def handler(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    return asyncio.run(_handle(event, context))


async def _handle(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    log, direct = telemetry.begin(context), service()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))

    async def call(record: SQSRecord) -> None:
        job_id = str(json.loads(record.body)["job_id"])
        try:
            step = await direct(job_id, lambda: context.get_remaining_time_in_millis() / 1000)
        except NoTimeLeft:
            log.warning("this invocation ends too soon for one more call", job_id=job_id)
            raise RetryLater from None
        steps.tell(log, step, job_id)

    return await process_messages_concurrently(event, call, max_concurrency=_at_once(context))


def _at_once(context: Any) -> int:
    """So many calls as the function's memory holds, be each as large as it may."""
    return max(1, (int(context.memory_limit_in_mb) - _OWN_MEGABYTES) // _CALL_MEGABYTES)
