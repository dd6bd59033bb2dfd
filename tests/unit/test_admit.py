"""What a request comes to before anything is stored: which model is called for it, on what terms, and for how much."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from afterthought.catalogue import Catalogue, default_catalogue
from afterthought.domain.attempt import Plan
from afterthought.domain.errors import InvalidRequest
from afterthought.domain.models.provider import Provider
from afterthought.domain.request.max_cost import bound, estimated_tokens
from afterthought.services.intake.admit import Admit, Admitted

TODAY = datetime(2026, 11, 10, 12, tzinfo=UTC)
KNOWN = default_catalogue()
IMAGE = {"role": "user", "content": [{"type": "input_image", "image_url": "data:,x"}]}


def with_provider(**told: Any) -> Catalogue:
    own = Provider.model_validate({"name": "own", "base_url": "http://127.0.0.1", "mode": "direct", **told})
    return Catalogue(models=KNOWN.models, providers={**KNOWN.providers, "own": own}, tiers=KNOWN.tiers)


def admit(
    body: dict[str, Any],
    *,
    at: datetime = TODAY,
    providers: tuple[str, ...] = ("openai",),
    catalogue: Catalogue = KNOWN,
    **ours: Any,
) -> Admitted:
    take = Admit(catalogue=catalogue, providers=providers, allowed_origins=frozenset(), clock=lambda: at)
    return take(json.dumps({"input": "Why?", **body, "afterthought": ours}).encode())


def refused(body: dict[str, Any], **given: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        admit(body, **given)
    return caught.value


def test_a_model_that_is_served_is_called_as_it_was_asked_for() -> None:
    for policy in (None, "exact", "successor"):
        taken = admit({"model": "o3-2025-04-16", "max_output_tokens": 500}, model_policy=policy)
        assert taken.plan == Plan("o3-2025-04-16", "medium", 500, taken.bound.total_usd, None)
        assert taken.called == taken.request


def test_a_retired_model_runs_as_its_successor_where_the_caller_lets_it() -> None:
    taken = admit(
        {"model": "o4-mini", "max_output_tokens": 500, "reasoning": {"effort": "high", "summary": "auto"}},
        model_policy="successor",
    )
    terra = KNOWN.models["gpt-5.6-terra"]
    assert taken.plan == Plan("gpt-5.6-terra", "high", 500, taken.bound.total_usd, "model_retired")
    assert (taken.requested.id, taken.model) == ("o4-mini", terra)
    # Money and rate by the model that is called.
    assert taken.bound == bound(taken.called, terra, "standard", first=taken.first, last=taken.last)
    assert taken.bound.price_id.startswith("gpt-5.6-terra/")
    assert taken.rate_tokens == estimated_tokens(taken.called, terra)
    # What is kept is what was asked for.
    kept = json.loads(taken.canonical)
    assert (kept["model"], kept["reasoning"]) == ("o4-mini", {"effort": "high", "summary": "auto"})
    assert taken.called.reasoning is not None
    assert taken.called.reasoning.summary == "auto"


def test_of_a_line_of_successors_the_first_that_is_served_runs() -> None:
    """o1-mini's is o3-mini, which is gone as well."""
    assert admit({"model": "o1-mini"}, model_policy="successor").plan.model == "gpt-5.6-sol"
    before = datetime(2026, 10, 22, tzinfo=UTC)
    assert admit({"model": "o1-mini"}, at=before, model_policy="successor").plan.model == "o3-mini"


@pytest.mark.parametrize(
    ("model", "reasoning", "effort"),
    [
        ("o1", None, "medium"),
        ("o1", {"summary": "auto"}, "medium"),
        ("o1", {"effort": "low"}, "low"),
        ("gpt-4o-2024-05-13", None, "none"),
        # What only the successor takes is taken.
        ("o1", {"effort": "max"}, "max"),
    ],
)
def test_the_successor_thinks_as_hard_as_was_asked_of_the_other(model: str, reasoning: Any, effort: str) -> None:
    taken = admit({"model": model, "reasoning": reasoning}, model_policy="successor")
    assert taken.plan.effort == effort
    assert taken.called.reasoning is not None
    # By name: the successor's own default could be another.
    assert taken.called.reasoning.effort == effort


def test_what_was_asked_is_said_of_the_model_that_was_asked_for() -> None:
    taken = admit({"model": "o1"}, model_policy="successor")
    assert taken.effort == "medium"
    assert admit({"model": "gpt-4o-2024-05-13"}, model_policy="successor").effort is None


AFTER_GPT_5_PRO = datetime(2026, 12, 12, tzinfo=UTC)


def test_an_output_cap_is_at_most_the_successors() -> None:
    taken = admit({"model": "gpt-5-pro", "max_output_tokens": 200_000}, at=AFTER_GPT_5_PRO, model_policy="successor")
    assert taken.plan.max_output_tokens == taken.model.max_output_tokens == 128_000
    assert taken.request.max_output_tokens == 200_000
    assert taken.rate_output_tokens == 128_000
    none = admit({"model": "gpt-5-pro"}, at=AFTER_GPT_5_PRO, model_policy="successor")
    assert none.plan.max_output_tokens is None


def test_a_cap_that_neither_model_takes_is_refused() -> None:
    error = refused({"model": "gpt-5-pro", "max_output_tokens": 272_001}, at=AFTER_GPT_5_PRO, model_policy="successor")
    assert (error.param, error.code) == ("max_output_tokens", "integer_above_max_value")
    assert "gpt-5.6-sol takes 16 to 128000" in error.message


