"""The services of the api function."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from afterthought.adapters import aws, clock, settings
from afterthought.adapters.ledger_table import LedgerTable
from afterthought.adapters.rate_window_table import RateWindowTable
from afterthought.catalogue import Catalogue, default_catalogue
from afterthought.composition import adapters
from afterthought.services.intake.admit import Admitter
from afterthought.services.intake.authenticate import Authenticator
from afterthought.services.intake.cancel import Canceller
from afterthought.services.intake.dry_run import DryRunner
from afterthought.services.intake.submit import Intake
from afterthought.services.limits.rate_limiter import RateLimiter, RateWindowStore
from afterthought.services.ports import Accounts, Contents, JobQueue, JobStore, Ledger
from afterthought.services.query.models import ModelReader
from afterthought.services.query.read import JobReader
from afterthought.services.query.usage import UsageReader


@dataclass(frozen=True)
class ApiServices:
    authenticator: Authenticator
    admitter: Admitter
    dry_runner: DryRunner
    intake: Intake
    canceller: Canceller
    reader: JobReader
    usage: UsageReader
    models: ModelReader


def build(
    *,
    jobs: JobStore,
    ledger: Ledger,
    accounts: Accounts,
    contents: Contents,
    queue: JobQueue,
    rate_windows: RateWindowStore,
    catalogue: Catalogue,
    providers: tuple[str, ...],
    allowed_origins: frozenset[str],
    clock: Callable[[], datetime],
    random_bytes: Callable[[int], bytes],
) -> ApiServices:
    """`providers` are the enabled ones in order of preference. `allowed_origins` are webhook origins that need not be
    public; only a local stack sets them."""
    rate_limiter = RateLimiter(rate_windows, catalogue, clock)
    return ApiServices(
        authenticator=Authenticator(accounts),
        admitter=Admitter(catalogue=catalogue, providers=providers, allowed_origins=allowed_origins, clock=clock),
        dry_runner=DryRunner(ledger, accounts, rate_limiter, clock),
        intake=Intake(
            jobs=jobs,
            ledger=ledger,
            accounts=accounts,
            contents=contents,
            queue=queue,
            rate_limiter=rate_limiter,
            clock=clock,
            random_bytes=random_bytes,
        ),
        canceller=Canceller(jobs, queue, clock),
        reader=JobReader(jobs, contents, catalogue),
        usage=UsageReader(ledger, accounts, clock),
        models=ModelReader(catalogue, providers, clock),
    )


def from_environment() -> ApiServices:
    account_table = settings.required("ACCOUNT_TABLE")
    return build(
        jobs=adapters.job_table(),
        ledger=LedgerTable(aws.dynamodb(), account_table),
        accounts=adapters.account_table(),
        contents=adapters.payloads(),
        queue=adapters.job_queue(),
        rate_windows=RateWindowTable(aws.dynamodb(), account_table),
        catalogue=default_catalogue(),
        providers=settings.listed("PROVIDERS"),
        allowed_origins=frozenset(settings.listed("WEBHOOK_ALLOWED_ORIGINS")),
        clock=clock.now,
        random_bytes=os.urandom,
    )
