"""Dry run: the maximum cost of a request and the errors that it would get. Nothing is counted, held or stored."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from afterthought.domain.ledger import budget
from afterthought.domain.models.pricing import format_usd, price_date
from afterthought.services.intake.admit import AdmittedRequest
from afterthought.services.intake.authenticate import load_tenant
from afterthought.services.limits.rate_limiter import RateLimiter
from afterthought.services.ports import Accounts, Ledger

Wire = dict[str, Any]


@dataclass(frozen=True)
class DryRunner:
    ledger: Ledger
    accounts: Accounts
    rate_limiter: RateLimiter
    clock: Callable[[], datetime]

    def run(self, tenant_name: str, admitted: AdmittedRequest) -> Wire:
        """The response body. Invalid requests were refused at admission."""
        tenant = load_tenant(self.accounts, tenant_name)
        today = self.clock().date()
        balance = self.ledger.month(tenant.name, today.replace(day=1))
        caps = budget.caps_of(tenant)
        call, cost, max_cost_usd = admitted.call_spec, admitted.max_cost, admitted.options.max_cost_usd
        rate, rate_refusal = self.rate_limiter.peek(
            tenant, admitted.model.id, admitted.rate_tokens, output_tokens=admitted.rate_output_tokens
        )
        refusals = (admitted.max_cost_refusal(), rate_refusal, admitted.budget_refusal(balance, caps, today))
        return {
            "id": None,
            "object": "response.dry_run",
            "model": admitted.request.model,
            "afterthought": {
                "dry_run": True,
                "plan": {
                    "model": call.model,
                    "effort": call.effort,
                    "max_output_tokens": call.max_output_tokens,
                    "substituted_because": call.reason,
                    "mode": admitted.mode,
                    "deadline_seconds": int(admitted.deadline.total_seconds()),
                },
                "bound": {**cost.model_dump(mode="json"), "price_date": price_date(cost.price_id)},
                "max_cost_usd": None if max_cost_usd is None else format_usd(max_cost_usd),
                "budgets": [each.wire() for each in budget.budgets(balance, caps, today)],
                "rate_tokens": admitted.rate_tokens,
                "rate_limits": None if rate is None else rate.headers(),
                "would_refuse": [
                    {"status": refusal.status, **refusal.wire()} for refusal in refusals if refusal is not None
                ],
            },
        }
