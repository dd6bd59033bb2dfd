"""How many requests and tokens a tenant may still send to a model in this minute.

The windows are the minutes of the clock (UTC), counted from 1970. Each is exact in itself, but they know nothing of
each other: who uses up one minute at its end and the next at its beginning gets up to twice the limit through within 60
seconds, and never more than that.
"""

from datetime import datetime
from math import ceil
from typing import NamedTuple

from afterthought.domain.admission import MIN_OUTPUT_TOKENS
from afterthought.domain.errors import InvalidRequest, RateLimited, TierRefused
from afterthought.domain.limits.rate_tier import RateTier
from afterthought.domain.tenant import Tenant

WINDOW_SECONDS = 60


class Limits(NamedTuple):
    """Per model and minute."""

    requests_per_minute: int
    tokens_per_minute: int


class Window(NamedTuple):
    """What has been taken of one minute."""

    requests: int = 0
    tokens: int = 0


class RateState(NamedTuple):
    """`window` is the minute with all that was taken of it, `resets_in_seconds` (1 to 60) the time to its end."""

    limits: Limits
    window: Window
    resets_in_seconds: int

    def headers(self) -> dict[str, str]:
        """As OpenAI names and writes them."""
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

    def _remaining(self) -> Window:
        # A limit lowered in mid-minute leaves less than nothing, a correction that came twice more than there is.
        return Window(
            *(min(limit, max(0, limit - taken)) for limit, taken in zip(self.limits, self.window, strict=True))
        )


def window_number(at: datetime) -> int:
    """The minute that `at` falls into, counted from 1970."""
    return int(at.timestamp()) // WINDOW_SECONDS


def resets_in_seconds(at: datetime) -> int:
    """Whole seconds from `at` to the end of its minute, rounded up: 1 to 60."""
    return ceil((window_number(at) + 1) * WINDOW_SECONDS - at.timestamp())


def limits_of(tenant: Tenant, tier: RateTier) -> Limits:
    """The tenant's own limits, and its tier's where it has none. Raises TierRefused when neither gives one."""
    requests = tenant.requests_per_minute or tier.requests_per_minute
    tokens = tenant.tokens_per_minute or tier.tokens_per_minute
    if requests is None or tokens is None:
        raise TierRefused(
            f"The rate tier '{tier.name}' admits no requests. Whoever runs this service can move you to another tier, "
            "or give you limits of your own.",
            detail={"tier": tier.name},
        )
    return Limits(requests, tokens)


def check_fits(limits: Limits, model: str, tokens: int, output_tokens: int) -> None:
    """That an untouched minute would take the request: else waiting could never help. `tokens` is the request's
    estimate, `output_tokens` the part of it that is output. Raises InvalidRequest."""
    limit = limits.tokens_per_minute
    if tokens <= limit:
        return
    input_tokens = tokens - output_tokens
    fitting = limit - input_tokens
    if output_fits := fitting >= MIN_OUTPUT_TOKENS:
        way_out = f"Set max_output_tokens to {fitting} or less"
    else:
        way_out = "Shorten the input"
    raise InvalidRequest(
        f"This request is estimated at {tokens} tokens ({input_tokens} of input, {output_tokens} of output). Your "
        f"limit for {model} is {limit} in a minute, so it could never run. {way_out}, or ask whoever runs this service "
        "for a higher limit.",
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
    """Why one more request, of so many tokens, does not fit into the minute; None when it does."""
    requests_left = state.window.requests < state.limits.requests_per_minute
    tokens_left = state.window.tokens + tokens <= state.limits.tokens_per_minute
    return None if requests_left and tokens_left else rate_limited(state, model, tokens)


def rate_limited(state: RateState, model: str, tokens: int) -> RateLimited:
    """The refusal of one more request, of so many tokens."""
    if state.window.requests >= state.limits.requests_per_minute:
        kind, limit, used, asked = "requests", state.limits.requests_per_minute, state.window.requests, 1
    else:
        kind, limit, used, asked = "tokens", state.limits.tokens_per_minute, state.window.tokens, tokens
    wait = state.resets_in_seconds
    return RateLimited(
        kind,
        f"Your limit for {model} is {limit} {kind} in a minute: {used} are used, and this request asks for {asked}. "
        f"The next minute begins in {wait} s.",
        headers={"Retry-After": str(wait), **state.headers()},
        detail={
            "model": model,
            "kind": kind,
            "limit": limit,
            "used": used,
            "requested": asked,
            "resets_in_seconds": wait,
        },
    )


def _duration(seconds: int) -> str:
    """As OpenAI writes durations: "37s", "1m0s"."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
