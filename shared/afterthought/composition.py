"""What the functions that call models are made of: the worker, which leaves while a model thinks, and the direct calls,
which are awaited."""

import random
import secrets
from dataclasses import dataclass

from afterthought.adapters import aws, clock, settings, telemetry
from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.circuit_breaker_table import CircuitBreakerTable
from afterthought.adapters.job_table import JobTable
from afterthought.adapters.openai import OpenAIResponses
from afterthought.adapters.payloads import Payloads
from afterthought.adapters.provider_secrets import ProviderSecrets
from afterthought.adapters.rate_window_table import RateWindowTable
from afterthought.adapters.sqs import SqsJobQueue
from afterthought.adapters.throttle_table import ThrottleTable
from afterthought.catalogue import default_catalogue
from afterthought.services.calling import Calling, calling


@dataclass(frozen=True)
class Composed:
    """The services, wired to AWS and to the model providers."""

    services: Calling
    jobs: JobTable
    generations: OpenAIResponses


def compose() -> Composed:
    table, account_table = settings.required("JOB_TABLE"), settings.required("ACCOUNT_TABLE")
    jobs = JobTable(aws.dynamodb(), table, account_table)
    generations = OpenAIResponses(ProviderSecrets(aws.secretsmanager(), settings.required("PROVIDER_SECRET_ARN")))
    services = calling(
        jobs=jobs,
        contents=Payloads(aws.dynamodb(), aws.s3, table, settings.required("PAYLOAD_BUCKET")),
        accounts=AccountTable(aws.dynamodb(), account_table),
        queue=SqsJobQueue(
            aws.sqs(),
            {"background": settings.required("JOB_QUEUE_URL"), "direct": settings.required("DIRECT_QUEUE_URL")},
        ),
        generations=generations,
        rates=RateWindowTable(aws.dynamodb(), account_table),
        throttles=ThrottleTable(aws.dynamodb(), account_table),
        breakers=CircuitBreakerTable(aws.dynamodb(), account_table),
        catalogue=default_catalogue(),
        providers=settings.listed("PROVIDERS"),
        clock=clock.now,
        random=random.random,
        new_token=lambda: secrets.token_hex(16),
        on_provider_paused=telemetry.log_provider_paused,
    )
    return Composed(services, jobs, generations)
