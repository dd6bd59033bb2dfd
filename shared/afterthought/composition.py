"""What the functions that call models are made of: the worker, which leaves while a model thinks, and the direct calls,
which are awaited."""

import random
import secrets

from afterthought.adapters import aws, clock, settings
from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.breaker_table import BreakerTable
from afterthought.adapters.job_queue import SqsJobQueue
from afterthought.adapters.ledger import LedgerTable
from afterthought.adapters.openai import OpenAIResponses
from afterthought.adapters.pace_table import PaceTable
from afterthought.adapters.payloads import Payloads
from afterthought.adapters.provider_secrets import ProviderSecrets
from afterthought.adapters.rate_windows import RateWindows
from afterthought.catalogue import default_catalogue
from afterthought.domain.provider import Mode
from afterthought.services.advance import Advance
from afterthought.services.breaker import Breaker
from afterthought.services.conclude import Conclude
from afterthought.services.limit import Limit
from afterthought.services.pace import Pace
from afterthought.services.substitute import Substitute
from afterthought.services.wake import Wake


class Calling:
    """The services, wired to AWS and to the model providers."""

    def __init__(self, mode: Mode) -> None:
        table, account_table = settings.required("JOB_TABLE"), settings.required("ACCOUNT_TABLE")
        catalogue, providers = default_catalogue(), settings.listed("PROVIDERS")
        contents = Payloads(aws.dynamodb(), aws.s3, table, settings.required("PAYLOAD_BUCKET"))
        breaker = Breaker(BreakerTable(aws.dynamodb(), account_table), clock.now, random.random)
        self.jobs = LedgerTable(aws.dynamodb(), table, account_table)
        self.generations = OpenAIResponses(
            ProviderSecrets(aws.secretsmanager(), settings.required("PROVIDER_SECRET_ARN"))
        )
        self.advance = Advance(
            jobs=self.jobs,
            contents=contents,
            queue=queues(),
            generations=self.generations,
            catalogue=catalogue,
            providers=providers,
            limit=Limit(RateWindows(aws.dynamodb(), account_table), catalogue, clock.now),
            pace=Pace(PaceTable(aws.dynamodb(), account_table), clock.now, random.random),
            breaker=breaker,
            conclude=Conclude(
                jobs=self.jobs,
                contents=contents,
                accounts=AccountTable(aws.dynamodb(), account_table),
                generations=self.generations,
                catalogue=catalogue,
                substitute=Substitute(catalogue, providers, clock.now),
                breaker=breaker,
                clock=clock.now,
                chance=random.random,
            ),
            clock=clock.now,
            new_token=lambda: secrets.token_hex(16),
            mode=mode,
        )
        self.wake = Wake(self.jobs, self.generations, catalogue, providers, self.advance)


def queues() -> SqsJobQueue:
    """Where the next look at a job is asked for, by its mode."""
    return SqsJobQueue(
        aws.sqs(), {"background": settings.required("JOB_QUEUE_URL"), "direct": settings.required("DIRECT_QUEUE_URL")}
    )
