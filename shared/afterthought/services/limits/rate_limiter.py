"""Limits the requests and tokens that a tenant sends to a model per minute."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from afterthought.catalogue import Catalogue
from afterthought.domain.errors import InvalidRequest, RateLimited, TierRefused
from afterthought.domain.limits.rate_limit import (
    Limits,
    RateState,
    WindowUsage,
    check_fits,
    limits_of,
    rate_limited,
    refusal,
    resets_in_seconds,
    window_number,
)
from afterthought.domain.limits.rate_tier import RateTier
from afterthought.domain.tenants.tenant import Tenant


class RateWindowStore(Protocol):
    """The usage of each tenant, model and minute. `model` is the catalogue's id."""

    def take(self, tenant: str, model: str, *, at: datetime, tokens: int, limits: Limits) -> tuple[bool, WindowUsage]:
        """Adds a request and its tokens in one write, if both limits allow it. Returns whether it did, and the usage.
        The caller has checked that the request fits into an unused minute."""

    def peek(self, tenant: str, model: str, *, at: datetime) -> WindowUsage: ...

    def correct(self, tenant: str, model: str, *, at: datetime, tokens: int) -> None:
        """Adds tokens, which may be negative, to the usage of the minute of `at`, if there is any."""


@dataclass(frozen=True)
class RateLimiter:
    """A model is named by its id or by a snapshot. Both use the same window."""

    windows: RateWindowStore
    catalogue: Catalogue
    clock: Callable[[], datetime]

    def check(self, tenant: Tenant, model: str, tokens: int, *, output_tokens: int) -> Limits:
        """Returns the limits and uses nothing. `tokens` is the estimate of the request, `output_tokens` the part of it
        that is output. Raises TierRefused, and InvalidRequest if the request exceeds the tokens of a whole minute."""
        limits = self._limits(tenant)
        check_fits(limits, self._id(model), tokens, output_tokens)
        return limits

    def take(self, tenant: Tenant, model: str, tokens: int, *, output_tokens: int) -> RateState:
        """Counts a request, and returns the state after it. Raises as `check`, and RateLimited: then nothing is
        counted. A request that is refused later stays counted: it was sent."""
        limits = self.check(tenant, model, tokens, output_tokens=output_tokens)
        at, model_id = self.clock(), self._id(model)
        taken, usage = self.windows.take(tenant.name, model_id, at=at, tokens=tokens, limits=limits)
        state = RateState(limits, usage, resets_in_seconds(at))
        if not taken:
            raise rate_limited(state, model_id, tokens)
        return state

    def peek(
        self, tenant: Tenant, model: str, tokens: int, *, output_tokens: int
    ) -> tuple[RateState | None, InvalidRequest | RateLimited | TierRefused | None]:
        """Returns the current state, and the error that `take` would raise. Counts nothing. A tenant without limits has
        no state."""
        try:
            limits = self._limits(tenant)
        except TierRefused as refused:
            return None, refused
        at, model_id = self.clock(), self._id(model)
        state = RateState(limits, self.windows.peek(tenant.name, model_id, at=at), resets_in_seconds(at))
        try:
            check_fits(limits, model_id, tokens, output_tokens)
        except InvalidRequest as refused:
            return state, refused
        return state, refusal(state, model_id, tokens)

    def correct(self, tenant: str, model: str, taken_at: datetime, now: datetime, tokens: int) -> None:
        """Adds `tokens`, the real usage minus the estimate, to the minute of `taken_at` if that is the current one."""
        if tokens and window_number(taken_at) == window_number(now):
            self.windows.correct(tenant, self._id(model), at=taken_at, tokens=tokens)

    def _limits(self, tenant: Tenant) -> Limits:
        # A tier that the catalogue no longer has admits nothing: any other tier could have higher limits.
        tier = self.catalogue.tiers.get(tenant.tier) or RateTier(name=tenant.tier, supported=False)
        return limits_of(tenant, tier)

    def _id(self, model: str) -> str:
        entry = self.catalogue.find(model)
        return model if entry is None else entry.id
