"""Requests and tokens a minute: what is let through, what is refused, and what is said of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.catalogue import default_catalogue
from afterthought.domain.errors import InvalidRequest, RateLimited, RequestRefused, TierRefused
from afterthought.domain.rate_limit import (
    Limits,
    RateState,
    Window,
    check_fits,
    limits_of,
    refusal,
    resets_in_seconds,
    window_number,
)
from afterthought.domain.rate_tier import RateTier
from afterthought.domain.tenant import Tenant
from afterthought.services.limit import Limit
from tests.simulator.calls import CallRecorder, Fault, TransportFailed
from tests.simulator.clock import START, Clock
from tests.simulator.rates import SimulatedRateWindows

TIER = RateTier(name="tier1", requests_per_minute=500, tokens_per_minute=200_000)
FREE = RateTier(name="free", supported=False)
LIMITS = Limits(requests_per_minute=10, tokens_per_minute=1000)


def tenant(**fields: object) -> Tenant:
    return Tenant.model_validate({"name": "acme", "created_at": START, "webhook_secrets": (), **fields})


class Gate:
    """The service on the simulator, a few seconds into a minute."""

    def __init__(self) -> None:
        self.clock = Clock(START + timedelta(seconds=13))
        self.calls = CallRecorder(self.clock)
        self.windows = SimulatedRateWindows(self.calls)
        self.limit = Limit(self.windows, default_catalogue(), self.clock)

    def take(self, tokens: int = 100, *, who: Tenant | None = None, model: str = "o3") -> RateState:
        return self.limit.take(who or tenant(), model, tokens, output_tokens=0)

    def refused(self, tokens: int, *, who: Tenant | None = None, model: str = "o3") -> RateLimited:
        with pytest.raises(RateLimited) as caught:
            self.take(tokens, who=who, model=model)
        return caught.value


@pytest.fixture
def gate() -> Gate:
    return Gate()


# ---- limits


def test_a_tenant_has_the_limits_of_its_tier() -> None:
    assert limits_of(tenant(), TIER) == Limits(500, 200_000)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"requests_per_minute": 7}, Limits(7, 200_000)),
        ({"tokens_per_minute": 300_000}, Limits(500, 300_000)),
        ({"requests_per_minute": 7, "tokens_per_minute": 9}, Limits(7, 9)),
    ],
)
def test_each_limit_of_its_own_takes_the_place_of_the_tiers(own: dict[str, int], expected: Limits) -> None:
    assert limits_of(tenant(**own), TIER) == expected


@pytest.mark.parametrize("own", [{}, {"requests_per_minute": 7}, {"tokens_per_minute": 9}])
def test_a_tier_that_is_not_supported_admits_nobody_without_both_limits_of_its_own(own: dict[str, int]) -> None:
    with pytest.raises(TierRefused) as caught:
        limits_of(tenant(**own), FREE)
    assert caught.value.status == 403
    assert "'free'" in caught.value.message
    assert "Whoever runs this service can" in caught.value.message


def test_both_limits_of_its_own_make_up_for_a_tier_that_is_not_supported() -> None:
    assert limits_of(tenant(requests_per_minute=7, tokens_per_minute=9), FREE) == Limits(7, 9)


def test_every_tier_of_the_catalogue_gives_limits_or_refuses() -> None:
    given_by: dict[str, Limits | None] = {}
    for name, tier in default_catalogue().tiers.items():
        try:
            given_by[name] = limits_of(tenant(tier=name), tier)
        except TierRefused:
            given_by[name] = None
    assert given_by == {
        "free": None,
        "tier1": (500, 200_000),
        "tier2": (5_000, 2_000_000),
        "tier3": (5_000, 4_000_000),
        "tier4": (10_000, 10_000_000),
        "tier5": (30_000, 150_000_000),
    }


# ---- windows


@given(st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 given UTC
def test_a_window_is_the_minute_of_the_clock_and_resets_at_its_end(at: datetime) -> None:
    seconds = resets_in_seconds(at)
    assert 1 <= seconds <= 60
    assert window_number(at) == window_number(at.replace(second=0, microsecond=0))
    assert window_number(at + timedelta(seconds=seconds)) == window_number(at) + 1
    if seconds > 1:
        assert window_number(at + timedelta(seconds=seconds - 1)) == window_number(at)


@pytest.mark.parametrize(
    ("at", "seconds", "shown"),
    [
        (START, 60, "1m0s"),
        (START + timedelta(milliseconds=1), 60, "1m0s"),
        (START + timedelta(seconds=1), 59, "59s"),
        (START + timedelta(seconds=22, milliseconds=400), 38, "38s"),
        (START + timedelta(seconds=59, milliseconds=999), 1, "1s"),
    ],
)
def test_the_time_to_the_end_is_whole_seconds_and_written_as_openai_writes_it(
    at: datetime, seconds: int, shown: str
) -> None:
    assert resets_in_seconds(at) == seconds
    headers = RateState(LIMITS, Window(), seconds).headers()
    assert headers["x-ratelimit-reset-requests"] == headers["x-ratelimit-reset-tokens"] == shown


def test_the_headers_are_openais() -> None:
    assert RateState(LIMITS, Window(requests=4, tokens=999), 37).headers() == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "6",
        "x-ratelimit-reset-requests": "37s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "1",
        "x-ratelimit-reset-tokens": "37s",
    }


@given(st.builds(Window, requests=st.integers(0, 10**9), tokens=st.integers(-(10**9), 10**9)))
def test_what_remains_is_never_below_nothing_nor_above_the_limit(window: Window) -> None:
    headers = RateState(LIMITS, window, 37).headers()
    assert 0 <= int(headers["x-ratelimit-remaining-requests"]) <= 10
    assert 0 <= int(headers["x-ratelimit-remaining-tokens"]) <= 1000


# ---- what could never run


def test_a_request_of_a_whole_minutes_tokens_fits() -> None:
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
def test_a_request_that_no_minute_could_take_is_refused_for_good(
    input_tokens: int, output_tokens: int, param: str, fitting: int | None
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_fits(LIMITS, "o3", input_tokens + output_tokens, output_tokens)
    refused = caught.value
    assert (refused.status, refused.code, refused.param) == (400, "request_too_large_for_tier", param)
    assert not refused.retryable
    assert refused.detail is not None
    assert refused.detail.get("fitting_max_output_tokens") == fitting
    for figure in (input_tokens + output_tokens, 1000, *([fitting] if fitting is not None else [])):
        assert str(figure) in refused.message
    if fitting is not None:
        check_fits(LIMITS, "o3", input_tokens + fitting, fitting)


# ---- what has to wait


def test_refusals_name_requests_before_tokens() -> None:
    full = refusal(RateState(LIMITS, Window(10, 1000), 37), "o3", 1)
    tokens = refusal(RateState(LIMITS, Window(9, 1000), 37), "o3", 1)
    assert full is not None
    assert tokens is not None
    assert (full.kind, tokens.kind) == ("requests", "tokens")


def test_what_just_fits_is_not_refused() -> None:
    assert refusal(RateState(LIMITS, Window(9, 900), 37), "o3", 100) is None


def test_tokens_used_up_are_a_429_with_figures_and_headers(gate: Gate) -> None:
    who = tenant(tokens_per_minute=250)
    gate.take(200, who=who)
    refused = gate.refused(51, who=who)
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
    for figure in ("o3", "250 tokens", "200", "51", "47 s"):
        assert figure in refused.message
    assert gate.take(50, who=who).window == Window(2, 250), "the refusal has taken nothing"


def test_requests_used_up_are_a_429(gate: Gate) -> None:
    who = tenant(requests_per_minute=3)
    for _ in range(3):
        gate.take(1, who=who)
    refused = gate.refused(1, who=who)
    assert (refused.status, refused.kind) == (429, "requests")
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.detail is not None
    assert (refused.detail["limit"], refused.detail["used"], refused.detail["requested"]) == (3, 3, 1)


def test_who_waits_as_told_gets_through(gate: Gate) -> None:
    who = tenant(tokens_per_minute=100)
    gate.take(100, who=who)
    gate.clock.pass_by(int(gate.refused(100, who=who).headers["Retry-After"]))
    assert gate.take(100, who=who).window == Window(1, 100)


def test_across_a_boundary_twice_the_limit_passes_and_no_more(gate: Gate) -> None:
    who = tenant(tokens_per_minute=100)
    gate.clock.move_to(START + timedelta(seconds=59))
    gate.take(100, who=who)
    gate.clock.pass_by(1)
    gate.take(100, who=who)
    gate.clock.move_to(START + timedelta(seconds=118))
    gate.refused(1, who=who)


def test_what_is_told_after_a_request_counts_it(gate: Gate) -> None:
    gate.take(100)
    headers = gate.take(50).headers()
    assert headers["x-ratelimit-remaining-requests"] == "498"
    assert headers["x-ratelimit-remaining-tokens"] == "199850"


def test_a_snapshot_draws_on_the_window_of_its_model(gate: Gate) -> None:
    model = next(model for model in default_catalogue().models.values() if model.snapshots)
    who = tenant(tokens_per_minute=100)
    gate.take(100, who=who, model=model.snapshots[0])
    refused = gate.refused(1, who=who, model=model.id)
    assert refused.detail is not None
    assert refused.detail["model"] == model.id


def test_another_model_and_another_tenant_have_windows_of_their_own(gate: Gate) -> None:
    who = tenant(tokens_per_minute=100)
    gate.take(100, who=who)
    assert gate.take(100, who=who, model="o4-mini").window == Window(1, 100)
    assert gate.take(100, who=tenant(name="globex", tokens_per_minute=100)).window == Window(1, 100)


@pytest.mark.parametrize(
    ("who", "tokens", "kind"),
    [
        (tenant(tier="free"), 1, TierRefused),
        (tenant(tier="tier9"), 1, TierRefused),
        (tenant(tokens_per_minute=100), 101, InvalidRequest),
    ],
)
def test_what_can_never_run_takes_nothing(gate: Gate, who: Tenant, tokens: int, kind: type[RequestRefused]) -> None:
    for ask in (gate.limit.check, gate.limit.take):
        with pytest.raises(kind):
            ask(who, "o3", tokens, output_tokens=0)
    assert gate.calls.recorded == []


def test_a_check_takes_nothing(gate: Gate) -> None:
    assert gate.limit.check(tenant(), "o3", 200_000, output_tokens=0) == Limits(500, 200_000)
    assert gate.calls.recorded == []


# ---- dry runs


def outcome(ask: Callable[[], object]) -> tuple[str, dict[str, str], object] | None:
    try:
        ask()
    except RequestRefused as refused:
        return refused.message, refused.headers, refused.detail
    return None


@pytest.mark.parametrize("tokens", [1, 40, 41, 100, 101])
@pytest.mark.parametrize(
    "own", [{"tokens_per_minute": 100}, {"tier": "free"}, {"tier": "free", "tokens_per_minute": 100}]
)
def test_a_peek_says_what_a_request_would_be_told_and_takes_nothing(
    gate: Gate, tokens: int, own: dict[str, object]
) -> None:
    who = tenant(**own)
    gate.take(60, who=tenant(tokens_per_minute=100))
    before = dict(gate.windows.items)
    state, refused = gate.limit.peek(who, "o3", tokens, output_tokens=0)
    assert gate.windows.items == before
    assert (state is None) == ("tier" in own)
    if state is not None:
        assert state.window == Window(1, 60)
    told = None if refused is None else (refused.message, refused.headers, refused.detail)
    assert told == outcome(lambda: gate.take(tokens, who=who))


# ---- corrections


def test_an_estimate_is_corrected_while_its_minute_lasts(gate: Gate) -> None:
    taken_at = gate.clock()
    gate.take(100)
    gate.clock.pass_by(40)
    gate.limit.correct("acme", "o3", taken_at, gate.clock(), -90)
    assert gate.take(1).window == Window(2, 11)


def test_a_later_minute_is_not_corrected_for_an_earlier_one(gate: Gate) -> None:
    taken_at = gate.clock()
    gate.take(100)
    gate.clock.pass_by(50)
    gate.take(100)
    gate.limit.correct("acme", "o3", taken_at, gate.clock(), -90)
    assert set(gate.windows.items.values()) == {Window(1, 100)}
    assert [call.name for call in gate.calls.recorded] == ["rates.take"] * 2


def test_an_estimate_that_was_right_costs_no_write(gate: Gate) -> None:
    gate.take(100)
    gate.limit.correct("acme", "o3", gate.clock(), gate.clock(), 0)
    assert [call.name for call in gate.calls.recorded] == ["rates.take"]


def test_a_snapshots_estimate_is_corrected_in_its_models_window(gate: Gate) -> None:
    model = next(model for model in default_catalogue().models.values() if model.snapshots)
    gate.take(100, model=model.id)
    gate.limit.correct("acme", model.snapshots[0], gate.clock(), gate.clock(), -90)
    assert gate.take(1, model=model.id).window == Window(2, 11)


# ---- the law


@given(st.lists(st.tuples(st.integers(0, 120), st.floats(0, 30), st.booleans()), max_size=60))
def test_no_minute_ever_lets_more_through_than_its_limits(requests: list[tuple[int, float, bool]]) -> None:
    gate = Gate()
    who = tenant(requests_per_minute=5, tokens_per_minute=100)
    let_through: dict[int, list[int]] = {}
    for tokens, seconds, fails in requests:
        gate.clock.pass_by(seconds)
        minute = window_number(gate.clock())
        gate.calls.faults = {len(gate.calls.recorded): Fault.TIMEOUT_AFTER} if fails else {}
        try:
            gate.take(tokens, who=who)
        except (RequestRefused, TransportFailed):
            continue
        let_through.setdefault(minute, []).append(tokens)
    assert all(len(taken) <= 5 and sum(taken) <= 100 for taken in let_through.values())
