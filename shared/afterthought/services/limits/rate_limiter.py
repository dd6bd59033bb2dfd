"""Let no tenant send more to a model in a minute than its tier allows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from afterthought.catalogue import Catalogue
from afterthought.domain.errors import InvalidRequest, RateLimited, TierRefused
from afterthought.domain.limits.rate_limit import (
    Limits,
    RateState,
    Window,
    check_fits,
    limits_of,
    rate_limited,
    refusal,
    resets_in_seconds,
    window_number,
)
from afterthought.domain.limits.rate_tier import RateTier
from afterthought.domain.tenant import Tenant


class RateWindows(Protocol):
    """What each tenant has taken of each model's minutes. `model` is the catalogue's id of it."""

    def take(self, tenant: str, model: str, *, at: datetime, tokens: int, limits: Limits) -> tuple[bool, Window]:
        """Takes one request of so many tokens, if it stays within both limits, in one step. Says whether it was taken,
        and what stands then. A minute of which nothing was taken yet takes any request: it must fit one."""

    def peek(self, tenant: str, model: str, *, at: datetime) -> Window: ...

    def correct(self, tenant: str, model: str, *, at: datetime, tokens: int) -> None:
        """Adds so many tokens (or takes them off, below 0) to what was taken of the minute of `at`, if anything was."""


@dataclass(frozen=True)
class Limit:
    """A model may be named by its id or by a snapshot: both draw on the same window."""

    windows: RateWindows
    catalogue: Catalogue
    clock: Callable[[], datetime]

    def check(self, tenant: Tenant, model: str, tokens: int, *, output_tokens: int) -> Limits:
        """The limits, of which nothing is taken. `tokens` is the request's estimate, `output_tokens` the part of it
        that is output. Raises TierRefused, or InvalidRequest for what exceeds a whole minute's tokens."""
        limits = self._limits(tenant)
        check_fits(limits, self._id(model), tokens, output_tokens)
        return limits

    def take(self, tenant: Tenant, model: str, tokens: int, *, output_tokens: int) -> RateState:
        """Takes one request, and says what stands after it. Raises as `check` does, and RateLimited: nothing is taken
        then. What was taken is not given back when the request is refused later on: it has been sent all the same."""
        limits = self.check(tenant, model, tokens, output_tokens=output_tokens)
        at, model_id = self.clock(), self._id(model)
        taken, window = self.windows.take(tenant.name, model_id, at=at, tokens=tokens, limits=limits)
        state = RateState(limits, window, resets_in_seconds(at))
        if not taken:
            raise rate_limited(state, model_id, tokens)
        return state

    def peek(
        self, tenant: Tenant, model: str, tokens: int, *, output_tokens: int
    ) -> tuple[RateState | None, InvalidRequest | RateLimited | TierRefused | None]:
        """What stands now, with nothing taken, and what `take` would raise. Without limits there is no state."""
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
        """Puts `tokens` (what was really used less the estimate) on what was taken at `taken_at`, while that minute
        lasts. Later there is nothing to correct."""
        if tokens and window_number(taken_at) == window_number(now):
            self.windows.correct(tenant, self._id(model), at=taken_at, tokens=tokens)

    def _limits(self, tenant: Tenant) -> Limits:
        # A tier that the catalogue no longer has admits nothing: to guess another would be to give its limits away.
        tier = self.catalogue.tiers.get(tenant.tier) or RateTier(name=tenant.tier, supported=False)
        return limits_of(tenant, tier)

    def _id(self, model: str) -> str:
        known = self.catalogue.find(model)
        return model if known is None else known.id
