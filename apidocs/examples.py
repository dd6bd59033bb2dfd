"""Example answers, rendered by the service's own code for a fictional tenant."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from afterthought.catalogue import default_catalogue
from afterthought.domain.errors import RequestRefused
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.spec import JobSpec
from afterthought.domain.ledger import budget, ledger
from afterthought.domain.limits import rate_limit
from afterthought.domain.models.pricing import Usage, cost
from afterthought.domain.tenants.tenant import Tenant
from afterthought.domain.webhooks.event import CompletionEvent
from afterthought.domain.wire.response import Answer, render
from afterthought.services.intake.admit import AdmittedRequest, Admitter
from afterthought.services.intake.dry_run import DryRunner
from afterthought.services.limits.rate_limiter import RateLimiter
from afterthought.services.query.models import ModelReader
from afterthought.services.query.usage import UsageReader

NOW = datetime(2026, 11, 2, 9, 30, 23, tzinfo=UTC)
TENANT = Tenant(name="acme", created_at=NOW, webhook_secrets=(), month_cap_usd=Decimal(200), day_cap_usd=Decimal(10))
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
_CATALOGUE = default_catalogue()
_USAGE = Usage(input_tokens=15, output_tokens=413, reasoning_tokens=384)
_COST = cost(_USAGE, _CATALOGUE.models["o3"].price("standard", _USAGE.input_tokens, NOW.date()))
_TEXT = {"type": "output_text", "text": "17 × 23 = 391.", "annotations": []}
_OUTPUT: tuple[dict[str, Any], ...] = (
    {"id": "rs_1", "type": "reasoning", "summary": []},
    {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [_TEXT]},
)


def admitted(changes: dict[str, Any] | None = None, **options: Any) -> AdmittedRequest:
    """The example request with changes, as the API admits it. Raises RequestRefused."""
    admitter = Admitter(catalogue=_CATALOGUE, providers=("openai",), allowed_origins=frozenset(), clock=lambda: NOW)
    request = {**REQUEST, **(changes or {}), "afterthought": {**REQUEST["afterthought"], **options}}
    return admitter.admit(json.dumps(request).encode())


_ADMITTED = admitted()
QUEUED = Job.create(
    JobSpec(
        id="resp_" + "7d1f0c5a2b9e4836" * 3,
        tenant=TENANT.name,
        model=_ADMITTED.model.id,
        effort=_ADMITTED.effort,
        max_output_tokens=_ADMITTED.request.max_output_tokens,
        service_tier="default",
        body_hash="",
        webhook=True,
        max_cost_usd=_ADMITTED.options.max_cost_usd,
        rate_tokens=_ADMITTED.rate_tokens,
        tags=tuple(_ADMITTED.options.tags or ()),
        created_at=NOW,
        deadline_at=NOW + timedelta(hours=24),
    ),
    _ADMITTED.call_spec,
)
_CALLING = QUEUED.start_call(token="", provider="openai", now=NOW + timedelta(milliseconds=430))
_RUNNING = _CALLING.mark_running(
    response_id="resp_at_the_provider", now=NOW + timedelta(milliseconds=640), poll_seconds=5
)
COMPLETED = _RUNNING.settle(
    "completed",
    now=NOW + timedelta(seconds=14, milliseconds=205),
    served_model="o3-2025-04-16",
    usage=_USAGE,
    price_id=_COST.price_id,
    cost_usd=_COST.total_usd,
)

# The ledger of two jobs: one has ended, another one without tags is queued.
_WAITING = QUEUED.model_copy(update={"id": "resp_" + "7d1f0c5a2b9e4837" * 3, "tags": ()})
_LEDGER = ledger.total(map(ledger.contribution, (COMPLETED, _WAITING)))
_BALANCE = _LEDGER.days[NOW.date()]
_PORTS: Any = SimpleNamespace(
    tenant=lambda _name: TENANT,
    month=lambda _tenant, _month: budget.MonthBalance(_BALANCE, _LEDGER.days),
    usage=lambda _tenant, _start, _end: _LEDGER.usage.items(),
    peek=lambda _tenant, _model, at: rate_limit.WindowUsage(requests=2, tokens=8010),  # noqa: ARG005 - the port's name
)
USAGE_READER = UsageReader(_PORTS, _PORTS, lambda: NOW)
_GROUPING = {"group_by": "tag,status"}


def _dry_run(request: AdmittedRequest) -> Any:
    return DryRunner(_PORTS, _PORTS, RateLimiter(_PORTS, _CATALOGUE, lambda: NOW), lambda: NOW).run(
        TENANT.name, request
    )


def _refusal() -> RequestRefused | None:
    try:
        admitted({"reasoning": {"effort": "max"}})
    except RequestRefused as refused:
        return refused
    return None


def _errors() -> dict[int, dict[str, Any]]:
    """By status and code."""
    limits = rate_limit.limits_of(TENANT, _CATALOGUE.tiers[TENANT.tier])
    window = rate_limit.WindowUsage(77, limits.tokens_per_minute - 3000)
    state = rate_limit.RateState(limits, window, rate_limit.resets_in_seconds(NOW))
    balance = ledger.Balance(held_usd=Decimal("0.07106"), spent_usd=Decimal("9.917302"))
    month = budget.MonthBalance(balance, {NOW.date(): balance})
    errors = (
        _refusal(),
        admitted(max_cost_usd="0.02").max_cost_refusal(),
        _ADMITTED.budget_refusal(month, budget.caps_of(TENANT), NOW.date()),
        rate_limit.rate_limited(state, REQUEST["model"], _ADMITTED.rate_tokens),
    )
    by_status: dict[int, dict[str, Any]] = {}
    for error in filter(None, errors):
        by_status.setdefault(error.status, {})[str(error.code)] = {"error": error.wire()}
    return by_status


COMPLETED_RESPONSE: Any = render(COMPLETED, REQUEST, Answer(output=_OUTPUT), _COST, stand_in=False)
QUEUED_RESPONSE: Any = render(QUEUED, REQUEST, None, None, stand_in=False)
_CANCELLED = QUEUED.cancel(now=NOW + timedelta(milliseconds=640))
CANCELLED_RESPONSE: Any = render(_CANCELLED, REQUEST, None, None, stand_in=False)
DRY_RUN = _dry_run(admitted(max_cost_usd="0.02", dry_run=True))
_SUCCESSOR = admitted({"model": "o3-mini"}, max_cost_usd="0.2", dry_run=True, model_policy="successor")
USAGE: Any = USAGE_READER.report(TENANT.name, _GROUPING)
EVENT: Any = json.loads(CompletionEvent.of(COMPLETED).payload())
ERRORS = _errors()

# The examples of successful answers by operation and media type.
ANSWERS: dict[tuple[str, str], dict[str, Any]] = {
    ("createResponse", "application/json"): {
        "accepted": QUEUED_RESPONSE,
        "dry run": DRY_RUN,
        "dry run, retired model": _dry_run(_SUCCESSOR),
    },
    ("retrieveResponse", "application/json"): {"completed": COMPLETED_RESPONSE},
    ("cancelResponse", "application/json"): {"cancelled": CANCELLED_RESPONSE},
    ("readUsage", "application/json"): {"JSON": USAGE},
    ("readUsage", "text/csv"): {"CSV": USAGE_READER.csv(TENANT.name, _GROUPING)},
    ("retrieveModel", "application/json"): {"o3": ModelReader(_CATALOGUE, ("openai",), lambda: NOW).get("o3")},
    ("healthz", "application/json"): {"running": {"status": "ok"}},
}
