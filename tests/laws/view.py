"""The input of the laws: jobs, generations, events, webhooks and the ledger, when the service is idle.

The simulator and the local stack both fill it. What a source cannot observe is None or empty, and the laws skip it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from afterthought.domain.jobs.job import Job
from afterthought.domain.models.pricing import Usage
from afterthought.domain.webhooks.event import CompletionEvent
from tests.laws.money import Money


@dataclass(frozen=True)
class Generation:
    """A generation at the provider. `token` is the attempt's, from the metadata.

    `ran` is False where the provider accepted the call and then refused it without running it. `cancelled` means by our
    request. `attempt_recorded` is whether the attempt was stored when the generation started.
    """

    response_id: str
    job_id: str
    token: str
    ran: bool = True
    cancelled: bool = False
    cancelled_by_provider: bool = False
    attempt_recorded: bool | None = None
    starved: bool | None = None
    usage: Usage | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True)
class Webhook:
    """A request that a caller's endpoint received. `signed` means that its signature verifies; `accepted`, that the
    endpoint answered 2xx. `tenant` is the owner of the endpoint. `job_id` is None where the body was not trusted."""

    job_id: str | None
    tenant: str
    type: str | None
    message_id: str | None
    body: bytes
    signed: bool
    accepted: bool


@dataclass(frozen=True)
class Balance:
    """A tenant's budget of a month or a day, at one moment. Dollars; `cap` is None where there is no budget."""

    tenant: str
    period: str
    held: Decimal
    spent: Decimal
    cap: Decimal | None

    @property
    def used(self) -> Decimal:
        return self.held + self.spent


@dataclass(frozen=True)
class View:
    """`accepted` are the ids of jobs whose caller got a 2xx. `balances` are all that were observed while jobs ran.

    `history` has the versions of each job. `cancels` are the jobs whose owner requested a cancel, `cancelled_at` the
    times of the answers to these requests. `abandoned_webhooks` are jobs whose webhook is in the dead-letter queue. A
    job has `grace` to end after its deadline or its cancel: a lease, a visibility timeout, sweeps.
    """

    accepted: Collection[str]
    jobs: Mapping[str, Job]
    generations: Sequence[Generation]
    ledger: Money
    balances: Sequence[Balance] = ()
    published: Sequence[CompletionEvent] | None = None
    webhooks: Sequence[Webhook] | None = None
    webhook_jobs: Collection[str] = ()
    abandoned_webhooks: Collection[str] = ()
    cancels: Collection[str] | None = None
    cancelled_at: Mapping[str, datetime] = field(default_factory=dict)
    history: Mapping[str, Sequence[Job]] | None = None
    grace: timedelta = timedelta(hours=2)

    def generations_of(self, job_id: str) -> list[Generation]:
        return [generation for generation in self.generations if generation.job_id == job_id]
