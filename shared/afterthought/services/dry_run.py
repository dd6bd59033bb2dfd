"""What a request would cost at most, and what would refuse it: nothing is taken, held or stored."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from afterthought.domain import budget
from afterthought.domain.pricing import format_usd, price_date
from afterthought.services.admit import Admitted
from afterthought.services.authenticate import tenant_named
from afterthought.services.limits.rate_limiter import RateLimiter
from afterthought.services.ports import Accounts, Books

Wire = dict[str, Any]


@dataclass(frozen=True)
class DryRun:
    books: Books
    accounts: Accounts
    limit: RateLimiter
    clock: Callable[[], datetime]

    def __call__(self, tenant_name: str, admitted: Admitted) -> Wire:
        """The answer on the wire. A request that is wrong in itself was refused before this."""
        tenant = tenant_named(self.accounts, tenant_name)
        today = self.clock().date()
        book = self.books.month(tenant.name, today.replace(day=1))
        caps = budget.caps_of(tenant)
        bound, plan = admitted.bound, admitted.plan
        state, too_much = self.limit.peek(
            tenant, admitted.model.id, admitted.rate_tokens, output_tokens=admitted.rate_output_tokens
        )
        refusals = (admitted.above_cap(), too_much, admitted.over_budget(book, caps, today))
        return {
            "id": None,
            "object": "response.dry_run",
            "model": admitted.request.model,
            "afterthought": {
                "dry_run": True,
                "plan": {
                    "model": plan.model,
                    "effort": plan.effort,
                    "max_output_tokens": plan.max_output_tokens,
                    "substituted_because": plan.because,
                    "mode": admitted.mode,
                    "deadline_seconds": int(admitted.deadline.total_seconds()),
                },
                "bound": {**bound.model_dump(mode="json"), "price_date": price_date(bound.price_id)},
                "max_cost_usd": None if (cap := admitted.ours.max_cost_usd) is None else format_usd(cap),
                "budgets": [each.wire() for each in budget.budgets(book, caps, today)],
                "rate_tokens": admitted.rate_tokens,
                "rate_limits": None if state is None else state.headers(),
                "would_refuse": [{"status": each.status, **each.wire()} for each in refusals if each is not None],
            },
        }
