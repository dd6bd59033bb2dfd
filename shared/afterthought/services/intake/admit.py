"""Admission: checks a request and computes its maximum cost, before anything is read, stored or paid."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from afterthought.catalogue import Catalogue
from afterthought.domain.errors import InvalidRequest, MoneyRefused
from afterthought.domain.jobs.attempt import CallSpec
from afterthought.domain.ledger import budget
from afterthought.domain.ledger.budget import Caps, MonthBalance
from afterthought.domain.models.model import Effort, Model
from afterthought.domain.models.pricing import TIERS_BY_WIRE_NAME, ServiceTier, format_usd
from afterthought.domain.models.provider import Mode, Provider
from afterthought.domain.request import admission, body
from afterthought.domain.request.admission import MIN_OUTPUT_TOKENS
from afterthought.domain.request.max_cost import MaxCost, estimated_tokens, fitting_output_tokens, max_cost
from afterthought.domain.request.options import MAX_DEADLINE_SECONDS, AfterthoughtOptions
from afterthought.domain.request.request import CreateResponse
from afterthought.domain.webhooks.endpoint import check_url

# The deadline counts from acceptance, which is at most the api function's time limit after admission.
_MAX_SECONDS_TO_ACCEPT = 30


@dataclass(frozen=True)
class AdmittedRequest:
    """A request that can be served.

    - `canonical`: the stored form of the request
    - `requested_model`, `model`: the model of the request and the model that is called; they differ if a successor
      replaces a retired model
    - `called_request`: the request for `model`
    - `mode`: how the provider is called
    - `max_cost`: the maximum cost of the call on any day from `first_day` to `last_day`
    - `rate_tokens`: the estimated tokens for rate limits, of which `rate_output_tokens` are output
    """

    request: CreateResponse
    requested_model: Model
    called_request: CreateResponse
    model: Model
    mode: Mode
    canonical: bytes
    tier: ServiceTier
    first_day: date
    last_day: date
    max_cost: MaxCost
    rate_tokens: int
    rate_output_tokens: int

    @property
    def options(self) -> AfterthoughtOptions:
        return self.request.afterthought or AfterthoughtOptions()

    @property
    def effort(self) -> Effort | None:
        """The requested effort, or the default of the requested model."""
        return admission.effective_effort(self.request, self.requested_model)

    @property
    def deadline(self) -> timedelta:
        """Counted from acceptance."""
        return _deadline(self.options)

    @property
    def call_spec(self) -> CallSpec:
        """What the first attempt calls."""
        return CallSpec(
            model=self.called_request.model,
            effort=admission.effective_effort(self.called_request, self.model),
            max_output_tokens=self.called_request.max_output_tokens,
            hold_usd=self.max_cost.total_usd,
            reason=None if self.model == self.requested_model else "model_retired",
        )

    def max_cost_refusal(self) -> MoneyRefused | None:
        """The refusal if the maximum cost exceeds `max_cost_usd`. It names the `max_output_tokens` that would fit."""
        cap = self.options.max_cost_usd
        if cap is None or self.max_cost.total_usd <= cap:
            return None
        fitting = self._fitting_output_tokens(cap)
        advice = (
            f"With max_output_tokens of {fitting} or less it fits."
            if fitting is not None
            else f"Its input alone can cost ${format_usd(self.max_cost.input_usd)}, so even the minimum of "
            f"{MIN_OUTPUT_TOKENS} output tokens does not fit."
        )
        run_by = "" if self.model == self.requested_model else f", run by {self.model.id},"
        return MoneyRefused(
            f"This job{run_by} can cost up to ${format_usd(self.max_cost.total_usd)}, which is above its max_cost_usd "
            f"of ${format_usd(cap)}. {advice}",
            param="afterthought.max_cost_usd",
            code="max_cost_exceeded",
            detail={
                "bound_usd": format_usd(self.max_cost.total_usd),
                "max_cost_usd": format_usd(cap),
                "max_output_tokens": fitting,
            },
        )

    def budget_refusal(self, balance: MonthBalance, caps: Caps, on: date) -> MoneyRefused | None:
        """The refusal if the maximum cost exceeds a budget. It names the `max_output_tokens` that would fit."""
        exceeded = budget.exceeded(balance, caps, self.max_cost.total_usd, on)
        if not exceeded:
            return None
        least = min(each.left_usd or Decimal(0) for each in exceeded)
        return budget.refusal(exceeded, self.max_cost.total_usd, self._fitting_output_tokens(least))

    def _fitting_output_tokens(self, cap_usd: Decimal) -> int | None:
        return fitting_output_tokens(
            self.called_request, self.model, self.tier, first=self.first_day, last=self.last_day, cap_usd=cap_usd
        )


@dataclass(frozen=True)
class Admitter:
    catalogue: Catalogue
    providers: tuple[str, ...]
    allowed_origins: AbstractSet[str]
    clock: Callable[[], datetime]

    def admit(self, raw_body: bytes) -> AdmittedRequest:
        """Raises InvalidRequest or BodyTooLarge."""
        now = self.clock()
        today = now.date()
        request = body.parse(raw_body)
        requested = self._find(request.model)
        model, provider = self._resolve(request, requested, today)
        called = request if model == requested else admission.for_successor(request, requested, model)
        admission.check(called, model, on=today)
        options = request.afterthought or AfterthoughtOptions()
        if options.webhook_url is not None:
            check_url(options.webhook_url, allowed_origins=self.allowed_origins)
        tier = TIERS_BY_WIRE_NAME[admission.service_tier(request)]
        # The call may be made on any day until the deadline, at the price of that day.
        last_day = (now + timedelta(seconds=_MAX_SECONDS_TO_ACCEPT) + _deadline(options)).date()
        return AdmittedRequest(
            request=request,
            requested_model=requested,
            called_request=called,
            model=model,
            mode=provider.mode_for(model.id),
            canonical=body.canonical(request),
            tier=tier,
            first_day=today,
            last_day=last_day,
            max_cost=max_cost(called, model, tier, first=today, last=last_day),
            rate_tokens=estimated_tokens(called, model),
            rate_output_tokens=called.max_output_tokens or model.typical_output_tokens,
        )

    def _find(self, name: str) -> Model:
        model = self.catalogue.find(name)
        if model is None:
            raise InvalidRequest(
                f"The model '{name[:80]}' does not exist. Models: {', '.join(sorted(self.catalogue.models))}.",
                param="model",
                code="model_not_found",
            )
        return model

    def _resolve(self, request: CreateResponse, requested: Model, today: date) -> tuple[Model, Provider]:
        """The model to call and its provider: for a retired model its successor, if the request allows that."""
        provider = self.catalogue.provider_for(requested.id, self.providers, today)
        if provider is not None:
            return requested, provider
        options = request.afterthought
        retired = self.catalogue.retired_everywhere(requested.id, self.providers, today)
        if retired and options is not None and options.model_policy == "successor":
            successor = self.catalogue.live_successor_of(requested.id, self.providers, today)
            provider = self.catalogue.provider_for(successor.id, self.providers, today) if successor else None
            if successor is not None and provider is not None:
                return successor, provider
        raise InvalidRequest(self._unavailable(requested, today), param="model", code="model_not_found")

    def _unavailable(self, model: Model, today: date) -> str:
        if not self.catalogue.retired_everywhere(model.id, self.providers, today):
            return f"The model '{model.id}' is not served here. GET /v1/models lists the models that are."
        retired = f"The model '{model.id}' has been retired by its provider"
        live = self.catalogue.live_successor_of(model.id, self.providers, today)
        if live is None:
            successor = f", and its successor {model.successor} is not served here either" if model.successor else ""
            return f"{retired}{successor}. GET /v1/models lists the models that are served."
        also_retired = "" if live.id == model.successor else ", which is retired too"
        return (
            f"{retired}; its successor is {model.successor}{also_retired}. "
            f'With an afterthought.model_policy of "successor" the request runs on {live.id}.'
        )


def _deadline(options: AfterthoughtOptions) -> timedelta:
    return timedelta(seconds=options.deadline_seconds or MAX_DEADLINE_SECONDS)
