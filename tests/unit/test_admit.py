"""Admission: the model that is called, the options, and the maximum cost."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from afterthought.catalogue import Catalogue, default_catalogue
from afterthought.domain.errors import InvalidRequest
from afterthought.domain.jobs.attempt import CallSpec
from afterthought.domain.models.provider import Provider
from afterthought.domain.request.max_cost import estimated_tokens, max_cost
from afterthought.services.intake.admit import AdmittedRequest, Admitter

TODAY = datetime(2026, 11, 10, 12, tzinfo=UTC)
CATALOGUE = default_catalogue()
IMAGE = {"role": "user", "content": [{"type": "input_image", "image_url": "data:,x"}]}


def with_provider(**fields: Any) -> Catalogue:
    own = Provider.model_validate({"name": "own", "base_url": "http://127.0.0.1", "mode": "direct", **fields})
    return Catalogue(models=CATALOGUE.models, providers={**CATALOGUE.providers, "own": own}, tiers=CATALOGUE.tiers)


def admit(
    body: dict[str, Any],
    *,
    at: datetime = TODAY,
    providers: tuple[str, ...] = ("openai",),
    catalogue: Catalogue = CATALOGUE,
    **options: Any,
) -> AdmittedRequest:
    admitter = Admitter(catalogue=catalogue, providers=providers, allowed_origins=frozenset(), clock=lambda: at)
    return admitter.admit(json.dumps({"input": "Why?", **body, "afterthought": options}).encode())


def refused(body: dict[str, Any], **options: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        admit(body, **options)
    return caught.value


def test_served_model_is_called_unchanged() -> None:
    for policy in (None, "exact", "successor"):
        admitted = admit({"model": "o3-2025-04-16", "max_output_tokens": 500}, model_policy=policy)
        assert admitted.call_spec == CallSpec("o3-2025-04-16", "medium", 500, admitted.max_cost.total_usd, None)
        assert admitted.called_request == admitted.request


def test_retired_model_runs_as_its_successor() -> None:
    admitted = admit(
        {"model": "o4-mini", "max_output_tokens": 500, "reasoning": {"effort": "high", "summary": "auto"}},
        model_policy="successor",
    )
    called_model = CATALOGUE.models["gpt-5.6-terra"]
    assert admitted.call_spec == CallSpec("gpt-5.6-terra", "high", 500, admitted.max_cost.total_usd, "model_retired")
    assert (admitted.requested_model.id, admitted.model) == ("o4-mini", called_model)
    # Cost and rate limit follow the called model.
    assert admitted.max_cost == max_cost(
        admitted.called_request, called_model, "standard", first=admitted.first_day, last=admitted.last_day
    )
    assert admitted.max_cost.price_id.startswith("gpt-5.6-terra/")
    assert admitted.rate_tokens == estimated_tokens(admitted.called_request, called_model)
    # The original request is stored.
    stored = json.loads(admitted.canonical)
    assert (stored["model"], stored["reasoning"]) == ("o4-mini", {"effort": "high", "summary": "auto"})
    assert admitted.called_request.reasoning is not None
    assert admitted.called_request.reasoning.summary == "auto"


def test_first_served_successor_runs() -> None:
    """The successor of o1-mini is o3-mini, which is retired too."""
    assert admit({"model": "o1-mini"}, model_policy="successor").call_spec.model == "gpt-5.6-sol"
    before = datetime(2026, 10, 22, tzinfo=UTC)
    assert admit({"model": "o1-mini"}, at=before, model_policy="successor").call_spec.model == "o3-mini"


@pytest.mark.parametrize(
    ("model", "reasoning", "effort"),
    [
        ("o1", None, "medium"),
        ("o1", {"summary": "auto"}, "medium"),
        ("o1", {"effort": "low"}, "low"),
        ("gpt-4o-2024-05-13", None, "none"),
        # An effort that only the successor supports is allowed.
        ("o1", {"effort": "max"}, "max"),
    ],
)
def test_successor_keeps_the_effort(model: str, reasoning: Any, effort: str) -> None:
    admitted = admit({"model": model, "reasoning": reasoning}, model_policy="successor")
    assert admitted.call_spec.effort == effort
    assert admitted.called_request.reasoning is not None
    # Explicit, because the successor may have another default.
    assert admitted.called_request.reasoning.effort == effort


def test_effort_of_requested_model_is_kept() -> None:
    admitted = admit({"model": "o1"}, model_policy="successor")
    assert admitted.effort == "medium"
    assert admit({"model": "gpt-4o-2024-05-13"}, model_policy="successor").effort is None


AFTER_GPT_5_PRO = datetime(2026, 12, 12, tzinfo=UTC)


def test_output_cap_is_limited_by_the_successor() -> None:
    admitted = admit({"model": "gpt-5-pro", "max_output_tokens": 200_000}, at=AFTER_GPT_5_PRO, model_policy="successor")
    assert admitted.call_spec.max_output_tokens == admitted.model.max_output_tokens == 128_000
    assert admitted.request.max_output_tokens == 200_000
    assert admitted.rate_output_tokens == 128_000
    without_cap = admit({"model": "gpt-5-pro"}, at=AFTER_GPT_5_PRO, model_policy="successor")
    assert without_cap.call_spec.max_output_tokens is None


def test_cap_above_both_models_is_refused() -> None:
    error = refused({"model": "gpt-5-pro", "max_output_tokens": 272_001}, at=AFTER_GPT_5_PRO, model_policy="successor")
    assert (error.param, error.code) == ("max_output_tokens", "integer_above_max_value")
    assert "gpt-5.6-sol allows 16 to 128000" in error.message


def test_refusal_names_the_successor() -> None:
    error = refused(
        {"model": "o1", "service_tier": "flex", "reasoning": {"effort": "minimal"}}, model_policy="successor"
    )
    assert error.param == "reasoning.effort"
    assert error.message.startswith("gpt-5.6-sol does not support the effort 'minimal'")
    images = Catalogue(
        models={
            **CATALOGUE.models,
            "gpt-5.6-sol": CATALOGUE.models["gpt-5.6-sol"].model_copy(update={"input_modalities": ("text",)}),
        },
        providers=CATALOGUE.providers,
        tiers=CATALOGUE.tiers,
    )
    error = refused({"model": "o1", "input": [IMAGE]}, catalogue=images, model_policy="successor")
    assert error.message.startswith("gpt-5.6-sol does not support image input")


def test_features_of_the_successor_are_allowed() -> None:
    assert admit({"model": "o3-mini", "input": [IMAGE]}, model_policy="successor").call_spec.model == "gpt-5.6-sol"


@pytest.mark.parametrize("policy", [None, "exact"])
def test_retired_model_is_refused_by_default(policy: str | None) -> None:
    error = refused({"model": "o1-mini"}, model_policy=policy)
    assert (error.param, error.code) == ("model", "model_not_found")
    assert error.message == (
        "The model 'o1-mini' has been retired by its provider; its successor is o3-mini, which is retired too. "
        'With an afterthought.model_policy of "successor" the request runs on gpt-5.6-sol.'
    )
    assert admit({"model": "o1-mini"}, model_policy="successor").call_spec.model == "gpt-5.6-sol"


@pytest.mark.parametrize("policy", ["exact", "successor"])
def test_unserved_successor_is_refused(policy: str) -> None:
    without_successor = with_provider(models=["o1"], shutdown={"o1": date(2026, 10, 23)})
    error = refused({"model": "o1"}, catalogue=without_successor, providers=("own",), model_policy=policy)
    assert error.code == "model_not_found"
    assert "its successor gpt-5.6-sol is not served here either" in error.message


def test_unserved_model_has_no_successor() -> None:
    served = with_provider(models=["gpt-5.6-sol"])
    error = refused({"model": "o1"}, catalogue=served, providers=("own",), model_policy="successor")
    assert "is not served here" in error.message


def test_direct_provider_is_called_directly() -> None:
    own = with_provider(models="*")
    assert admit({"model": "gpt-6-sol"}, catalogue=own, providers=("own",)).mode == "direct"
    assert admit({"model": "gpt-6-sol"}, catalogue=own, providers=("openai", "own")).mode == "background"


def test_mode_follows_called_provider() -> None:
    """The retired model has another provider."""
    own = with_provider(models=["gpt-5.6-sol"])
    admitted = admit({"model": "o1"}, catalogue=own, providers=("own", "openai"), model_policy="successor")
    assert admitted.mode == "direct"


@pytest.mark.parametrize(
    ("seconds", "last"),
    [(None, date(2026, 11, 11)), (86_400, date(2026, 11, 11)), (60, date(2026, 11, 10)), (43_200, date(2026, 11, 11))],
)
def test_max_cost_covers_every_day_until_deadline(seconds: int | None, last: date) -> None:
    admitted = admit({"model": "o3"}, deadline_seconds=seconds)
    assert admitted.deadline == timedelta(seconds=seconds or 86_400)
    assert (admitted.first_day, admitted.last_day) == (TODAY.date(), last)


def test_short_deadline_excludes_tomorrows_price() -> None:
    """The price of gpt-5.6-sol changes on 2026-08-21."""
    day_before = datetime(2026, 8, 20, 12, tzinfo=UTC)
    sol = CATALOGUE.models["gpt-5.6-sol"]
    more_expensive = Catalogue(
        models={
            **CATALOGUE.models,
            sol.id: sol.model_copy(
                update={
                    "prices": tuple(
                        row.model_copy(update={"output": row.output * 2})
                        if row.effective_from == date(2026, 8, 21)
                        else row
                        for row in sol.prices
                    )
                }
            ),
        },
        providers=CATALOGUE.providers,
        tiers=CATALOGUE.tiers,
    )
    today, tomorrow = (
        admit({"model": sol.id}, at=day_before, catalogue=more_expensive, deadline_seconds=seconds)
        for seconds in (3600, 86_400)
    )
    assert today.max_cost.price_id == "gpt-5.6-sol/standard/2026-07-09"
    assert tomorrow.max_cost.price_id == "gpt-5.6-sol/standard/2026-08-21"
    assert tomorrow.max_cost.total_usd > today.max_cost.total_usd


def test_fitting_cap_uses_the_successors_price() -> None:
    tight = admit({"model": "o3-mini", "max_output_tokens": 4000}, model_policy="successor", max_cost_usd="0.02")
    refusal = tight.max_cost_refusal()
    assert refusal is not None
    assert refusal.message.startswith("This job, run by gpt-5.6-sol, can cost up to $")
    assert refusal.detail is not None
    fitting = refusal.detail["max_output_tokens"]
    for cap, fits in ((fitting, True), (fitting + 1, False)):
        again = admit({"model": "o3-mini", "max_output_tokens": cap}, model_policy="successor", max_cost_usd="0.02")
        assert (again.max_cost_refusal() is None) == fits
