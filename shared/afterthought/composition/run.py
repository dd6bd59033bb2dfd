"""The services of the functions that call models: the worker function and the direct function."""

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from afterthought.adapters import aws, clock, settings, telemetry
from afterthought.adapters.circuit_breaker_table import CircuitBreakerTable
from afterthought.adapters.openai import OpenAIResponses
from afterthought.adapters.provider_secrets import ProviderSecrets
from afterthought.adapters.rate_window_table import RateWindowTable
from afterthought.adapters.throttle_table import ThrottleTable
from afterthought.catalogue import Catalogue, default_catalogue
from afterthought.composition import adapters
from afterthought.services.limits.circuit_breaker import CircuitBreaker, CircuitBreakerStore
from afterthought.services.limits.rate_limiter import RateLimiter, RateWindowStore
from afterthought.services.limits.throttle import Throttle, ThrottleStore
from afterthought.services.ports import Accounts, Contents, Generations, JobQueue, JobStore
from afterthought.services.run.await_call import AsyncGenerations, DirectRunner
from afterthought.services.run.fallback import Fallbacks
from afterthought.services.run.handle_event import ProviderEventHandler
from afterthought.services.run.late_usage import LateUsage
from afterthought.services.run.record_outcome import OutcomeRecorder
from afterthought.services.run.run_job import JobRunner


class ModelProviders(Generations, AsyncGenerations, Protocol):
    """The model providers, called in the background or awaited."""


@dataclass(frozen=True)
class RunServices:
    """`runner` makes background calls, `direct` awaits calls, `events` handles provider events."""

    runner: JobRunner
    direct: DirectRunner
    events: ProviderEventHandler


def build(
    *,
    jobs: JobStore,
    contents: Contents,
    accounts: Accounts,
    queue: JobQueue,
    generations: ModelProviders,
    rate_windows: RateWindowStore,
    throttle: ThrottleStore,
    circuit_breakers: CircuitBreakerStore,
    catalogue: Catalogue,
    providers: tuple[str, ...],
    clock: Callable[[], datetime],
    random: Callable[[], float],
    new_token: Callable[[], str],
    on_provider_paused: Callable[[str, str], None],
) -> RunServices:
    """`providers` are the enabled ones in order of preference; `random` returns numbers from 0 to 1;
    `on_provider_paused` is called with a provider and its error code when the circuit breaker opens."""
    enabled = [catalogue.providers[name] for name in providers if name in catalogue.providers]
    circuit_breaker = CircuitBreaker(circuit_breakers, clock, random)
    runner = JobRunner(
        jobs=jobs,
        contents=contents,
        queue=queue,
        generations=generations,
        catalogue=catalogue,
        providers=providers,
        rate_limiter=RateLimiter(rate_windows, catalogue, clock),
        throttle=Throttle(throttle, clock, random),
        circuit_breaker=circuit_breaker,
        late_usage=LateUsage(jobs, generations, catalogue),
        recorder=OutcomeRecorder(
            jobs=jobs,
            contents=contents,
            accounts=accounts,
            generations=generations,
            catalogue=catalogue,
            fallbacks=Fallbacks(catalogue, providers, clock),
            circuit_breaker=circuit_breaker,
            clock=clock,
            random=random,
            on_provider_paused=on_provider_paused,
        ),
        clock=clock,
        new_token=new_token,
    )
    return RunServices(
        runner=runner,
        direct=DirectRunner(
            runner=replace(runner, mode="direct"),
            jobs=jobs,
            generations=generations,
            max_call_seconds=max((each.direct_seconds for each in enabled), default=0),
            clock=clock,
        ),
        events=ProviderEventHandler(jobs, generations, catalogue, providers, runner),
    )


def from_environment() -> RunServices:
    account_table = settings.required("ACCOUNT_TABLE")
    return build(
        jobs=adapters.job_table(),
        contents=adapters.payloads(),
        accounts=adapters.account_table(),
        queue=adapters.job_queue(),
        generations=OpenAIResponses(ProviderSecrets(aws.secretsmanager(), settings.required("PROVIDER_SECRET_ARN"))),
        rate_windows=RateWindowTable(aws.dynamodb(), account_table),
        throttle=ThrottleTable(aws.dynamodb(), account_table),
        circuit_breakers=CircuitBreakerTable(aws.dynamodb(), account_table),
        catalogue=default_catalogue(),
        providers=settings.listed("PROVIDERS"),
        clock=clock.now,
        random=random.random,
        new_token=lambda: secrets.token_hex(16),
        on_provider_paused=telemetry.log_provider_paused,
    )
