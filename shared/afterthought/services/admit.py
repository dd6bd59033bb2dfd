"""What a request asks for and what it can cost: worked out and checked before anything is read, stored or paid."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from afterthought.catalogue import Catalogue
from afterthought.domain import admission, body, budget
from afterthought.domain.admission import MIN_OUTPUT_TOKENS
from afterthought.domain.bound import Bound, bound, estimated_tokens, fitting_output_tokens
from afterthought.domain.budget import Caps, MonthBook
from afterthought.domain.endpoint import check_url
from afterthought.domain.errors import InvalidRequest, MoneyRefused
from afterthought.domain.job import DEADLINE
from afterthought.domain.model import Model
from afterthought.domain.pricing import TIERS_BY_WIRE_NAME, ServiceTier, format_usd
from afterthought.domain.request import Afterthought, CreateResponse

# A job's deadline counts from when it is accepted, at most the api's time limit after its request was read.
_UNTIL_ACCEPTED = timedelta(seconds=30)


@dataclass(frozen=True)
class Admitted:
    """A request that can be served. `canonical` is what is stored of it, `bound` the most that it can cost on any day
    from `first` to `last`. Rate limits go by `rate_tokens`, an estimate, of which `rate_output_tokens` are output."""

    request: CreateResponse
    model: Model
    canonical: bytes
    tier: ServiceTier
    first: date
    last: date
    bound: Bound
    rate_tokens: int
    rate_output_tokens: int

    @property
    def ours(self) -> Afterthought:
        return self.request.afterthought or Afterthought()

    def above_cap(self) -> MoneyRefused | None:
        """Why it may cost more than its own `max_cost_usd`, with the max_output_tokens that would fit; None when it
        may not."""
        cap = self.ours.max_cost_usd
        if cap is None or self.bound.total_usd <= cap:
            return None
        fitting = self.fitting_output_tokens(cap)
        help_ = (
            f"With max_output_tokens of {fitting} or less it fits."
            if fitting is not None
            else f"Its input alone can cost ${format_usd(self.bound.input_usd)}: with the least output there is, "
            f"{MIN_OUTPUT_TOKENS} tokens, it does not fit."
        )
        return MoneyRefused(
            f"This job can cost up to ${format_usd(self.bound.total_usd)}, which is above its max_cost_usd of "
            f"${format_usd(cap)}. {help_}",
            param="afterthought.max_cost_usd",
            code="max_cost_exceeded",
            detail={
                "bound_usd": format_usd(self.bound.total_usd),
                "max_cost_usd": format_usd(cap),
                "max_output_tokens": fitting,
            },
        )

    def over_budget(self, book: MonthBook, caps: Caps, on: date) -> MoneyRefused | None:
        """Why it does not fit its tenant's budgets, with the max_output_tokens that would; None when it fits."""
        full = budget.over(book, caps, self.bound.total_usd, on)
        if not full:
            return None
        least = min(each.left_usd or Decimal(0) for each in full)
        return budget.refusal(full, self.bound.total_usd, self.fitting_output_tokens(least))

    def fitting_output_tokens(self, cap_usd: Decimal) -> int | None:
        """The most max_output_tokens with which the bound is at most so many dollars; None where none would do."""
        return fitting_output_tokens(
            self.request, self.model, self.tier, first=self.first, last=self.last, cap_usd=cap_usd
        )


@dataclass(frozen=True)
class Admit:
    catalogue: Catalogue
    providers: tuple[str, ...]
    allowed_origins: AbstractSet[str]
    clock: Callable[[], datetime]

    def __call__(self, raw_body: bytes) -> Admitted:
        """Raises InvalidRequest or BodyTooLarge."""
        now = self.clock()
        request = body.read(raw_body)
        model = self._model(request.model, now)
        admission.check(request, model, on=now.date())
        if request.afterthought is not None and request.afterthought.webhook_url is not None:
            check_url(request.afterthought.webhook_url, allowed_origins=self.allowed_origins)
        tier = TIERS_BY_WIRE_NAME[admission.service_tier(request)]
        # The call is made on any day until the deadline, at that day's price.
        first, last = now.date(), (now + _UNTIL_ACCEPTED + DEADLINE).date()
        return Admitted(
            request=request,
            model=model,
            canonical=body.canonical(request),
            tier=tier,
            first=first,
            last=last,
            bound=bound(request, model, tier, first=first, last=last),
            rate_tokens=estimated_tokens(request, model),
            rate_output_tokens=request.max_output_tokens or model.typical_output_tokens,
        )

    def _model(self, name: str, now: datetime) -> Model:
        model = self.catalogue.find(name)
        if model is None:
            raise InvalidRequest(
                f"The model '{name[:80]}' does not exist. Models: {', '.join(sorted(self.catalogue.models))}.",
                param="model",
                code="model_not_found",
            )
        provider = self.catalogue.provider_for(model.id, self.providers, now.date())
        if provider is None:
            raise InvalidRequest(self._gone(model, now), param="model", code="model_not_found")
        if provider.mode_for(model.id) != "background":
            raise InvalidRequest(
                f"The model '{model.id}' is served without a background mode, which is not supported.",
                param="model",
                code="unsupported_model",
            )
        return model

    def _gone(self, model: Model, now: datetime) -> str:
        live = self.catalogue.live_successor_of(model.id, self.providers, now.date())
        if not self.catalogue.retired_everywhere(model.id, self.providers, now.date()):
            return f"The model '{model.id}' is not served here. See GET /v1/models for what is."
        told = f"The model '{model.id}' has been retired by its provider"
        if model.successor is None:
            return f"{told}. See GET /v1/models for what is served."
        if live is None or live.id == model.successor:
            return f"{told}; its successor is {model.successor}."
        return f"{told}; its successor is {model.successor}, itself retired: use {live.id}."
