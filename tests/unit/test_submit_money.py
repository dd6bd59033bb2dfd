"""What a submission may cost and how often it may come: refused before it is stored, held when it is accepted."""

import json
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from afterthought.domain.budget import MonthBook
from afterthought.domain.errors import InvalidRequest, MoneyRefused, RateLimited, TierRefused, Unauthenticated
from afterthought.domain.rate_limit import Window, window_number
from tests.simulator.world import World, a_request


@pytest.fixture
def world() -> World:
    return World()


def ask(**ours: Any) -> dict[str, Any]:
    return {**a_request(webhook=False, max_output_tokens=1000), "afterthought": ours}


def encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def bound(world: World) -> Decimal:
    return world.admit(encoded(ask())).bound.total_usd


def limit(world: World, **changes: Any) -> None:
    world.accounts.by_name["acme"] = world.accounts.by_name["acme"].model_copy(update=changes)


def called(world: World) -> list[str]:
    return [call.name for call in world.calls.recorded]


def plan(world: World, body: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = world.dry_run("acme", world.admit(encoded(body)))["afterthought"]
    return answer


def test_an_accepted_job_holds_its_bound(world: World) -> None:
    job = world.submit(ask()).job
    assert job.held_usd == bound(world)
    assert world.books.stands("acme", world.clock().date().replace(day=1)).total.held_usd == bound(world)


def test_a_job_that_fits_its_own_cap_exactly_is_taken_and_one_above_it_is_not(world: World) -> None:
    cap = bound(world)
    assert world.submit(ask(max_cost_usd=f"{cap:f}")).job.max_cost_usd == cap
    with pytest.raises(MoneyRefused) as refused:
        world.submit(ask(max_cost_usd=f"{cap - Decimal('0.000000000001'):f}"))
    assert (refused.value.code, refused.value.param) == ("max_cost_exceeded", "afterthought.max_cost_usd")


def test_the_cap_that_a_refusal_names_fits_and_one_token_more_does_not(world: World) -> None:
    tight = {"max_cost_usd": "0.005"}
    with pytest.raises(MoneyRefused) as refused:
        world.submit(ask(**tight))
    assert refused.value.detail is not None
    fitting = refused.value.detail["max_output_tokens"]
    world.submit({**ask(**tight), "max_output_tokens": fitting})
    with pytest.raises(MoneyRefused):
        world.submit({**ask(**tight), "max_output_tokens": fitting + 1})


def test_a_cap_that_the_input_alone_exceeds_says_so(world: World) -> None:
    with pytest.raises(MoneyRefused, match="with the least output there is") as refused:
        world.submit(ask(max_cost_usd="0.0001"))
    assert refused.value.detail is not None
    assert refused.value.detail["max_output_tokens"] is None


def test_a_full_budget_refuses_before_anything_is_stored(world: World) -> None:
    limit(world, month_cap_usd=bound(world))
    world.submit(ask())
    world.calls.recorded.clear()
    with pytest.raises(MoneyRefused) as refused:
        world.submit(ask())
    assert called(world) == ["accounts.tenant", "rates.take", "books.month"]
    assert refused.value.detail is not None
    assert refused.value.detail["budgets"][0]["left_usd"] == "0"


def test_a_budgets_refusal_names_the_output_that_would_still_fit(world: World) -> None:
    limit(world, day_cap_usd=Decimal("0.005"))
    with pytest.raises(MoneyRefused) as refused:
        world.submit(ask())
    assert refused.value.detail is not None
    world.submit({**ask(), "max_output_tokens": refused.value.detail["max_output_tokens"]})


def test_of_two_that_both_saw_the_last_of_a_budget_one_is_refused(world: World) -> None:
    """The other takes it between the look and the transaction: the transaction is what decides."""
    limit(world, month_cap_usd=bound(world))
    world.calls.before_call[4] = partial(world.submit, ask())
    with pytest.raises(MoneyRefused):
        world.submit(ask())
    assert called(world)[4] == "jobs.create"
    assert len(world.jobs.items) == len(world.job_messages.messages) == 1


def test_a_repeat_is_answered_though_nothing_is_left(world: World) -> None:
    limit(world, month_cap_usd=bound(world), requests_per_minute=1)
    first = world.submit(ask(), key="k")
    again = world.submit(ask(), key="k")
    assert (again.repeated, again.job.id, again.rate) == (True, first.job.id, None)


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("used_up", ["month_cap_usd", "requests_per_minute"])
def test_a_request_sent_twice_at_once_is_never_refused_for_what_it_took_itself(
    world: World, place: int, used_up: str
) -> None:
    limit(world, **{used_up: bound(world) if used_up == "month_cap_usd" else 1})

    def twin() -> None:
        # Where this one has taken the minute's place and made no job yet, the other must wait: a 429 is tried again.
        with suppress(RateLimited):
            world.submit(ask(), key="k")

    world.calls.before_call[place] = twin
    again = world.submit(ask(), key="k")
    assert len(world.jobs.items) == 1
    assert again.job.id in world.jobs.items


def test_no_budget_is_looked_at_where_there_is_none(world: World) -> None:
    world.submit(ask())
    assert "books.month" not in called(world)


def test_requests_above_the_limit_are_refused_until_the_next_minute(world: World) -> None:
    limit(world, requests_per_minute=2)
    states = [world.submit(ask()).rate for _ in range(2)]
    assert [state.headers()["x-ratelimit-remaining-requests"] for state in states if state] == ["1", "0"]
    with pytest.raises(RateLimited) as refused:
        world.submit(ask())
    assert (refused.value.status, refused.value.kind, refused.value.retryable) == (429, "requests", True)
    wait = int(refused.value.headers["Retry-After"])
    world.clock.pass_by(wait)
    world.submit(ask())


def test_a_refused_request_leaves_no_job_and_no_content(world: World) -> None:
    limit(world, requests_per_minute=1)
    world.submit(ask())
    before = dict(world.contents.items)
    with pytest.raises(RateLimited):
        world.submit(ask())
    assert world.contents.items == before
    assert len(world.jobs.items) == 1


def test_a_request_larger_than_a_minute_is_no_429(world: World) -> None:
    limit(world, tokens_per_minute=500)
    with pytest.raises(InvalidRequest) as refused:
        world.submit(ask())
    assert refused.value.code == "request_too_large_for_tier"
    assert world.rates.peek("acme", "o3", at=world.clock()) == Window()


def test_a_tier_that_admits_nothing_is_a_403(world: World) -> None:
    limit(world, tier="free")
    with pytest.raises(TierRefused):
        world.submit(ask())


def test_a_tenant_that_is_no_more_is_a_401(world: World) -> None:
    del world.accounts.by_name["acme"]
    with pytest.raises(Unauthenticated):
        world.submit(ask())


def test_what_was_really_used_takes_the_estimates_place_while_the_minute_lasts(world: World) -> None:
    job = world.submit(ask()).job
    start = world.clock()
    assert world.rates.peek("acme", "o3", at=start).tokens == job.rate_tokens
    world.run_until(lambda: world.job(job.id).terminal, timedelta(minutes=1))
    usage = world.job(job.id).attempts[0].usage
    assert usage is not None
    assert window_number(world.clock()) == window_number(start), "this test needs the job to end in its minute"
    assert world.rates.peek("acme", "o3", at=start).tokens == usage.total_tokens != job.rate_tokens


def test_a_dry_run_tells_the_bound_and_touches_nothing(world: World) -> None:
    told = plan(world, ask(dry_run=True))
    assert Decimal(told["bound"]["total_usd"]) == bound(world)
    assert told["bound"]["price_id"] == "o3/standard/2025-06-10"
    assert told["bound"]["price_date"] == "2025-06-10"
    assert told["would_refuse"] == []
    assert set(called(world)) == {"accounts.tenant", "books.month", "rates.peek"}
    assert (world.jobs.items, world.contents.items, world.job_messages.messages) == ({}, {}, [])
    assert world.books.stands("acme", world.clock().date().replace(day=1)) == MonthBook()


def test_a_dry_run_tells_every_refusal_that_the_request_would_meet(world: World) -> None:
    limit(world, month_cap_usd=Decimal("0.001"), requests_per_minute=1)
    world.rates.take("acme", "o3", at=world.clock(), tokens=1, limits=(1, 10**9))  # type: ignore[arg-type]
    told = plan(world, ask(dry_run=True, max_cost_usd="0.0005"))
    assert [(each["status"], each["code"]) for each in told["would_refuse"]] == [
        (402, "max_cost_exceeded"),
        (429, "rate_limit_exceeded"),
        (402, "budget_exceeded"),
    ]


def test_a_dry_run_of_a_tier_that_admits_nothing_says_so(world: World) -> None:
    limit(world, tier="free")
    told = plan(world, ask(dry_run=True))
    assert [each["code"] for each in told["would_refuse"]] == ["tier_not_supported"]
    assert told["rate_limits"] is None