def test_what_the_successor_cannot_do_is_refused_by_its_name() -> None:
    error = refused(
        {"model": "o1", "service_tier": "flex", "reasoning": {"effort": "minimal"}}, model_policy="successor"
    )
    assert error.param == "reasoning.effort"
    assert error.message.startswith("gpt-5.6-sol does not take the effort 'minimal'")
    images = Catalogue(
        models={
            **KNOWN.models,
            "gpt-5.6-sol": KNOWN.models["gpt-5.6-sol"].model_copy(update={"input_modalities": ("text",)}),
        },
        providers=KNOWN.providers,
        tiers=KNOWN.tiers,
    )
    error = refused({"model": "o1", "input": [IMAGE]}, catalogue=images, model_policy="successor")
    assert error.message.startswith("gpt-5.6-sol takes no image input")


def test_what_the_retired_model_could_not_do_and_the_successor_can_is_taken() -> None:
    assert admit({"model": "o3-mini", "input": [IMAGE]}, model_policy="successor").plan.model == "gpt-5.6-sol"


@pytest.mark.parametrize("policy", [None, "exact"])
def test_without_leave_a_retired_model_is_refused_and_the_way_out_is_said(policy: str | None) -> None:
    error = refused({"model": "o1-mini"}, model_policy=policy)
    assert (error.param, error.code) == ("model", "model_not_found")
    assert error.message == (
        "The model 'o1-mini' has been retired by its provider; its successor is o3-mini, itself retired. "
        'With afterthought.model_policy of "successor" it would run gpt-5.6-sol.'
    )
    assert admit({"model": "o1-mini"}, model_policy="successor").plan.model == "gpt-5.6-sol"


@pytest.mark.parametrize("policy", ["exact", "successor"])
def test_where_no_successor_is_served_nothing_runs(policy: str) -> None:
    alone = with_provider(models=["o1"], shutdown={"o1": date(2026, 10, 23)})
    error = refused({"model": "o1"}, catalogue=alone, providers=("own",), model_policy=policy)
    assert error.code == "model_not_found"
    assert "its successor gpt-5.6-sol is not served here either" in error.message


def test_a_model_that_was_never_served_here_has_no_successor_here() -> None:
    served = with_provider(models=["gpt-5.6-sol"])
    error = refused({"model": "o1"}, catalogue=served, providers=("own",), model_policy="successor")
    assert "is not served here" in error.message


def test_a_provider_without_a_background_mode_is_called_directly() -> None:
    own = with_provider(models="*")
    assert admit({"model": "gpt-6-sol"}, catalogue=own, providers=("own",)).mode == "direct"
    assert admit({"model": "gpt-6-sol"}, catalogue=own, providers=("openai", "own")).mode == "background"


def test_the_mode_is_that_of_who_is_called() -> None:
    """The retired model's provider was another."""
    own = with_provider(models=["gpt-5.6-sol"])
    gone = admit({"model": "o1"}, catalogue=own, providers=("own", "openai"), model_policy="successor")
    assert gone.mode == "direct"


@pytest.mark.parametrize(
    ("seconds", "last"),
    [(None, date(2026, 11, 11)), (86_400, date(2026, 11, 11)), (60, date(2026, 11, 10)), (43_200, date(2026, 11, 11))],
)
def test_the_bound_is_for_every_day_until_the_deadline(seconds: int | None, last: date) -> None:
    taken = admit({"model": "o3"}, deadline_seconds=seconds)
    assert taken.deadline == timedelta(seconds=seconds or 86_400)
    assert (taken.first, taken.last) == (TODAY.date(), last)


def test_a_short_deadline_spares_tomorrows_price() -> None:
    """gpt-5.6-sol came down in price at the end of 2026-08-20."""
    evening = datetime(2026, 8, 20, 12, tzinfo=UTC)
    dear = KNOWN.models["gpt-5.6-sol"]
    rising = Catalogue(
        models={
            **KNOWN.models,
            dear.id: dear.model_copy(
                update={
                    "prices": tuple(
                        row.model_copy(update={"output": row.output * 2})
                        if row.effective_from == date(2026, 8, 21)
                        else row
                        for row in dear.prices
                    )
                }
            ),
        },
        providers=KNOWN.providers,
        tiers=KNOWN.tiers,
    )
    today, tomorrow = (
        admit({"model": dear.id}, at=evening, catalogue=rising, deadline_seconds=seconds) for seconds in (3600, 86_400)
    )
    assert today.bound.price_id == "gpt-5.6-sol/standard/2026-07-09"
    assert tomorrow.bound.price_id == "gpt-5.6-sol/standard/2026-08-21"
    assert tomorrow.bound.total_usd > today.bound.total_usd


def test_the_cap_that_would_fit_is_reckoned_by_the_successors_prices() -> None:
    tight = admit({"model": "o3-mini", "max_output_tokens": 4000}, model_policy="successor", max_cost_usd="0.02")
    refusal = tight.above_cap()
    assert refusal is not None
    assert refusal.message.startswith("This job, run by gpt-5.6-sol, can cost up to $")
    assert refusal.detail is not None
    fitting = refusal.detail["max_output_tokens"]
    for cap, fits in ((fitting, True), (fitting + 1, False)):
        again = admit({"model": "o3-mini", "max_output_tokens": cap}, model_policy="successor", max_cost_usd="0.02")
        assert (again.above_cap() is None) == fits
