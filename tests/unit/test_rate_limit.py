"""The rate limiter: requests and tokens per minute, refusals, and the headers that report them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.catalogue import default_catalogue
from afterthought.domain.errors import InvalidRequest, RateLimited, RequestRefused, TierRefused
from afterthought.domain.limits.rate_limit import (
    Limits,
    RateState,
    WindowUsage,
    check_fits,
    limits_of,
    refusal,
    resets_in_seconds,
    window_number,
)
from afterthought.domain.limits.rate_tier import RateTier
from afterthought.domain.tenants.tenant import Tenant
from afterthought.services.limits.rate_limiter import RateLimiter
from tests.simulator.calls import CallRecorder, Fault, TransportFailed
from tests.simulator.clock import START, Clock
from tests.simulator.rate_windows import SimulatedRateWindows

TIER = RateTier(name="tier1", requests_per_minute=500, tokens_per_minute=200_000)
FREE = RateTier(name="free", supported=False)
LIMITS = Limits(requests_per_minute=10, tokens_per_minute=1000)


def tenant(**fields: object) -> Tenant:
    return Tenant.model_validate({"name": "acme", "created_at": START, "webhook_secrets": (), **fields})


class Limiter:
    """The rate limiter on the simulator, 13 seconds into a minute."""

    def __init__(self) -> None:
        self.clock = Clock(START + timedelta(seconds=13))
        self.calls = CallRecorder(self.clock)
        self.windows = SimulatedRateWindows(self.calls)
        self.service = RateLimiter(self.windows, default_catalogue(), self.clock)

    def take(self, tokens: int = 100, *, caller: Tenant | None = None, model: str = "o3") -> RateState:
        return self.service.take(caller or tenant(), model, tokens, output_tokens=0)

    def refuse(self, tokens: int, *, caller: Tenant | None = None, model: str = "o3") -> RateLimited:
        with pytest.raises(RateLimited) as caught:
            self.take(tokens, caller=caller, model=model)
        return caught.value


@pytest.fixture
def limiter() -> Limiter:
    return Limiter()


# ---- limits


def test_tenant_has_limits_of_its_tier() -> None:
    assert limits_of(tenant(), TIER) == Limits(500, 200_000)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"requests_per_minute": 7}, Limits(7, 200_000)),
        ({"tokens_per_minute": 300_000}, Limits(500, 300_000)),
        ({"requests_per_minute": 7, "tokens_per_minute": 9}, Limits(7, 9)),
    ],
)
def test_own_limit_overrides_tier(own: dict[str, int], expected: Limits) -> None:
    assert limits_of(tenant(**own), TIER) == expected


@pytest.mark.parametrize("own", [{}, {"requests_per_minute": 7}, {"tokens_per_minute": 9}])
def test_unsupported_tier_is_refused(own: dict[str, int]) -> None:
    with pytest.raises(TierRefused) as caught:
        limits_of(tenant(**own), FREE)
    assert caught.value.status == 403
    assert "'free'" in caught.value.message
    assert "The operator of this service can" in caught.value.message


def test_own_limits_replace_unsupported_tier() -> None:
    assert limits_of(tenant(requests_per_minute=7, tokens_per_minute=9), FREE) == Limits(7, 9)


def test_limits_of_catalogue_tiers() -> None:
    limits_by_tier: dict[str, Limits | None] = {}
    for name, tier in default_catalogue().tiers.items():
        try:
            limits_by_tier[name] = limits_of(tenant(tier=name), tier)
        except TierRefused:
            limits_by_tier[name] = None
    assert limits_by_tier == {
        "free": None,
        "tier1": (500, 200_000),
        "tier2": (5_000, 2_000_000),
        "tier3": (5_000, 4_000_000),
        "tier4": (10_000, 10_000_000),
        "tier5": (30_000, 150_000_000),
    }


# ---- windows


@given(st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 given UTC
def test_window_is_a_clock_minute(at: datetime) -> None:
    seconds = resets_in_seconds(at)
    assert 1 <= seconds <= 60
    assert window_number(at) == window_number(at.replace(second=0, microsecond=0))
    assert window_number(at + timedelta(seconds=seconds)) == window_number(at) + 1
    if seconds > 1:
        assert window_number(at + timedelta(seconds=seconds - 1)) == window_number(at)


@pytest.mark.parametrize(
    ("at", "seconds", "header"),
    [
        (START, 60, "1m0s"),
        (START + timedelta(milliseconds=1), 60, "1m0s"),
        (START + timedelta(seconds=1), 59, "59s"),
        (START + timedelta(seconds=22, milliseconds=400), 38, "38s"),
        (START + timedelta(seconds=59, milliseconds=999), 1, "1s"),
    ],
)
def test_reset_is_in_whole_seconds(at: datetime, seconds: int, header: str) -> None:
    assert resets_in_seconds(at) == seconds
    headers = RateState(LIMITS, WindowUsage(), seconds).headers()
    assert headers["x-ratelimit-reset-requests"] == headers["x-ratelimit-reset-tokens"] == header


def test_headers_match_openai() -> None:
    assert RateState(LIMITS, WindowUsage(requests=4, tokens=999), 37).headers() == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "6",
        "x-ratelimit-reset-requests": "37s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "1",
        "x-ratelimit-reset-tokens": "37s",
    }


@given(st.builds(WindowUsage, requests=st.integers(0, 10**9), tokens=st.integers(-(10**9), 10**9)))
def test_remaining_is_between_zero_and_limit(window: WindowUsage) -> None:
    headers = RateState(LIMITS, window, 37).headers()
    assert 0 <= int(headers["x-ratelimit-remaining-requests"]) <= 10
    assert 0 <= int(headers["x-ratelimit-remaining-tokens"]) <= 1000


# ---- requests larger than a minute


def test_request_of_a_whole_minute_fits() -> None:
    check_fits(LIMITS, "o3", 1000, 500)


@pytest.mark.parametrize(
    ("input_tokens", "output_tokens", "param", "fitting"),
    [
        (200, 801, "max_output_tokens", 800),
        (984, 17, "max_output_tokens", 16),
        (985, 16, "input", None),
        (1001, 0, "input", None),
        (5000, 5000, "input", None),
    ],
)
def test_request_beyond_a_minute_is_invalid(
    input_tokens: int, output_tokens: int, param: str, fitting: int | None
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_fits(LIMITS, "o3", input_tokens + output_tokens, output_tokens)
    refused = caught.value
    assert (refused.status, refused.code, refused.param) == (400, "request_too_large_for_tier", param)
    assert not refused.retryable
    assert refused.detail is not None
    assert refused.detail.get("fitting_max_output_tokens") == fitting
    for text in (input_tokens + output_tokens, 1000, *([fitting] if fitting is not None else [])):
        assert str(text) in refused.message
    if fitting is not None:
        check_fits(LIMITS, "o3", input_tokens + fitting, fitting)


# ---- refusals


def test_refusal_names_requests_first() -> None:
    full = refusal(RateState(LIMITS, WindowUsage(10, 1000), 37), "o3", 1)
    tokens = refusal(RateState(LIMITS, WindowUsage(9, 1000), 37), "o3", 1)
    assert full is not None
    assert tokens is not None
    assert (full.kind, tokens.kind) == ("requests", "tokens")


def test_exact_fit_is_not_refused() -> None:
    assert refusal(RateState(LIMITS, WindowUsage(9, 900), 37), "o3", 100) is None


def test_used_tokens_are_a_429(limiter: Limiter) -> None:
    caller = tenant(tokens_per_minute=250)
    limiter.take(200, caller=caller)
    refused = limiter.refuse(51, caller=caller)
    assert (refused.status, refused.kind, refused.code, refused.retryable) == (
        429,
        "tokens",
        "rate_limit_exceeded",
        True,
    )
    assert refused.headers == {
        "Retry-After": "47",
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "47s",
        "x-ratelimit-limit-tokens": "250",
        "x-ratelimit-remaining-tokens": "50",
        "x-ratelimit-reset-tokens": "47s",
    }
    assert refused.detail == {
        "model": "o3",
        "kind": "tokens",
        "limit": 250,
        "used": 200,
        "requested": 51,
        "resets_in_seconds": 47,
    }
    for text in ("o3", "250 tokens", "200", "51", "47 s"):
        assert text in refused.message
    assert limiter.take(50, caller=caller).usage == WindowUsage(2, 250), "a refused request is not counted"


def test_used_requests_are_a_429(limiter: Limiter) -> None:
    caller = tenant(requests_per_minute=3)
    for _ in range(3):
        limiter.take(1, caller=caller)
    refused = limiter.refuse(1, caller=caller)
    assert (refused.status, refused.kind) == (429, "requests")
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.detail is not None
    assert (refused.detail["limit"], refused.detail["used"], refused.detail["requested"]) == (3, 3, 1)


def test_retry_after_is_sufficient(limiter: Limiter) -> None:
    caller = tenant(tokens_per_minute=100)
    limiter.take(100, caller=caller)
    limiter.clock.pass_by(int(limiter.refuse(100, caller=caller).headers["Retry-After"]))
    assert limiter.take(100, caller=caller).usage == WindowUsage(1, 100)


def test_boundary_allows_twice_the_limit(limiter: Limiter) -> None:
    caller = tenant(tokens_per_minute=100)
    limiter.clock.move_to(START + timedelta(seconds=59))
    limiter.take(100, caller=caller)
    limiter.clock.pass_by(1)
    limiter.take(100, caller=caller)
    limiter.clock.move_to(START + timedelta(seconds=118))
    limiter.refuse(1, caller=caller)


def test_headers_include_the_request(limiter: Limiter) -> None:
    limiter.take(100)
    headers = limiter.take(50).headers()
    assert headers["x-ratelimit-remaining-requests"] == "498"
    assert headers["x-ratelimit-remaining-tokens"] == "199850"


def test_snapshot_uses_window_of_its_model(limiter: Limiter) -> None:
    model = next(model for model in default_catalogue().models.values() if model.snapshots)
    caller = tenant(tokens_per_minute=100)
    limiter.take(100, caller=caller, model=model.snapshots[0])
    refused = limiter.refuse(1, caller=caller, model=model.id)
    assert refused.detail is not None
    assert refused.detail["model"] == model.id


def test_windows_are_separate(limiter: Limiter) -> None:
    caller = tenant(tokens_per_minute=100)
    limiter.take(100, caller=caller)
    assert limiter.take(100, caller=caller, model="o4-mini").usage == WindowUsage(1, 100)
    assert limiter.take(100, caller=tenant(name="globex", tokens_per_minute=100)).usage == WindowUsage(1, 100)


@pytest.mark.parametrize(
    ("caller", "tokens", "kind"),
    [
        (tenant(tier="free"), 1, TierRefused),
        (tenant(tier="tier9"), 1, TierRefused),
        (tenant(tokens_per_minute=100), 101, InvalidRequest),
    ],
)
def test_impossible_request_is_not_counted(
    limiter: Limiter, caller: Tenant, tokens: int, kind: type[RequestRefused]
) -> None:
    for call in (limiter.service.check, limiter.service.take):
        with pytest.raises(kind):
            call(caller, "o3", tokens, output_tokens=0)
    assert limiter.calls.recorded == []


def test_check_counts_nothing(limiter: Limiter) -> None:
    assert limiter.service.check(tenant(), "o3", 200_000, output_tokens=0) == Limits(500, 200_000)
    assert limiter.calls.recorded == []


# ---- dry runs


def outcome(call: Callable[[], object]) -> tuple[str, dict[str, str], object] | None:
    try:
        call()
    except RequestRefused as refused:
        return refused.message, refused.headers, refused.detail
    return None


@pytest.mark.parametrize("tokens", [1, 40, 41, 100, 101])
@pytest.mark.parametrize(
    "own", [{"tokens_per_minute": 100}, {"tier": "free"}, {"tier": "free", "tokens_per_minute": 100}]
)
def test_peek_returns_error_of_take(limiter: Limiter, tokens: int, own: dict[str, object]) -> None:
    caller = tenant(**own)
    limiter.take(60, caller=tenant(tokens_per_minute=100))
    before = dict(limiter.windows.items)
    state, refused = limiter.service.peek(caller, "o3", tokens, output_tokens=0)
    assert limiter.windows.items == before
    assert (state is None) == ("tier" in own)
    if state is not None:
        assert state.usage == WindowUsage(1, 60)
    error = None if refused is None else (refused.message, refused.headers, refused.detail)
    assert error == outcome(lambda: limiter.take(tokens, caller=caller))


# ---- corrections


def test_estimate_is_corrected_in_its_minute(limiter: Limiter) -> None:
    taken_at = limiter.clock()
    limiter.take(100)
    limiter.clock.pass_by(40)
    limiter.service.correct("acme", "o3", taken_at, limiter.clock(), -90)
    assert limiter.take(1).usage == WindowUsage(2, 11)


def test_later_minute_is_not_corrected(limiter: Limiter) -> None:
    taken_at = limiter.clock()
    limiter.take(100)
    limiter.clock.pass_by(50)
    limiter.take(100)
    limiter.service.correct("acme", "o3", taken_at, limiter.clock(), -90)
    assert set(limiter.windows.items.values()) == {WindowUsage(1, 100)}
    assert [call.name for call in limiter.calls.recorded] == ["rates.take"] * 2


def test_exact_estimate_costs_no_write(limiter: Limiter) -> None:
    limiter.take(100)
    limiter.service.correct("acme", "o3", limiter.clock(), limiter.clock(), 0)
    assert [call.name for call in limiter.calls.recorded] == ["rates.take"]


def test_correction_of_snapshot_uses_its_model(limiter: Limiter) -> None:
    model = next(model for model in default_catalogue().models.values() if model.snapshots)
    limiter.take(100, model=model.id)
    limiter.service.correct("acme", model.snapshots[0], limiter.clock(), limiter.clock(), -90)
    assert limiter.take(1, model=model.id).usage == WindowUsage(2, 11)


# ---- law


@given(st.lists(st.tuples(st.integers(0, 120), st.floats(0, 30), st.booleans()), max_size=60))
def test_no_minute_exceeds_its_limits(requests: list[tuple[int, float, bool]]) -> None:
    limiter = Limiter()
    caller = tenant(requests_per_minute=5, tokens_per_minute=100)
    allowed: dict[int, list[int]] = {}
    for tokens, seconds, fails in requests:
        limiter.clock.pass_by(seconds)
        minute = window_number(limiter.clock())
        limiter.calls.faults = {len(limiter.calls.recorded): Fault.TIMEOUT_AFTER} if fails else {}
        try:
            limiter.take(tokens, caller=caller)
        except (RequestRefused, TransportFailed):
            continue
        allowed.setdefault(minute, []).append(tokens)
    assert all(len(taken) <= 5 and sum(taken) <= 100 for taken in allowed.values())
