"""The services that call models, built from the ports that they share."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from afterthought.catalogue import Catalogue
from afterthought.services.limits.circuit_breaker import CircuitBreaker, CircuitBreakerStore
from afterthought.services.limits.rate_limiter import RateLimiter, RateWindowStore
from afterthought.services.limits.throttle import Throttle, ThrottleStore
from afterthought.services.ports import Accounts, Contents, Generations, JobQueue, JobStore
from afterthought.services.run.fallback import Fallbacks
from afterthought.services.run.handle_event import ProviderEventHandler
from afterthought.services.run.late_usage import LateUsage
from afterthought.services.run.record_outcome import OutcomeRecorder
from afterthought.services.run.run_job import JobRunner


@dataclass(frozen=True)
class Calling:
    """`runner` is for jobs whose calls run in the background, `direct` for those whose calls are awaited."""

    runner: JobRunner
    direct: JobRunner
    events: ProviderEventHandler


def calling(
    *,
    jobs: JobStore,
    contents: Contents,
    accounts: Accounts,
    queue: JobQueue,
    generations: Generations,
    rates: RateWindowStore,
    throttles: ThrottleStore,
    breakers: CircuitBreakerStore,
    catalogue: Catalogue,
    providers: tuple[str, ...],
    clock: Callable[[], datetime],
    random: Callable[[], float],
    new_token: Callable[[], str],
    on_provider_paused: Callable[[str, str], None],
) -> Calling:
    """`providers` are the enabled ones in order of preference; `random` gives numbers from 0 to 1;
    `on_provider_paused` is called with a provider and its error code."""
    breaker = CircuitBreaker(breakers, clock, random)
    runner = JobRunner(
        jobs=jobs,
        contents=contents,
        queue=queue,
        generations=generations,
        catalogue=catalogue,
        providers=providers,
        limit=RateLimiter(rates, catalogue, clock),
        throttle=Throttle(throttles, clock, random),
        circuit_breaker=breaker,
        late_usage=LateUsage(jobs, generations, catalogue),
        recorder=OutcomeRecorder(
            jobs=jobs,
            contents=contents,
            accounts=accounts,
            generations=generations,
            catalogue=catalogue,
            fallbacks=Fallbacks(catalogue, providers, clock),
            circuit_breaker=breaker,
            clock=clock,
            random=random,
            on_provider_paused=on_provider_paused,
        ),
        clock=clock,
        new_token=new_token,
    )
    events = ProviderEventHandler(jobs, generations, catalogue, providers, runner)
    return Calling(runner, replace(runner, mode="direct"), events)
