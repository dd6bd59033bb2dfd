"""The direct calls: each message names a job of a provider without a background mode; its call is awaited here, beside
many others."""

import asyncio
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterthought.adapters import aws, clock, settings, steps, telemetry
from afterthought.adapters.batch import HandOutAgain, messages_at_once
from afterthought.adapters.job_queue import SqsJobQueue
from afterthought.adapters.ledger import LedgerTable
from afterthought.adapters.openai import OpenAIResponses
from afterthought.adapters.payloads import Payloads
from afterthought.adapters.provider_secrets import ProviderSecrets
from afterthought.adapters.rate_windows import RateWindows
from afterthought.catalogue import default_catalogue
from afterthought.services.advance import Advance
from afterthought.services.direct import Direct, NoTimeLeft
from afterthought.services.limit import Limit

_AT_ONCE = 100
"""Calls awaited at once. Each holds a request of up to 4 MB with what it was read into, and then its answer: so many
fit the function's memory even where several are that large, and a hundredth of them is what is usual."""

_THREADS = 10
"""For the tables, which are waited for in threads. As many as a client of AWS keeps connections."""


@cache
def service() -> Direct:
    """Every client of AWS is made here: to make one is nothing for threads."""
    table, account_table = settings.required("JOB_TABLE"), settings.required("ACCOUNT_TABLE")
    catalogue, providers = default_catalogue(), settings.listed("PROVIDERS")
    jobs, s3 = LedgerTable(aws.dynamodb(), table, account_table), aws.s3()
    generations = OpenAIResponses(ProviderSecrets(aws.secretsmanager(), settings.required("PROVIDER_SECRET_ARN")))
    return Direct(
        steps=Advance(
            jobs=jobs,
            contents=Payloads(aws.dynamodb(), lambda: s3, table, settings.required("PAYLOAD_BUCKET")),
            queue=SqsJobQueue(aws.sqs(), settings.required("JOB_QUEUE_URL")),
            generations=generations,
            catalogue=catalogue,
            providers=providers,
            limit=Limit(RateWindows(aws.dynamodb(), account_table), catalogue, clock.now),
            clock=clock.now,
            new_token=lambda: secrets.token_hex(16),
        ),
        jobs=jobs,
        generations=generations,
        longest_seconds=max(catalogue.providers[name].direct_seconds for name in providers),
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
            raise HandOutAgain from None
        steps.tell(log, step, job_id)

    return await messages_at_once(event, call, most=_AT_ONCE)
