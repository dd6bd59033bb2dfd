"""What a request asks for and what it can cost: worked out and checked before anything is read, stored or paid."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from afterthought.catalogue import Catalogue
from afterthought.domain import admission, body, budget
from afterthought.domain.admission import MIN_OUTPUT_TOKENS
from afterthought.domain.attempt import Plan
from afterthought.domain.bound import Bound, bound, estimated_tokens, fitting_output_tokens
from afterthought.domain.budget import Caps, MonthBalance
from afterthought.domain.endpoint import check_url
from afterthought.domain.errors import InvalidRequest, MoneyRefused
from afterthought.domain.model import Effort, Model
from afterthought.domain.pricing import TIERS_BY_WIRE_NAME, ServiceTier, format_usd
from afterthought.domain.provider import Mode, Provider
from afterthought.domain.request import CreateResponse
from afterthought.domain.terms import MAX_DEADLINE_SECONDS, Afterthought

# A job's deadline counts from when it is accepted, at most the api's time limit after its request was read.
_UNTIL_ACCEPTED = timedelta(seconds=30)


@dataclass(frozen=True)
class Admitted:
    """A request that can be served. `canonical` is what is stored of it. `requested` is the model it names, `model` the
    one that is called, which differ where a successor takes a retired model's place: then `called` is the request as
    that one gets it. `mode` is how its provider is called.

    `bound` is the most that the call can cost on any day from `first` to `last`. Rate limits go by `rate_tokens`, an
    estimate, of which `rate_output_tokens` are output.
    """

    request: CreateResponse
    requested: Model
    called: CreateResponse
    model: Model
    mode: Mode
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

    @property
    def effort(self) -> Effort | None:
        """What is asked of the model that was asked for: the caller's effort, else that model's own."""
        return admission.effort(self.request, self.requested)

    @property
    def deadline(self) -> timedelta:
        """From when it is accepted."""
        return _deadline(self.ours)

    @property
    def plan(self) -> Plan:
        """What the first attempt calls."""
        return Plan(
            model=self.called.model,
            effort=admission.effort(self.called, self.model),
            max_output_tokens=self.called.max_output_tokens,
            hold_usd=self.bound.total_usd,
            because=None if self.model == self.requested else "model_retired",
        )

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
        run_by = "" if self.model == self.requested else f", run by {self.model.id},"
        return MoneyRefused(
            f"This job{run_by} can cost up to ${format_usd(self.bound.total_usd)}, which is above its max_cost_usd of "
            f"${format_usd(cap)}. {help_}",
            param="afterthought.max_cost_usd",
            code="max_cost_exceeded",
            detail={
                "bound_usd": format_usd(self.bound.total_usd),
                "max_cost_usd": format_usd(cap),
                "max_output_tokens": fitting,
            },
        )

    def over_budget(self, book: MonthBalance, caps: Caps, on: date) -> MoneyRefused | None:
        """Why it does not fit its tenant's budgets, with the max_output_tokens that would; None when it fits."""
        full = budget.exceeded(book, caps, self.bound.total_usd, on)
        if not full:
            return None
        least = min(each.left_usd or Decimal(0) for each in full)
        return budget.refusal(full, self.bound.total_usd, self.fitting_output_tokens(least))

    def fitting_output_tokens(self, cap_usd: Decimal) -> int | None:
        """The most max_output_tokens with which the bound is at most so many dollars; None where none would do."""
        return fitting_output_tokens(
            self.called, self.model, self.tier, first=self.first, last=self.last, cap_usd=cap_usd
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
        requested = self._requested(request.model)
        model, provider = self._served(request, requested, now.date())
        called = request if model == requested else admission.for_successor(request, requested, model)
        admission.check(called, model, on=now.date())
        ours = request.afterthought or Afterthought()
        if ours.webhook_url is not None:
            check_url(ours.webhook_url, allowed_origins=self.allowed_origins)
        tier = TIERS_BY_WIRE_NAME[admission.service_tier(request)]
        # The call is made on any day until the deadline, at that day's price.
        first, last = now.date(), (now + _UNTIL_ACCEPTED + _deadline(ours)).date()
        return Admitted(
            request=request,
            requested=requested,
            called=called,
            model=model,
            mode=provider.mode_for(model.id),
            canonical=body.canonical(request),
            tier=tier,
            first=first,
            last=last,
            bound=bound(called, model, tier, first=first, last=last),
            rate_tokens=estimated_tokens(called, model),
            rate_output_tokens=called.max_output_tokens or model.typical_output_tokens,
        )

    def _requested(self, name: str) -> Model:
        model = self.catalogue.find(name)
        if model is None:
            raise InvalidRequest(
                f"The model '{name[:80]}' does not exist. Models: {', '.join(sorted(self.catalogue.models))}.",
                param="model",
                code="model_not_found",
            )
        return model

    def _served(self, request: CreateResponse, requested: Model, today: date) -> tuple[Model, Provider]:
        """The model that is called, and who serves it: of a retired model its successor, if the caller lets it be."""
        provider = self.catalogue.provider_for(requested.id, self.providers, today)
        if provider is not None:
            return requested, provider
        ours = request.afterthought
        retired = self.catalogue.retired_everywhere(requested.id, self.providers, today)
        if retired and ours is not None and ours.model_policy == "successor":
            live = self.catalogue.live_successor_of(requested.id, self.providers, today)
            provider = self.catalogue.provider_for(live.id, self.providers, today) if live else None
            if live is not None and provider is not None:
                return live, provider
        raise InvalidRequest(self._gone(requested, today), param="model", code="model_not_found")

    def _gone(self, model: Model, today: date) -> str:
        if not self.catalogue.retired_everywhere(model.id, self.providers, today):
            return f"The model '{model.id}' is not served here. See GET /v1/models for what is."
        told = f"The model '{model.id}' has been retired by its provider"
        live = self.catalogue.live_successor_of(model.id, self.providers, today)
        if live is None:
            line = f", and its successor {model.successor} is not served here either" if model.successor else ""
            return f"{told}{line}. See GET /v1/models for what is served."
        itself = "" if live.id == model.successor else ", itself retired"
        return (
            f"{told}; its successor is {model.successor}{itself}. "
            f'With afterthought.model_policy of "successor" it would run {live.id}.'
        )


def _deadline(ours: Afterthought) -> timedelta:
    return timedelta(seconds=ours.deadline_seconds or MAX_DEADLINE_SECONDS)
