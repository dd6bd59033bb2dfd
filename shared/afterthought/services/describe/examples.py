"""Examples: answers and refusals, made by the service's own code for an invented tenant."""

from decimal import Decimal
from typing import Any

from afterthought.catalogue import default_catalogue
from afterthought.domain.books import Standing
from afterthought.domain.budget import MonthBook, caps_of
from afterthought.domain.errors import RequestRefused
from afterthought.domain.event import CompletionEvent
from afterthought.domain.limits.rate_limit import RateState, WindowUsage, limits_of, rate_limited, resets_in_seconds
from afterthought.domain.response import Answer, render
from afterthought.services.admit import Admitted
from afterthought.services.describe import specimen
from afterthought.services.describe.specimen import ACCEPTED, REQUEST, TENANT
from afterthought.services.dry_run import DryRun
from afterthought.services.limits.rate_limiter import RateLimiter
from afterthought.services.usage import ReadUsage

Wire = dict[str, Any]

__all__ = ("REQUEST",)

_OUTPUT = (
    {"id": "rs_1", "type": "reasoning", "summary": []},
    {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "17 × 23 = 391.", "annotations": []}],
    },
)


def queued() -> Wire:
    """The answer to POST /v1/responses."""
    return render(specimen.queued(), REQUEST, None, None, stand_in=False)


def completed() -> Wire:
    """The answer to GET /v1/responses/{id} once the model has thought."""
    return render(specimen.completed(), REQUEST, Answer(output=_OUTPUT), specimen.bill(), stand_in=False)


def cancelled() -> Wire:
    """The answer to POST /v1/responses/{id}/cancel while no model works on it."""
    return render(specimen.cancelled(), REQUEST, None, None, stand_in=False)


def dry_run() -> Wire:
    """The answer to POST /v1/responses when it is only asked what would come of it."""
    return _dry_run(specimen.admitted(max_cost_usd="0.02", dry_run=True))


def substitution() -> Wire:
    """The same of a model that is gone, whose successor may run."""
    return _dry_run(specimen.admitted({"model": "o3-mini"}, max_cost_usd="0.2", dry_run=True, model_policy="successor"))


def usage() -> Wire:
    """The answer to GET /v1/usage."""
    return _usage()(TENANT.name, {"group_by": "tag,status"})


def usage_table() -> str:
    """The same as CSV."""
    return _usage().csv(TENANT.name, {"group_by": "tag,status"})


def event() -> str:
    """The body of a webhook."""
    return CompletionEvent.of(specimen.completed()).payload().decode()


def refusals(status: int) -> dict[str, Wire]:
    """Examples of refusals with that status, by code."""
    made = (_unsupported_value(), specimen.admitted(max_cost_usd="0.02").above_cap(), _budget_exceeded(), _rate_limit())
    return {
        str(refused.code): {"error": refused.wire()}
        for refused in made
        if refused is not None and refused.status == status
    }


def _dry_run(admitted: Admitted) -> Wire:
    limit = RateLimiter(specimen.Minute(), default_catalogue(), lambda: ACCEPTED)
    return DryRun(specimen.Books(), specimen.Accounts(), limit, lambda: ACCEPTED)(TENANT.name, admitted)


def _usage() -> ReadUsage:
    return ReadUsage(specimen.Books(), specimen.Accounts(), lambda: ACCEPTED)


def _unsupported_value() -> RequestRefused | None:
    try:
        specimen.admitted({"reasoning": {"effort": "max"}})
    except RequestRefused as refused:
        return refused
    return None


def _budget_exceeded() -> RequestRefused | None:
    today = ACCEPTED.date()
    used = Standing(held_usd=Decimal("0.07106"), spent_usd=Decimal("9.917302"))
    return specimen.admitted().over_budget(MonthBook(used, {today: used}), caps_of(TENANT), today)


def _rate_limit() -> RequestRefused:
    limits = limits_of(TENANT, default_catalogue().tiers[TENANT.tier])
    state = RateState(limits, WindowUsage(77, limits.tokens_per_minute - 3000), resets_in_seconds(ACCEPTED))
    return rate_limited(state, REQUEST["model"], specimen.admitted().rate_tokens)
