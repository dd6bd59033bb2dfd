"""What the services need of the outside, and no more. The adapters give it, and so does the tests' simulator.

Every method may also raise what its transport raises; the record is then handed out again by its queue or stream.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Protocol

from afterthought.domain.books import Counts, UsageKey
from afterthought.domain.budget import NO_CAPS, Caps, MonthBook
from afterthought.domain.event import CompletionEvent
from afterthought.domain.jobs.generation import Generation
from afterthought.domain.jobs.job import Job
from afterthought.domain.provider import Provider
from afterthought.domain.tenant import Tenant


class Jobs(Protocol):
    """The STATE of every job. Reads are consistent."""

    def get(self, job_id: str) -> Job | None: ...

    def mark_published(self, job_id: str) -> None:
        """Takes `overdue_at` off a terminal job: nothing is due any more. Harmless when done twice."""

    def overdue(self, now: datetime) -> Iterable[str]:
        """Ids of jobs with `overdue_at` before `now`. May name a job that has moved on meanwhile."""


class Ledger(Jobs, Protocol):
    """The jobs, as those see them who take them on. The books move with each write, in the same transaction."""

    def create(self, job: Job, caps: Caps) -> None:
        """Writes the job and moves the books, or neither. Raises JobExists when the id is taken, OverBudget when a cap
        would be passed, TablesBusy when too many wanted the same books."""

    def save(self, before: Job, after: Job, caps: Caps = NO_CAPS) -> None:
        """Writes the job over the version before it and moves the books, or neither. Raises JobChanged when that
        version is not what stands, OverBudget when the movement would pass a cap, TablesBusy as `create` does."""


class Books(Protocol):
    """What stands in the books of money and usage. Reads are consistent."""

    def month(self, tenant: str, month: date) -> MonthBook:
        """The budgets of the month that begins on that day; empty where nothing was ever held."""

    def usage(self, tenant: str, first: date, last: date) -> Iterable[tuple[UsageKey, Counts]]:
        """The usage of the days from `first` to `last`, both included, in the order of the days; no empty rows. Each is
        read as it stands at some moment while they are gone through, not all at the same one."""


class Contents(Protocol):
    """What is big, written once: a request (`INPUT#<body hash>`), an answer (`OUTPUT#<attempt>`)."""

    def put(self, job_id: str, name: str, content: bytes, *, expires_at: datetime) -> None: ...

    def get(self, job_id: str, name: str) -> bytes | None: ...


class JobQueue(Protocol):
    """Messages that say only "look at job X"."""

    def send(self, job: Job, *, delay_seconds: int = 0) -> None:
        """To those who take on jobs of its mode. `delay_seconds` at most 900. Raises QueueUnavailable."""


class Generations(Protocol):
    """The model providers."""

    def announces(self, provider: Provider) -> bool:
        """Whether the provider tells us by its webhook that a response has ended."""

    def create(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        """The paid call: made once, never repeated here. Raises ProviderBusy, ProviderRefused or OutcomeUnknown."""

    def retrieve(self, provider: Provider, response_id: str) -> Generation:
        """Raises ProviderBusy, ProviderRefused, OutcomeUnknown or GenerationGone."""

    def cancel(self, provider: Provider, response_id: str) -> Generation:
        """The generation as it stands after the cancel. Raises as `retrieve`."""


class Topic(Protocol):
    """The completion topic."""

    def publish(self, event: CompletionEvent) -> None: ...


class Accounts(Protocol):
    """Tenants and their API keys."""

    def tenant_of(self, key_hash: str) -> str | None:
        """The tenant whose live key has this hash."""

    def tenant(self, name: str) -> Tenant | None: ...


class Cipher(Protocol):
    """Encrypts what must not stand in a table as it is, bound to the tenant it belongs to."""

    def encrypt(self, plain: str, *, tenant: str) -> bytes: ...

    def decrypt(self, sealed: bytes, *, tenant: str) -> str: ...


class Receiver(Protocol):
    """The callers' webhook endpoints."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The 2xx status that accepted it. Raises DeliveryFailed for everything else."""


class Deliveries(Protocol):
    """The record of webhook sends, one a job and endpoint."""

    def delivered(self, job_id: str, endpoint: str) -> bool: ...

    def record(self, job_id: str, endpoint: str, *, at: datetime, status: int | None, error: str | None) -> None: ...
