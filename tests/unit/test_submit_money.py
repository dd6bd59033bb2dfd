"""Cost caps, budgets and rate limits at submission."""

import json
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from afterthought.domain.errors import InvalidRequest, MoneyRefused, RateLimited, TierRefused, Unauthenticated
from afterthought.domain.ledger.budget import MonthBalance
from afterthought.domain.limits.rate_limit import WindowUsage, window_number
from tests.simulator.world import World, a_request


@pytest.fixture
def world() -> World:
    return World()


def request(**options: Any) -> dict[str, Any]:
    return {**a_request(webhook=False, max_output_tokens=1000), "afterthought": options}


def encode(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def maximum(world: World) -> Decimal:
    return world.admitter.admit(encode(request())).max_cost.total_usd


def change_tenant(world: World, **changes: Any) -> None:
    world.accounts.by_name["acme"] = world.accounts.by_name["acme"].model_copy(update=changes)


def calls(world: World) -> list[str]:
    return [call.name for call in world.calls.recorded]


def dry_run(world: World, body: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = world.dry_runner.run("acme", world.admitter.admit(encode(body)))["afterthought"]
    return result


def test_job_holds_its_maximum_cost(world: World) -> None:
    job = world.submit(request()).job
    assert job.held_usd == maximum(world)
    assert world.ledger.balance("acme", world.clock().date().replace(day=1)).total.held_usd == maximum(world)


def test_cap_equal_to_the_maximum_is_accepted(world: World) -> None:
    cap = maximum(world)
    assert world.submit(request(max_cost_usd=f"{cap:f}")).job.max_cost_usd == cap
    with pytest.raises(MoneyRefused) as refused:
        world.submit(request(max_cost_usd=f"{cap - Decimal('0.000000000001'):f}"))
    assert (refused.value.code, refused.value.param) == ("max_cost_exceeded", "afterthought.max_cost_usd")


def test_named_max_output_tokens_fit(world: World) -> None:
    options = {"max_cost_usd": "0.005"}
    with pytest.raises(MoneyRefused) as refused:
        world.submit(request(**options))
    assert refused.value.detail is not None
    fitting = refused.value.detail["max_output_tokens"]
    world.submit({**request(**options), "max_output_tokens": fitting})
    with pytest.raises(MoneyRefused):
        world.submit({**request(**options), "max_output_tokens": fitting + 1})


def test_input_above_the_cap_is_explained(world: World) -> None:
    with pytest.raises(MoneyRefused, match="even the minimum of 16 output tokens") as refused:
        world.submit(request(max_cost_usd="0.0001"))
    assert refused.value.detail is not None
    assert refused.value.detail["max_output_tokens"] is None


def test_full_budget_refuses_before_storing(world: World) -> None:
    change_tenant(world, month_cap_usd=maximum(world))
    world.submit(request())
    world.calls.recorded.clear()
    with pytest.raises(MoneyRefused) as refused:
        world.submit(request())
    assert calls(world) == ["accounts.tenant", "rates.take", "ledger.month"]
    assert refused.value.detail is not None
    assert refused.value.detail["budgets"][0]["left_usd"] == "0"


def test_budget_refusal_names_fitting_output(world: World) -> None:
    change_tenant(world, day_cap_usd=Decimal("0.005"))
    with pytest.raises(MoneyRefused) as refused:
        world.submit(request())
    assert refused.value.detail is not None
    world.submit({**request(), "max_output_tokens": refused.value.detail["max_output_tokens"]})


def test_race_for_the_last_budget_has_one_winner(world: World) -> None:
    """The other request takes the budget between the check and the transaction, which decides."""
    change_tenant(world, month_cap_usd=maximum(world))
    world.calls.before_call[4] = partial(world.submit, request())
    with pytest.raises(MoneyRefused):
        world.submit(request())
    assert calls(world)[4] == "jobs.create"
    assert len(world.jobs.items) == len(world.job_messages.messages) == 1


def test_repeat_needs_no_budget(world: World) -> None:
    change_tenant(world, month_cap_usd=maximum(world), requests_per_minute=1)
    first = world.submit(request(), key="k")
    again = world.submit(request(), key="k")
    assert (again.repeated, again.job.id, again.rate) == (True, first.job.id, None)


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("limit", ["month_cap_usd", "requests_per_minute"])
def test_concurrent_repeat_is_not_refused(world: World, place: int, limit: str) -> None:
    change_tenant(world, **{limit: maximum(world) if limit == "month_cap_usd" else 1})

    def twin() -> None:
        # If the first request has taken the rate limit but not yet created its job, the second gets a 429 and retries.
        with suppress(RateLimited):
            world.submit(request(), key="k")

    world.calls.before_call[place] = twin
    again = world.submit(request(), key="k")
    assert len(world.jobs.items) == 1
    assert again.job.id in world.jobs.items


def test_no_budget_is_read_without_caps(world: World) -> None:
    world.submit(request())
    assert "ledger.month" not in calls(world)


def test_rate_limit_resets_each_minute(world: World) -> None:
    change_tenant(world, requests_per_minute=2)
    states = [world.submit(request()).rate for _ in range(2)]
    assert [state.headers()["x-ratelimit-remaining-requests"] for state in states if state] == ["1", "0"]
    with pytest.raises(RateLimited) as refused:
        world.submit(request())
    assert (refused.value.status, refused.value.kind, refused.value.retryable) == (429, "requests", True)
    wait = int(refused.value.headers["Retry-After"])
    world.clock.pass_by(wait)
    world.submit(request())


def test_rate_limited_request_leaves_nothing(world: World) -> None:
    change_tenant(world, requests_per_minute=1)
    world.submit(request())
    before = dict(world.contents.items)
    with pytest.raises(RateLimited):
        world.submit(request())
    assert world.contents.items == before
    assert len(world.jobs.items) == 1


def test_request_larger_than_a_minute_is_a_400(world: World) -> None:
    change_tenant(world, tokens_per_minute=500)
    with pytest.raises(InvalidRequest) as refused:
        world.submit(request())
    assert refused.value.code == "request_too_large_for_tier"
    assert world.rates.peek("acme", "o3", at=world.clock()) == WindowUsage()


def test_unsupported_tier_is_a_403(world: World) -> None:
    change_tenant(world, tier="free")
    with pytest.raises(TierRefused):
        world.submit(request())


def test_deleted_tenant_is_a_401(world: World) -> None:
    del world.accounts.by_name["acme"]
    with pytest.raises(Unauthenticated):
        world.submit(request())


def test_usage_replaces_the_estimate_in_its_minute(world: World) -> None:
    job = world.submit(request()).job
    start = world.clock()
    assert world.rates.peek("acme", "o3", at=start).tokens == job.rate_tokens
    world.run_until(lambda: world.job(job.id).terminal, timedelta(minutes=1))
    usage = world.job(job.id).attempts[0].usage
    assert usage is not None
    assert window_number(world.clock()) == window_number(start), "this test needs the job to end in its minute"
    assert world.rates.peek("acme", "o3", at=start).tokens == usage.total_tokens != job.rate_tokens


def test_dry_run_changes_nothing(world: World) -> None:
    result = dry_run(world, request(dry_run=True))
    assert Decimal(result["bound"]["total_usd"]) == maximum(world)
    assert result["bound"]["price_id"] == "o3/standard/2025-06-10"
    assert result["bound"]["price_date"] == "2025-06-10"
    assert result["would_refuse"] == []
    assert set(calls(world)) == {"accounts.tenant", "ledger.month", "rates.peek"}
    assert (world.jobs.items, world.contents.items, world.job_messages.messages) == ({}, {}, [])
    assert world.ledger.balance("acme", world.clock().date().replace(day=1)) == MonthBalance()


def test_dry_run_lists_every_refusal(world: World) -> None:
    change_tenant(world, month_cap_usd=Decimal("0.001"), requests_per_minute=1)
    world.rates.take("acme", "o3", at=world.clock(), tokens=1, limits=(1, 10**9))  # type: ignore[arg-type]
    result = dry_run(world, request(dry_run=True, max_cost_usd="0.0005"))
    assert [(each["status"], each["code"]) for each in result["would_refuse"]] == [
        (402, "max_cost_exceeded"),
        (429, "rate_limit_exceeded"),
        (402, "budget_exceeded"),
    ]


def test_dry_run_of_unsupported_tier(world: World) -> None:
    change_tenant(world, tier="free")
    result = dry_run(world, request(dry_run=True))
    assert [each["code"] for each in result["would_refuse"]] == ["tier_not_supported"]
    assert result["rate_limits"] is None
