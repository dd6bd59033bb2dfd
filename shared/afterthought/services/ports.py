"""The interfaces that the services use. The adapters implement them, and so does the simulator of the tests.

Any method may also raise errors of its transport. The queue or stream then delivers the record again.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Protocol

from afterthought.domain.jobs.generation import Generation
from afterthought.domain.jobs.job import Job
from afterthought.domain.ledger.budget import NO_CAPS, Caps, MonthBalance
from afterthought.domain.ledger.ledger import Amounts, UsageKey
from afterthought.domain.models.provider import Provider
from afterthought.domain.tenants.tenant import Tenant
from afterthought.domain.webhooks.event import CompletionEvent


class JobLookup(Protocol):
    """Reads of jobs. They are consistent."""

    def get(self, job_id: str) -> Job | None: ...

    def mark_published(self, job_id: str) -> None:
        """Removes `overdue_at` from a terminal job: nothing is left to do. May be repeated."""

    def overdue(self, now: datetime) -> Iterable[str]:
        """Ids of jobs with `overdue_at` before `now`. A job may have changed since the index was read."""


class JobStore(JobLookup, Protocol):
    """Jobs, with the ledger: each write changes both, in one transaction."""

    def create(self, job: Job, caps: Caps) -> None:
        """Raises JobExists when the id is taken, OverBudget when a cap would be exceeded, and TablesBusy when too many
        transactions conflict on the same ledger items."""

    def save(self, before: Job, after: Job, caps: Caps = NO_CAPS) -> None:
        """Writes `after` over `before`. Raises VersionConflict when another version is stored, OverBudget when a cap
        would be exceeded, and TablesBusy as `create` does."""


class Ledger(Protocol):
    """Reads of the accounting. They are consistent."""

    def month(self, tenant: str, month: date) -> MonthBalance:
        """The balances of the month that begins on that day; zero if nothing was held."""

    def usage(self, tenant: str, first: date, last: date) -> Iterable[tuple[UsageKey, Amounts]]:
        """The usage of the days from `first` to `last`, both included, by ascending day, without empty rows.
        The rows are read one after the other, so they are not one snapshot."""


class Contents(Protocol):
    """Large contents, written once: a request (`INPUT#<body hash>`), an answer (`OUTPUT#<attempt>`)."""

    def put(self, job_id: str, name: str, content: bytes, *, expires_at: datetime) -> None: ...

    def get(self, job_id: str, name: str) -> bytes | None: ...


class JobQueue(Protocol):
    """Messages that name a job whose next step is due."""

    def send(self, job: Job, *, delay_seconds: int = 0) -> None:
        """Sends to the queue of the job's mode. `delay_seconds` is at most 900. Raises QueueUnavailable."""


class Generations(Protocol):
    """The model providers."""

    def sends_events(self, provider: Provider) -> bool:
        """Whether the provider sends a webhook when a response ends, and its webhook secret is configured."""

    def create(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        """The paid call: made once, never retried here. Raises ProviderBusy, ProviderRefused or OutcomeUnknown."""

    def retrieve(self, provider: Provider, response_id: str) -> Generation:
        """Raises ProviderBusy, ProviderRefused, OutcomeUnknown or GenerationGone."""

    def cancel(self, provider: Provider, response_id: str) -> Generation:
        """The response after the cancel. Raises as `retrieve` does."""


class Topic(Protocol):
    """The completion topic."""

    def publish(self, event: CompletionEvent) -> None: ...


class Accounts(Protocol):
    """Tenants and their API keys."""

    def tenant_of(self, key_hash: str) -> str | None:
        """The tenant of the active key with this hash."""

    def tenant(self, name: str) -> Tenant | None: ...


class Cipher(Protocol):
    """Encrypts secrets, bound to their tenant."""

    def encrypt(self, plain: str, *, tenant: str) -> bytes: ...

    def decrypt(self, sealed: bytes, *, tenant: str) -> str: ...


class WebhookClient(Protocol):
    """Sends to the callers' webhook endpoints."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The 2xx status of the endpoint. Raises DeliveryFailed for anything else."""


class Deliveries(Protocol):
    """The record of webhook attempts, one for each job and endpoint."""

    def delivered(self, job_id: str, endpoint: str) -> bool: ...

    def record(self, job_id: str, endpoint: str, *, at: datetime, status: int | None, error: str | None) -> None: ...
