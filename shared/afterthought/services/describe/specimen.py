"""A tenant to show: invented jobs, and the books, limits and budgets that they stand in."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from afterthought.catalogue import default_catalogue
from afterthought.domain import books
from afterthought.domain.books import Counts, Standing, UsageKey, booked
from afterthought.domain.budget import MonthBook
from afterthought.domain.job import Job, accept
from afterthought.domain.limits.rate_limit import Limits, WindowUsage
from afterthought.domain.model import Model
from afterthought.domain.pricing import Cost, Usage, cost
from afterthought.domain.tenant import Tenant
from afterthought.services.admit import Admit, Admitted

ACCEPTED = datetime(2026, 11, 2, 9, 30, 23, tzinfo=UTC)
TAKEN = ACCEPTED + timedelta(milliseconds=640)
ENDED = ACCEPTED + timedelta(seconds=14, milliseconds=205)
TENANT = Tenant(
    name="acme", created_at=ACCEPTED, webhook_secrets=(), month_cap_usd=Decimal(200), day_cap_usd=Decimal(10)
)
REQUEST: dict[str, Any] = {
    "model": "o3",
    "input": "What is 17 times 23?",
    "reasoning": {"effort": "high"},
    "max_output_tokens": 4000,
    "metadata": {"order": "4711"},
    "afterthought": {
        "webhook_url": "https://example.com/hooks/afterthought",
        "max_cost_usd": "0.05",
        "tags": ["checkout", "team/blue"],
    },
}
USAGE = Usage(input_tokens=15, output_tokens=413, reasoning_tokens=384)


def admitted(changes: dict[str, Any] | None = None, **ours: Any) -> Admitted:
    """The request, changed, as the API takes it in. Raises RequestRefused."""
    admit = Admit(
        catalogue=default_catalogue(), providers=("openai",), allowed_origins=frozenset(), clock=lambda: ACCEPTED
    )
    sent = {**REQUEST, **(changes or {}), "afterthought": {**REQUEST["afterthought"], **ours}}
    return admit(json.dumps(sent).encode())


@cache
def model() -> Model:
    return default_catalogue().models[REQUEST["model"]]


@cache
def bill() -> Cost:
    return cost(USAGE, model().price("standard", USAGE.input_tokens, ACCEPTED.date()))


@cache
def queued(number: int = 0) -> Job:
    taken_in = admitted()
    return accept(
        id="resp_" + f"{0x7D1F0C5A2B9E4836 + number:016x}" * 3,
        tenant=TENANT.name,
        model=taken_in.model.id,
        effort=taken_in.effort,
        max_output_tokens=taken_in.request.max_output_tokens,
        service_tier="default",
        body_hash="",
        webhook=True,
        plan=taken_in.plan,
        max_cost_usd=taken_in.ours.max_cost_usd,
        rate_tokens=taken_in.rate_tokens,
        tags=tuple(taken_in.ours.tags or ()),
        now=ACCEPTED,
    )


@cache
def completed() -> Job:
    called = queued().begin(token="", provider="openai", now=TAKEN - timedelta(milliseconds=210))
    taken = called.submitted(response_id="resp_at_the_provider", now=TAKEN, check_seconds=5)
    return taken.settled(
        "completed",
        now=ENDED,
        served_model="o3-2025-04-16",
        usage=USAGE,
        price_id=bill().price_id,
        cost_usd=bill().total_usd,
    )


@cache
def cancelled() -> Job:
    return queued().cancelled(now=TAKEN)


class Books:
    """The port `Books`: one job has ended, another, without tags, waits."""

    def month(self, _tenant: str, _month: date) -> MonthBook:
        days = self._all().days
        whole = Standing()
        for standing in days.values():
            whole = whole.plus(standing)
        return MonthBook(whole, days)

    def usage(self, _tenant: str, _first: date, _last: date) -> Iterator[tuple[UsageKey, Counts]]:
        yield from self._all().usage.items()

    def _all(self) -> books.Books:
        return books.total(map(booked, (completed(), queued(1).model_copy(update={"tags": ()}))))


class Accounts:
    """The port `Accounts`."""

    def tenant_of(self, _key_hash: str) -> str:
        return TENANT.name

    def tenant(self, _name: str) -> Tenant:
        return TENANT


class Minute:
    """The port `RateWindowStore`: two requests have come in this minute."""

    window = WindowUsage(requests=2, tokens=2 * 4005)

    def take(self, _tenant: str, _model: str, *, at: datetime, tokens: int, limits: Limits) -> tuple[bool, WindowUsage]:  # noqa: ARG002 - the port's
        return True, self.window

    def peek(self, _tenant: str, _model: str, *, at: datetime) -> WindowUsage:  # noqa: ARG002 - the port's
        return self.window

    def correct(self, _tenant: str, _model: str, *, at: datetime, tokens: int) -> None:
        """Nothing is ever taken."""
