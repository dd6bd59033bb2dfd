"""The services that call models, made of the ports that they share."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from afterthought.catalogue import Catalogue
from afterthought.services.advance import Advance
from afterthought.services.conclude import Conclude
from afterthought.services.estimates import Estimates
from afterthought.services.limits.circuit_breaker import CircuitBreaker, CircuitBreakerStore
from afterthought.services.limits.rate_limiter import RateLimiter, RateWindowStore
from afterthought.services.limits.throttle import Throttle, ThrottleStore
from afterthought.services.ports import Accounts, Contents, Generations, JobQueue, Ledger
from afterthought.services.substitute import Substitute
from afterthought.services.wake import Wake


@dataclass(frozen=True)
class Calling:
    """`advance` is for jobs whose calls run in the background, `direct` for those whose calls are awaited."""

    advance: Advance
    direct: Advance
    wake: Wake


def calling(
    *,
    jobs: Ledger,
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
    chance: Callable[[], float],
    new_token: Callable[[], str],
    paused: Callable[[str, str], None],
) -> Calling:
    """`providers` are the enabled ones in order of preference; `chance` gives numbers from 0 to 1; `paused` is
    told which provider has been paused, and by which code of its."""
    breaker = CircuitBreaker(breakers, clock, chance)
    advance = Advance(
        jobs=jobs,
        contents=contents,
        queue=queue,
        generations=generations,
        catalogue=catalogue,
        providers=providers,
        limit=RateLimiter(rates, catalogue, clock),
        throttle=Throttle(throttles, clock, chance),
        breaker=breaker,
        estimates=Estimates(jobs, generations, catalogue),
        conclude=Conclude(
            jobs=jobs,
            contents=contents,
            accounts=accounts,
            generations=generations,
            catalogue=catalogue,
            substitute=Substitute(catalogue, providers, clock),
            breaker=breaker,
            clock=clock,
            chance=chance,
            paused=paused,
        ),
        clock=clock,
        new_token=new_token,
    )
    return Calling(advance, replace(advance, mode="direct"), Wake(jobs, generations, catalogue, providers, advance))
