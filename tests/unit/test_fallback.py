"""What a job calls next: the successor of a model that is gone, the same call again, or a call with more tokens."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.catalogue import Catalogue, default_catalogue
from afterthought.domain.jobs.attempt import AttemptReason, CallSpec
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.spec import JobSpec
from afterthought.domain.models.pricing import Usage
from afterthought.domain.request import body
from afterthought.domain.request.max_cost import max_cost
from afterthought.domain.request.request import CreateResponse
from afterthought.services.intake.admit import AdmittedRequest, Admitter
from afterthought.services.run.fallback import Fallback, Fallbacks

NOW = datetime(2026, 12, 10, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
TOMORROW = NOW + timedelta(hours=13)
CATALOGUE = default_catalogue()
SOL = CATALOGUE.models["gpt-5.6-sol"]
CENT_FRACTION = Decimal("0.000001")


def admitted(**request: Any) -> AdmittedRequest:
    options = {"model_policy": "successor", **request.pop("options", {})}
    admitter = Admitter(catalogue=CATALOGUE, providers=("openai",), allowed_origins=frozenset(), clock=lambda: NOW)
    return admitter.admit(json.dumps({"model": "o3", "input": "Why?", **request, "afterthought": options}).encode())


def called(request: AdmittedRequest, **changes: Any) -> Job:
    """A job during its first call."""
    spec = JobSpec(
        id="resp_" + "0" * 48,
        tenant="acme",
        model=request.request.model,
        effort=request.effort,
        max_output_tokens=request.request.max_output_tokens,
        service_tier="default",
        webhook=False,
        body_hash=body.body_hash(request.canonical),
        created_at=NOW,
        deadline_at=NOW + request.deadline,
        max_cost_usd=request.options.max_cost_usd,
        model_policy="successor" if request.options.model_policy == "successor" else None,
    )
    return call(Job.create(spec, request.call_spec).model_copy(update=changes))


def call(job: Job) -> Job:
    return job.start_call(token="t", provider="openai", now=NOW)


def refuse(job: Job, fallback: CallSpec | None = None) -> Job:
    return job.refuse("model_not_found", "", now=LATER, fallback=fallback)


def lose(job: Job, fallback: CallSpec | None = None) -> Job:
    return job.fail("outcome_unknown", "", now=LATER, fallback=fallback)


def starve(job: Job, cost: str = "0.001", fallback: CallSpec | None = None) -> Job:
    return job.settle(
        "incomplete",
        now=LATER,
        served_model=None,
        usage=Usage(input_tokens=1, output_tokens=1),
        price_id="o3/standard/2025-06-10",
        cost_usd=Decimal(cost),
        fallback=fallback,
    )


def stored(request: AdmittedRequest) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.canonical)
    return body


def find(
    ended: Job,
    request: AdmittedRequest,
    reason: AttemptReason,
    *,
    at: datetime = LATER,
    catalogue: Catalogue = CATALOGUE,
) -> Fallback:
    return Fallbacks(catalogue, ("openai",), lambda: at).find(ended, stored(request), reason)


def successor(job: Job, request: AdmittedRequest, **more: Any) -> CallSpec:
    (spec,) = find(refuse(job), request, "model_not_found", **more).calls
    return spec


def cap_of(amount: Decimal) -> dict[str, str]:
    return {"max_cost_usd": f"{amount:f}"}


def catalogue_with(*models: Any) -> Catalogue:
    changed = {model.id: model for model in models}
    return Catalogue(models={**CATALOGUE.models, **changed}, providers=CATALOGUE.providers, tiers=CATALOGUE.tiers)


# ---- the model does not exist ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["model_not_found", "model_retired"])
def test_successor_has_its_own_price(reason: Any) -> None:
    request = admitted(max_output_tokens=1000)
    (spec,) = find(refuse(called(request)), request, reason).calls
    assert (spec.model, spec.effort, spec.max_output_tokens, spec.reason) == ("gpt-5.6-sol", "medium", 1000, reason)
    called_request = CreateResponse.model_validate({**stored(request), "model": SOL.id})
    days = {"first": LATER.date(), "last": date(2026, 12, 11)}
    assert spec.hold_usd == max_cost(called_request, SOL, "standard", **days).total_usd
    assert spec.hold_usd > request.max_cost.total_usd


def test_successor_takes_hold_of_refused_call() -> None:
    request = admitted(max_output_tokens=1000)
    spec = successor(called(request), request)
    fitting = admitted(max_output_tokens=1000, options=cap_of(spec.hold_usd))
    job = called(fitting)
    assert successor(job, fitting) == spec
    assert refuse(job, spec).held_usd == spec.hold_usd
    capped_below = admitted(max_output_tokens=1000, options=cap_of(spec.hold_usd - CENT_FRACTION))
    fallback = find(refuse(called(capped_below)), capped_below, "model_not_found")
    assert fallback.calls == ()
    assert "max_cost_usd" in fallback.why_none
    assert "gpt-5.6-sol" in fallback.why_none


def test_hold_covers_the_days_until_the_deadline() -> None:
    row = SOL.prices[2].model_copy(
        update={"id": "tomorrow", "effective_from": date(2026, 12, 11), "output": Decimal(1000)}
    )
    more_expensive = catalogue_with(SOL.model_copy(update={"prices": (*SOL.prices, row)}))
    for seconds, covers_tomorrow in ((43_100, False), (43_300, True)):
        request = admitted(max_output_tokens=1000, options={"deadline_seconds": seconds})
        assert (successor(called(request), request, catalogue=more_expensive).hold_usd > 1) == covers_tomorrow


def test_hold_after_the_deadline_covers_today() -> None:
    request = admitted(max_output_tokens=1000)
    assert successor(called(request), request, at=NOW + timedelta(days=3))


def test_successor_may_have_a_successor() -> None:
    request = admitted()
    catalogue = catalogue_with(SOL.model_copy(update={"successor": "gpt-6-sol"}))
    job = called(request)
    first = successor(job, request, catalogue=catalogue)
    job = call(refuse(job, first))
    second = successor(job, request, catalogue=catalogue)
    assert (first.model, second.model) == ("gpt-5.6-sol", "gpt-6-sol")
    fallback = find(refuse(call(refuse(job, second))), request, "model_not_found", catalogue=catalogue)
    assert fallback == Fallback((), "No successor of it is served.")


def test_unsuitable_successor_is_not_called() -> None:
    request = admitted(service_tier="priority")
    plain = SOL.model_copy(update={"prices": tuple(row for row in SOL.prices if row.tier == "standard")})
    job = called(request, service_tier="priority")
    fallback = find(refuse(job), request, "model_not_found", catalogue=catalogue_with(plain))
    assert fallback.calls == ()
    assert fallback.why_none.startswith("Its successor gpt-5.6-sol cannot serve the request: ")
    assert "service tier 'priority'" in fallback.why_none


@pytest.mark.parametrize("request_", [{"a former parameter": 1}, None], ids=["unreadable", "expired"])
@pytest.mark.parametrize("reason", ["model_not_found", "outcome_unknown", "reasoning_starved"])
def test_unreadable_request_is_not_called(reason: Any, request_: dict[str, Any] | None) -> None:
    request = admitted()
    body = None if request_ is None else {**stored(request), **request_}
    fallback = Fallbacks(CATALOGUE, ("openai",), lambda: LATER).find(lose(called(request)), body, reason)
    assert fallback.calls == ()
    assert "stored" in fallback.why_none


# ---- the outcome of the call is unknown ------------------------------------------------------------------------------


def test_repeat_keeps_first_call_counted() -> None:
    parameters: dict[str, Any] = {"max_output_tokens": 1000, "reasoning": {"effort": "low"}}
    uncapped = admitted(**parameters)
    capped = admitted(**parameters, options=cap_of(uncapped.max_cost.total_usd * 2))
    capped_below = admitted(**parameters, options=cap_of(uncapped.max_cost.total_usd * 2 - CENT_FRACTION))
    for request, fits in ((uncapped, True), (capped, True), (capped_below, False)):
        fallback = find(lose(called(request)), request, "outcome_unknown")
        assert fallback.calls == (
            (CallSpec("o3", "low", 1000, uncapped.max_cost.total_usd, "outcome_unknown"),) if fits else ()
        )
        assert fits or "max_cost_usd" in fallback.why_none


def test_repeat_calls_the_lost_model() -> None:
    request = admitted(max_output_tokens=1000)
    job = called(request)
    first = successor(job, request)
    ended = lose(call(refuse(job, first)))
    assert find(ended, request, "outcome_unknown").calls == (first._replace(reason="outcome_unknown"),)


def test_repeat_of_retired_model_calls_successor() -> None:
    """The last day of o3 is 2026-12-10."""
    request = admitted(max_output_tokens=1000)
    (spec,) = find(lose(called(request)), request, "outcome_unknown", at=TOMORROW).calls
    assert (spec.model, spec.reason) == ("gpt-5.6-sol", "model_retired")
    # The lost call is counted as paid.
    cap = request.max_cost.total_usd + spec.hold_usd - CENT_FRACTION
    for options in (cap_of(cap), {"model_policy": "exact"}):
        refused = admitted(max_output_tokens=1000, options=options)
        assert find(lose(called(refused)), refused, "outcome_unknown", at=TOMORROW).calls == ()


# ---- reasoning used all tokens ---------------------------------------------------------------------------------------


def larger_calls(request: AdmittedRequest, cost: str = "0.001") -> list[tuple[str | None, int | None]]:
    calls = find(starve(called(request), cost), request, "reasoning_starved").calls
    assert all((spec.model, spec.reason) == ("o3", "reasoning_starved") for spec in calls)
    return [(spec.effort, spec.max_output_tokens) for spec in calls]


@pytest.mark.parametrize(
    ("request_", "calls"),
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
def test_starved_call_gets_tokens_or_less_effort(request_: dict[str, Any], calls: list[Any]) -> None:
    assert larger_calls(admitted(**request_)) == calls


def test_larger_call_fits_the_cap() -> None:
    small, large = (admitted(max_output_tokens=tokens).max_cost.total_usd for tokens in (1000, 4000))
    spent = Decimal("0.001")
    for remaining_usd, calls in (
        (large, [("medium", 4000), ("low", 1000)]),
        (large - CENT_FRACTION, [("low", 1000)]),
        (small, [("low", 1000)]),
        (small - CENT_FRACTION, []),
    ):
        request = admitted(max_output_tokens=1000, options=cap_of(spent + remaining_usd))
        assert larger_calls(request, str(spent)) == calls


def test_estimated_answer_counts_at_its_hold() -> None:
    plain = admitted(max_output_tokens=1000)
    request = admitted(max_output_tokens=1000, options=cap_of(plain.max_cost.total_usd * 2 - CENT_FRACTION))
    assert find(lose(called(request)), request, "reasoning_starved").calls == ()


def test_starved_successor_keeps_its_model() -> None:
    request = admitted(max_output_tokens=1000)
    job = called(request)
    starved = starve(call(refuse(job, successor(job, request))))
    calls = find(starved, request, "reasoning_starved").calls
    assert [(spec.model, spec.effort, spec.max_output_tokens) for spec in calls] == [
        ("gpt-5.6-sol", "medium", 4000),
        ("gpt-5.6-sol", "low", 1000),
    ]


@given(
    st.integers(min_value=16, max_value=100_000),
    st.sampled_from(["low", "medium", "high"]),
    st.decimals(min_value="0.000001", max_value="1.5", places=6),
)
def test_no_fallback_exceeds_the_cap(tokens: int, effort: str, more: Decimal) -> None:
    """The job accepts every fallback, and would raise for one above its cap."""
    plain = admitted(max_output_tokens=tokens, reasoning={"effort": effort})
    cap = plain.max_cost.total_usd + more
    request = admitted(max_output_tokens=tokens, reasoning={"effort": effort}, options=cap_of(cap))
    job = called(request)
    ends: dict[AttemptReason, Any] = {"reasoning_starved": starve, "outcome_unknown": lose, "model_not_found": refuse}
    for reason, end in ends.items():
        for spec in find(end(job), request, reason).calls:
            continued = end(job, fallback=spec)
            assert continued.held_usd + continued.spent_usd <= cap
