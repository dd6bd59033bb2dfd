"""The rate limit of a tenant: how many requests and tokens it may still send to a model in the current minute.

Windows are clock minutes (UTC), numbered from 1970. Each is exact, but independent of the others: a tenant that uses up
the end of one minute and the start of the next sends at most twice its limit within 60 seconds.
"""

from datetime import datetime
from math import ceil
from typing import NamedTuple

from afterthought.domain.errors import InvalidRequest, RateLimited, TierRefused
from afterthought.domain.limits.rate_tier import RateTier
from afterthought.domain.request.admission import MIN_OUTPUT_TOKENS
from afterthought.domain.tenants.tenant import Tenant

WINDOW_SECONDS = 60


class Limits(NamedTuple):
    """Per model and minute."""

    requests_per_minute: int
    tokens_per_minute: int


class WindowUsage(NamedTuple):
    """What is used of one minute."""

    requests: int = 0
    tokens: int = 0


class RateState(NamedTuple):
    """The limits and the usage of the current minute, which ends in `resets_in_seconds` (1 to 60)."""

    limits: Limits
    usage: WindowUsage
    resets_in_seconds: int

    def headers(self) -> dict[str, str]:
        """OpenAI's names and formats."""
        requests, tokens = self._remaining()
        reset = _duration(self.resets_in_seconds)
        return {
            "x-ratelimit-limit-requests": str(self.limits.requests_per_minute),
            "x-ratelimit-limit-tokens": str(self.limits.tokens_per_minute),
            "x-ratelimit-remaining-requests": str(requests),
            "x-ratelimit-remaining-tokens": str(tokens),
            "x-ratelimit-reset-requests": reset,
            "x-ratelimit-reset-tokens": reset,
        }

    def _remaining(self) -> WindowUsage:
        # A limit that is lowered within the minute can be below the usage. A repeated correction can make it negative.
        return WindowUsage(
            *(min(limit, max(0, limit - used)) for limit, used in zip(self.limits, self.usage, strict=True))
        )


def window_number(at: datetime) -> int:
    """The minute of `at`, counted from 1970."""
    return int(at.timestamp()) // WINDOW_SECONDS


def resets_in_seconds(at: datetime) -> int:
    """Whole seconds from `at` to the end of its minute, rounded up: 1 to 60."""
    return ceil((window_number(at) + 1) * WINDOW_SECONDS - at.timestamp())


def limits_of(tenant: Tenant, tier: RateTier) -> Limits:
    """The tenant's own limits, and those of its tier where it has none. Raises TierRefused if neither has one."""
    requests = tenant.requests_per_minute or tier.requests_per_minute
    tokens = tenant.tokens_per_minute or tier.tokens_per_minute
    if requests is None or tokens is None:
        raise TierRefused(
            f"The rate tier '{tier.name}' admits no requests. The operator of this service can move you to another "
            "tier, or set limits for you.",
            detail={"tier": tier.name},
        )
    return Limits(requests, tokens)


def check_fits(limits: Limits, model: str, tokens: int, output_tokens: int) -> None:
    """Raises InvalidRequest if an unused minute does not have enough tokens: waiting cannot help.

    `tokens` is the estimate of the request, `output_tokens` the part of it that is output.
    """
    limit = limits.tokens_per_minute
    if tokens <= limit:
        return
    input_tokens = tokens - output_tokens
    fitting = limit - input_tokens
    if output_fits := fitting >= MIN_OUTPUT_TOKENS:
        advice = f"Set max_output_tokens to {fitting} or less"
    else:
        advice = "Shorten the input"
    raise InvalidRequest(
        f"This request is estimated at {tokens} tokens ({input_tokens} input, {output_tokens} output). Your limit for "
        f"{model} is {limit} per minute, so it can never run. {advice}, or ask the operator of this service for a "
        "higher limit.",
        param="max_output_tokens" if output_fits else "input",
        code="request_too_large_for_tier",
        detail={
            "model": model,
            "estimated_tokens": tokens,
            "tokens_per_minute": limit,
            **({"fitting_max_output_tokens": fitting} if output_fits else {}),
        },
    )


def refusal(state: RateState, model: str, tokens: int) -> RateLimited | None:
    """The error if another request of so many tokens exceeds the minute's limits, otherwise None."""
    requests_fit = state.usage.requests < state.limits.requests_per_minute
    tokens_fit = state.usage.tokens + tokens <= state.limits.tokens_per_minute
    return None if requests_fit and tokens_fit else rate_limited(state, model, tokens)


def rate_limited(state: RateState, model: str, tokens: int) -> RateLimited:
    """The error for another request of so many tokens."""
    if state.usage.requests >= state.limits.requests_per_minute:
        kind, limit, used, requested = "requests", state.limits.requests_per_minute, state.usage.requests, 1
    else:
        kind, limit, used, requested = "tokens", state.limits.tokens_per_minute, state.usage.tokens, tokens
    wait = state.resets_in_seconds
    return RateLimited(
        kind,
        f"Your limit for {model} is {limit} {kind} per minute: {used} are used, and this request needs {requested}. "
        f"The next minute starts in {wait} s.",
        headers={"Retry-After": str(wait), **state.headers()},
        detail={
            "model": model,
            "kind": kind,
            "limit": limit,
            "used": used,
            "requested": requested,
            "resets_in_seconds": wait,
        },
    )


def _duration(seconds: int) -> str:
    """OpenAI's format: "37s", "1m0s"."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
