"""What a job calls next: the successor of a model that is gone, the same once more, or what has room to answer."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.catalogue import Catalogue, default_catalogue
from afterthought.domain.attempt import Plan
from afterthought.domain.job import Job, accept
from afterthought.domain.pricing import Usage
from afterthought.domain.request import body
from afterthought.domain.request.max_cost import max_cost
from afterthought.domain.request.request import CreateResponse
from afterthought.services.intake.admit import AdmittedRequest, Admitter
from afterthought.services.substitute import Substitute

NOW = datetime(2026, 12, 10, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
KNOWN = default_catalogue()
SOL = KNOWN.models["gpt-5.6-sol"]


def admitted(**request: Any) -> AdmittedRequest:
    ours = {"model_policy": "successor", **request.pop("ours", {})}
    admitter = Admitter(catalogue=KNOWN, providers=("openai",), allowed_origins=frozenset(), clock=lambda: NOW)
    return admitter.admit(json.dumps({"model": "o3", "input": "Why?", **request, "afterthought": ours}).encode())


def accepted(taken: AdmittedRequest, **changes: Any) -> Job:
    job = accept(
        id="resp_" + "0" * 48,
        tenant="acme",
        model=taken.request.model,
        effort=taken.effort,
        max_output_tokens=taken.request.max_output_tokens,
        service_tier="default",
        body_hash=body.body_hash(taken.canonical),
        webhook=False,
        plan=taken.call_spec,
        now=NOW,
        deadline_at=NOW + taken.deadline,
        max_cost_usd=taken.options.max_cost_usd,
        model_policy="successor" if taken.options.model_policy == "successor" else None,
    )
    return job.model_copy(update=changes)


def called(job: Job) -> Job:
    return job.begin(token="t", provider="openai", now=NOW)


def starved(job: Job, cost: str = "0.001") -> Job:
    return called(job).settled(
        "incomplete",
        now=LATER,
        served_model=None,
        usage=Usage(input_tokens=1, output_tokens=1),
        price_id="o3/standard/2025-06-10",
        cost_usd=Decimal(cost),
    )


def stored(taken: AdmittedRequest) -> dict[str, Any]:
    request: dict[str, Any] = json.loads(taken.canonical)
    return request


def substitute(at: datetime = LATER, catalogue: Catalogue = KNOWN) -> Substitute:
    return Substitute(catalogue, ("openai",), lambda: at)


def cap_of(amount: Decimal) -> dict[str, str]:
    return {"max_cost_usd": f"{amount:f}"}


# ---- the model is gone ----


@pytest.mark.parametrize("because", ["model_not_found", "model_retired"])
def test_the_successor_of_a_model_that_is_gone_is_called_at_its_own_price(because: Any) -> None:
    taken = admitted(max_output_tokens=1000)
    plan = substitute()(called(accepted(taken)), stored(taken), because)
    assert isinstance(plan, Plan)
    assert (plan.model, plan.effort, plan.max_output_tokens, plan.because) == ("gpt-5.6-sol", "medium", 1000, because)
    same = CreateResponse.model_validate({**stored(taken), "model": SOL.id})
    days = {"first": LATER.date(), "last": date(2026, 12, 11)}
    assert plan.hold_usd == max_cost(same, SOL, "standard", **days).total_usd
    assert plan.hold_usd > taken.max_cost.total_usd


def test_what_the_first_call_held_is_free_for_the_successor_and_not_a_cent_more() -> None:
    taken = admitted(max_output_tokens=1000)
    plan = substitute()(called(accepted(taken)), stored(taken), "model_not_found")
    assert isinstance(plan, Plan)
    fits = admitted(max_output_tokens=1000, ours=cap_of(plan.hold_usd))
    job = called(accepted(fits))
    assert substitute()(job, stored(fits), "model_not_found") == plan
    # The ledger agrees with what was promised.
    assert job.refused("model_not_found", "", now=LATER, then=plan).held_usd == plan.hold_usd
    tight = admitted(max_output_tokens=1000, ours=cap_of(plan.hold_usd - Decimal("0.000001")))
    why_not = substitute()(called(accepted(tight)), stored(tight), "model_not_found")
    assert isinstance(why_not, str)
    assert "max_cost_usd" in why_not
    assert "gpt-5.6-sol" in why_not


def test_the_bound_is_for_the_days_that_are_left() -> None:
    dearer = SOL.model_copy(
        update={
            "prices": (
                *SOL.prices,
                SOL.prices[2].model_copy(
                    update={"id": "tomorrow", "effective_from": date(2026, 12, 11), "output": Decimal(1000)}
                ),
            )
        }
    )
    catalogue = Catalogue(models={**KNOWN.models, SOL.id: dearer}, providers=KNOWN.providers, tiers=KNOWN.tiers)
    for seconds, dear in ((43_100, False), (43_300, True)):
        taken = admitted(max_output_tokens=1000, ours={"deadline_seconds": seconds})
        plan = substitute(catalogue=catalogue)(called(accepted(taken)), stored(taken), "model_not_found")
        assert isinstance(plan, Plan)
        assert (plan.hold_usd > 1) == dear


def test_a_deadline_that_has_passed_still_has_today() -> None:
    taken = admitted(max_output_tokens=1000)
    plan = substitute(NOW + timedelta(days=3))(called(accepted(taken)), stored(taken), "model_not_found")
    assert isinstance(plan, Plan)


def test_a_successor_that_is_gone_too_has_one_of_its_own() -> None:
    taken = admitted()
    line = {
        **KNOWN.models,
        "gpt-5.6-sol": SOL.model_copy(update={"successor": "gpt-6-sol"}),
    }
    catalogue = Catalogue(models=line, providers=KNOWN.providers, tiers=KNOWN.tiers)
    job = called(accepted(taken))
    first = substitute(catalogue=catalogue)(job, stored(taken), "model_not_found")
    assert isinstance(first, Plan)
    job = called(job.refused("model_not_found", "", now=LATER, then=first))
    second = substitute(catalogue=catalogue)(job, stored(taken), "model_not_found")
    assert isinstance(second, Plan)
    assert (first.model, second.model) == ("gpt-5.6-sol", "gpt-6-sol")
    job = called(job.refused("model_not_found", "", now=LATER, then=second))
    assert substitute(catalogue=catalogue)(job, stored(taken), "model_not_found") == "No successor of it is served."


def test_only_who_asked_for_it_gets_a_successor() -> None:
    taken = admitted(ours={"model_policy": "exact"})
    why_not = substitute()(called(accepted(taken)), stored(taken), "model_not_found")
    assert isinstance(why_not, str)
    assert "model_policy" in why_not


def test_a_successor_that_cannot_serve_the_request_is_not_called() -> None:
    taken = admitted(service_tier="priority")
    plain = SOL.model_copy(update={"prices": tuple(row for row in SOL.prices if row.tier == "standard")})
    catalogue = Catalogue(models={**KNOWN.models, SOL.id: plain}, providers=KNOWN.providers, tiers=KNOWN.tiers)
    job = called(accepted(taken, service_tier="priority"))
    why_not = substitute(catalogue=catalogue)(job, stored(taken), "model_not_found")
    assert isinstance(why_not, str)
    assert why_not.startswith("Its successor gpt-5.6-sol cannot serve the request: ")
    assert "service tier 'priority'" in why_not


def test_a_stored_request_that_newer_code_no_longer_takes_is_not_called() -> None:
    taken = admitted()
    odd = {**stored(taken), "a parameter of long ago": 1}
    job = called(accepted(taken))
    assert isinstance(substitute()(job, odd, "model_not_found"), str)
    assert isinstance(substitute().again(job, odd), str)
    assert substitute().starved(starved(accepted(taken)), odd) == ()


# ---- nobody knows what came of the call ----


@pytest.mark.parametrize("closed", [False, True])
def test_the_same_call_once_more_leaves_the_first_one_counted(closed: bool) -> None:
    taken = admitted(max_output_tokens=1000, reasoning={"effort": "low"})
    twice = admitted(max_output_tokens=1000, reasoning={"effort": "low"}, ours=cap_of(taken.max_cost.total_usd * 2))
    tight = admitted(
        max_output_tokens=1000,
        reasoning={"effort": "low"},
        ours=cap_of(taken.max_cost.total_usd * 2 - Decimal("0.000001")),
    )
    for each, fits in ((taken, True), (twice, True), (tight, False)):
        job = called(accepted(each))
        job = job.failed("outcome_unknown", "", now=LATER) if closed else job
        plan = substitute().again(job, stored(each))
        assert (plan == Plan("o3", "low", 1000, taken.max_cost.total_usd, "outcome_unknown")) == fits
        assert fits or (isinstance(plan, str) and "max_cost_usd" in plan)


def test_once_more_means_what_was_called_not_what_was_asked() -> None:
    taken = admitted(max_output_tokens=1000)
    job = called(accepted(taken))
    first = substitute()(job, stored(taken), "model_not_found")
    assert isinstance(first, Plan)
    job = called(job.refused("model_not_found", "", now=LATER, then=first))
    assert substitute().again(job, stored(taken)) == first._replace(because="outcome_unknown")


def test_once_more_of_a_model_that_has_gone_is_its_successor() -> None:
    """o3 ends with 2026-12-10."""
    taken = admitted(max_output_tokens=1000)
    job = called(accepted(taken))
    tomorrow = NOW + timedelta(hours=13)
    plan = substitute(tomorrow).again(job, stored(taken))
    assert isinstance(plan, Plan)
    assert (plan.model, plan.because) == ("gpt-5.6-sol", "model_retired")
    # The lost call counts as paid here too.
    tight = admitted(
        max_output_tokens=1000, ours=cap_of(taken.max_cost.total_usd + plan.hold_usd - Decimal("0.000001"))
    )
    assert isinstance(substitute(tomorrow).again(called(accepted(tight)), stored(tight)), str)
    exact = admitted(max_output_tokens=1000, ours={"model_policy": "exact"})
    assert isinstance(substitute(tomorrow).again(called(accepted(exact)), stored(exact)), str)


# ---- the answer starved ----


def tried(taken: AdmittedRequest, cost: str = "0.001") -> list[tuple[str | None, int | None]]:
    plans = substitute().starved(starved(accepted(taken), cost), stored(taken))
    assert all((plan.model, plan.because) == ("o3", "reasoning_starved") for plan in plans)
    return [(plan.effort, plan.max_output_tokens) for plan in plans]


@pytest.mark.parametrize(
    ("request_", "tries"),
    [
        ({"max_output_tokens": 1000}, [("medium", 4000), ("low", 1000)]),
        ({"max_output_tokens": 1000, "reasoning": {"effort": "high"}}, [("high", 4000), ("medium", 1000)]),
        ({"max_output_tokens": 1000, "reasoning": {"effort": "low"}}, [("low", 4000)]),
        ({"max_output_tokens": 60_000}, [("medium", 100_000), ("low", 60_000)]),
        ({"max_output_tokens": 100_000}, [("low", 100_000)]),
        ({}, [("low", None)]),
        ({"reasoning": {"effort": "low"}}, []),
    ],
)
def test_an_answer_that_starved_gets_more_room_or_less_to_think(request_: dict[str, Any], tries: list[Any]) -> None:
    assert tried(admitted(**request_)) == tries


def test_more_room_that_does_not_fit_the_cap_is_not_tried() -> None:
    small, large = (admitted(max_output_tokens=tokens).max_cost.total_usd for tokens in (1000, 4000))
    spent = Decimal("0.001")
    for left, tries in (
        (large, [("medium", 4000), ("low", 1000)]),
        (large - Decimal("0.000001"), [("low", 1000)]),
        (small, [("low", 1000)]),
        (small - Decimal("0.000001"), []),
    ):
        assert tried(admitted(max_output_tokens=1000, ours=cap_of(spent + left)), str(spent)) == tries


def test_while_the_starved_attempt_is_open_its_hold_counts_as_spent() -> None:
    plain = admitted(max_output_tokens=1000)
    taken = admitted(max_output_tokens=1000, ours=cap_of(plain.max_cost.total_usd * 2 - Decimal("0.000001")))
    assert substitute().starved(called(accepted(taken)), stored(taken)) == ()


def test_a_successor_that_starved_goes_on_as_the_successor() -> None:
    taken = admitted(max_output_tokens=1000)
    job = called(accepted(taken))
    first = substitute()(job, stored(taken), "model_not_found")
    assert isinstance(first, Plan)
    job = starved(job.refused("model_not_found", "", now=LATER, then=first))
    plans = substitute().starved(job, stored(taken))
    assert [(plan.model, plan.effort, plan.max_output_tokens) for plan in plans] == [
        ("gpt-5.6-sol", "medium", 4000),
        ("gpt-5.6-sol", "low", 1000),
    ]


@given(
    st.integers(min_value=16, max_value=100_000),
    st.sampled_from(["low", "medium", "high"]),
    st.decimals(min_value="0.000001", max_value="1.5", places=6),
    st.booleans(),
)
def test_no_plan_is_ever_above_what_is_left_of_the_cap(tokens: int, effort: str, more: Decimal, settle: bool) -> None:
    """The ledger takes every plan, and would refuse one that is above it."""
    plain = admitted(max_output_tokens=tokens, reasoning={"effort": effort})
    cap = plain.max_cost.total_usd + more
    taken = admitted(max_output_tokens=tokens, reasoning={"effort": effort}, ours=cap_of(cap))
    request, job = stored(taken), called(accepted(taken))
    if settle:
        for plan in substitute().starved(starved(accepted(taken)), request):
            again = job.settled(
                "incomplete",
                now=LATER,
                served_model=None,
                usage=None,
                price_id="p",
                cost_usd=Decimal("0.001"),
                then=plan,
            )
            assert again.held_usd + again.spent_usd <= cap
        return
    if isinstance(once_more := substitute().again(job, request), Plan):
        lost = job.failed("outcome_unknown", "", now=LATER, then=once_more)
        assert lost.held_usd + lost.spent_usd <= cap
    if isinstance(instead := substitute()(job, request, "model_not_found"), Plan):
        assert job.refused("model_not_found", "", now=LATER, then=instead).held_usd <= cap
