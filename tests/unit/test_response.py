"""Rendering of jobs, validated by OpenAI's strict types in every state."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast, get_args

import pytest
from openai.types.responses import Response, ResponseError

from afterthought.domain.jobs.attempt import CallSpec
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.spec import JobSpec
from afterthought.domain.jobs.status import STARVED, Failure
from afterthought.domain.models.pricing import Usage
from afterthought.domain.wire.response import Answer, render

NOW = datetime(2026, 11, 21, 9, 15, 42, 310_000, tzinfo=UTC)
REQUEST: dict[str, Any] = {"model": "o3", "input": "Why?", "metadata": {"a": "b"}}
HOLD = Decimal("0.001112")
USAGE = Usage(input_tokens=10, cached_input_tokens=4, cache_write_tokens=1, output_tokens=20, reasoning_tokens=15)
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "AttemptReason.", "annotations": [], "logprobs": []}],
}


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def queued(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "id": "resp_" + "0" * 48,
        "tenant": "acme",
        "model": "o3",
        "effort": "high",
        "max_output_tokens": 100,
        "service_tier": "default",
        "body_hash": "0" * 64,
        "webhook": False,
        "created_at": NOW,
        "deadline_at": NOW + timedelta(hours=24),
    }
    fields |= changes
    plan = fields.pop("plan", CallSpec(fields["model"], fields["effort"], fields["max_output_tokens"], HOLD))
    return Job.create(JobSpec(**fields), plan)


def running() -> Job:
    calling = queued().start_call(token="t", provider="openai", now=later(1))
    return calling.mark_running(response_id="resp_provider", now=later(2.5), poll_seconds=5)


def settled(status: str = "completed", **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "now": later(10),
        "served_model": "o3-2025-04-16",
        "usage": USAGE,
        "price_id": "o3/standard/2025-06-10",
        "cost_usd": Decimal("0.000172"),
    }
    return running().settle(status, **{**fields, **changes})  # type: ignore[arg-type]


def rendered(job: Job, request: dict[str, Any] | None = None, answer: Answer | None = None) -> dict[str, Any]:
    """The response, after validation by OpenAI's strict model."""
    response = render(job, REQUEST if request is None else request, answer, None, stand_in=False)
    Response.model_validate(response, strict=True)
    return cast("dict[str, Any]", response)


@pytest.mark.parametrize(
    ("job", "status"),
    [
        (queued(), "queued"),
        (queued(effort=None, max_output_tokens=None, service_tier="flex"), "queued"),
        (queued().start_call(token="t", provider="openai", now=later(1)), "in_progress"),
        (running(), "in_progress"),
        (running().record_poll(now=later(9), poll_seconds=5), "in_progress"),
        (queued().start_call(token="t", provider="p", now=later(1)).requeue(now=later(2), delay_seconds=4), "queued"),
        (settled(), "completed"),
        (settled(usage=None, cost_usd=None, price_id=None), "completed"),
        (settled("incomplete", incomplete_reason="max_output_tokens"), "incomplete"),
        (settled("cancelled", usage=None), "cancelled"),
        (running().fail("outcome_unknown", "No answer came.", now=later(10)), "failed"),
        (queued().fail("deadline_exceeded", "Too late.", now=later(10)), "failed"),
        (queued(mode="direct"), "queued"),
        (queued().cancel(now=later(1)), "cancelled"),
        (running().request_cancel(now=later(3)), "in_progress"),
        (running().request_cancel(now=later(3)).cancel(now=later(4)), "cancelled"),
        (settled("incomplete", incomplete_reason=STARVED), "incomplete"),
    ],
)
def test_every_state_is_valid_for_sdks(job: Job, status: str) -> None:
    assert rendered(job, answer=Answer(output=(MESSAGE,)) if job.terminal else None)["status"] == status


CALLING = queued().start_call(token="t", provider="openai", now=later(1))


@pytest.mark.parametrize(
    ("job", "state"),
    [
        (queued(), "held"),
        (CALLING, "submitting"),
        (running(), "submitted"),
        (CALLING.mark_outcome_unknown(now=later(2), wait=timedelta(minutes=60)), "unknown"),
        (settled(), "settled"),
        (CALLING.refuse("invalid_prompt", "It was flagged.", now=later(2)), "refused"),
        (queued().cancel(now=later(1)), "released"),
    ],
)
def test_attempt_states_have_published_names(job: Job, state: str) -> None:
    assert [attempt["state"] for attempt in rendered(job)["afterthought"]["attempts"]] == [state]


def test_expired_request_renders_valid_response() -> None:
    assert rendered(settled(), request={})["metadata"] == {}


def test_usage_has_token_details_and_cost() -> None:
    usage = rendered(settled())["usage"]
    assert usage == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 15},
        "total_tokens": 30,
        "cost": 0.000172,
    }


def test_unknown_cost_is_estimated_as_hold() -> None:
    response = rendered(settled(cost_usd=None, price_id=None))
    assert response["usage"]["cost"] == 0.001112
    cost = response["afterthought"]["cost"]
    assert (cost["total_usd"], cost["estimated"], cost["price_id"]) == ("0.001112", True, None)


def test_open_job_has_hold_but_no_total() -> None:
    cost = rendered(running())["afterthought"]["cost"]
    assert (cost["bound_usd"], cost["held_usd"], cost["total_usd"]) == ("0.001112", "0.001112", None)


def test_ended_job_holds_nothing() -> None:
    cost = rendered(settled())["afterthought"]["cost"]
    assert (cost["held_usd"], cost["total_usd"], cost["overrun"]) == ("0", "0.000172", False)
    assert (cost["price_id"], cost["price_date"]) == ("o3/standard/2025-06-10", "2025-06-10")


def test_free_model_costs_zero() -> None:
    response = rendered(settled(cost_usd=Decimal(0)))
    assert response["usage"]["cost"] == 0
    assert response["afterthought"]["attempts"][0]["cost_usd"] == "0"


def test_dollars_are_exact_decimal_strings() -> None:
    exact = Decimal("1.0000000000000000000000001")
    assert rendered(settled(cost_usd=exact))["afterthought"]["attempts"][0]["cost_usd"] == str(exact)


@pytest.mark.parametrize("code", ["server_error", "rate_limit_exceeded", "invalid_prompt", "image_too_large"])
def test_openai_error_code_is_kept(code: str) -> None:
    response = rendered(running().fail(code, "It failed.", now=later(10)))
    assert response["error"] == {"code": code, "message": "It failed."}
    assert response["afterthought"]["error_code"] == code


@pytest.mark.parametrize("code", ["outcome_unknown", "deadline_exceeded", "context_length_exceeded", "unlisted", ""])
def test_other_error_code_becomes_server_error(code: str) -> None:
    response = rendered(running().fail(code, "It failed.", now=later(10)))
    assert response["error"]["code"] == "server_error"
    assert response["afterthought"]["error_code"] == code


@pytest.mark.parametrize(
    ("reason", "expected"), [("max_output_tokens",) * 2, ("content_filter",) * 2, ("unlisted", None), (None, None)]
)
def test_incomplete_reason_is_one_of_openai(reason: str | None, expected: str | None) -> None:
    assert rendered(settled("incomplete", incomplete_reason=reason))["incomplete_details"] == {"reason": expected}


def test_starved_answer_has_own_incomplete_reason() -> None:
    response = rendered(settled("incomplete", incomplete_reason=STARVED))
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["afterthought"]["incomplete_reason"] == "reasoning_starved"


def test_completed_response_has_no_incomplete_reason() -> None:
    assert rendered(settled())["afterthought"]["incomplete_reason"] is None


def test_mode_deadline_and_cancel_are_rendered() -> None:
    fields = rendered(queued(mode="direct", deadline_at=later(60)))["afterthought"]
    assert (fields["mode"], fields["deadline_at"], fields["cancel_requested_at"]) == (
        "direct",
        later(60).timestamp(),
        None,
    )
    cancelling = rendered(running().request_cancel(now=later(3)))
    assert (cancelling["status"], cancelling["afterthought"]["cancel_requested_at"]) == (
        "in_progress",
        later(3).timestamp(),
    )


def test_successor_replaces_requested_model() -> None:
    plan = CallSpec("gpt-5.6-sol", "xhigh", 50, HOLD, "model_retired")
    response = rendered(queued(plan=plan))
    fields = response["afterthought"]
    assert (response["model"], response["reasoning"]["effort"]) == ("gpt-5.6-sol", "xhigh")
    # The request parameter is returned unchanged.
    assert response["max_output_tokens"] == 100
    assert (fields["requested_model"], fields["served_model"], fields["substituted_because"]) == (
        "o3",
        None,
        "model_retired",
    )
    [entry] = fields["attempts"]
    assert (entry["model"], entry["effort"], entry["max_output_tokens"]) == ("gpt-5.6-sol", "xhigh", 50)
    assert entry["because"] == "model_retired"


def test_refused_attempt_stays_next_to_successor() -> None:
    calling = queued().start_call(token="t", provider="openai", now=later(1))
    plan = CallSpec("gpt-5.6-sol", "high", 100, HOLD, "model_not_found")
    response = rendered(calling.refuse("model_not_found", "No such model.", now=later(2), fallback=plan))
    assert (response["status"], response["model"]) == ("queued", "gpt-5.6-sol")
    assert response["afterthought"]["substituted_because"] == "model_not_found"
    first, second = response["afterthought"]["attempts"]
    assert (first["model"], first["state"], first["because"], first["cost_usd"]) == ("o3", "refused", None, None)
    assert (second["model"], second["state"], second["because"]) == ("gpt-5.6-sol", "held", "model_not_found")


def test_repeated_successor_keeps_substitution_reason() -> None:
    job = queued(plan=CallSpec("gpt-5.6-sol", "high", 100, HOLD, "model_retired"))
    job = job.start_call(token="t", provider="openai", now=later(1))
    again = CallSpec("gpt-5.6-sol", "high", 100, HOLD, "outcome_unknown")
    fields = rendered(job.fail("outcome_unknown", "Lost.", now=later(2), fallback=again))["afterthought"]
    assert [entry["because"] for entry in fields["attempts"]] == ["model_retired", "outcome_unknown"]
    assert fields["substituted_because"] == "model_retired"


def test_successor_without_effort_shows_none() -> None:
    response = rendered(queued(plan=CallSpec("gpt-4o", None, None, HOLD, "model_retired")))
    [entry] = response["afterthought"]["attempts"]
    assert (entry["model"], entry["effort"], entry["max_output_tokens"]) == ("gpt-4o", None, None)
    assert response["reasoning"]["effort"] is None


def starved_and_retried() -> Job:
    plan = CallSpec("o3", "high", 400, Decimal("0.004"), "reasoning_starved")
    job = settled("incomplete", incomplete_reason=STARVED, fallback=plan)
    return job.start_call(token="u", provider="openai", now=later(11)).mark_running(
        response_id="resp_second", now=later(12), poll_seconds=5
    )


def test_second_attempt_keeps_cost_of_first() -> None:
    response = rendered(starved_and_retried())
    cost = response["afterthought"]["cost"]
    assert (response["status"], response["usage"], response["incomplete_details"]) == ("in_progress", None, None)
    assert (cost["bound_usd"], cost["held_usd"], cost["total_usd"]) == ("0.004", "0.004", None)
    first, second = response["afterthought"]["attempts"]
    assert (first["cost_usd"], first["usage"]["output_tokens"]) == ("0.000172", 20)
    assert (second["cost_usd"], second["usage"], second["max_output_tokens"]) == (None, None, 400)


def test_total_covers_all_attempts_usage_only_newest() -> None:
    ended = starved_and_retried().settle(
        "completed",
        now=later(30),
        served_model="o3-2025-04-16",
        usage=Usage(input_tokens=10, output_tokens=300, reasoning_tokens=200),
        price_id="o3/standard/2025-06-10",
        cost_usd=Decimal("0.00242"),
    )
    response = rendered(ended, answer=Answer(output=(MESSAGE,)))
    assert response["afterthought"]["cost"]["total_usd"] == "0.002592"
    assert response["usage"]["cost"] == 0.002592
    assert response["usage"]["output_tokens"] == 300
    assert [entry["usage"]["output_tokens"] for entry in response["afterthought"]["attempts"]] == [20, 300]


def test_unknown_outcome_keeps_hold() -> None:
    calling = queued().start_call(token="t", provider="openai", now=later(1))
    response = rendered(calling.mark_outcome_unknown(now=later(2), wait=timedelta(minutes=60)))
    assert response["status"] == "in_progress"
    assert response["afterthought"]["attempts"][0]["state"] == "unknown"
    assert response["afterthought"]["cost"]["held_usd"] == "0.001112"


def test_timeline_has_times_of_steps() -> None:
    response = rendered(settled())
    assert response["created_at"] == int(NOW.timestamp())
    assert response["completed_at"] == later(10).timestamp()
    timeline = response["afterthought"]["timeline"]
    assert (timeline["queued_seconds"], timeline["thinking_seconds"]) == (2.5, 7.5)
    assert rendered(settled("incomplete"))["completed_at"] is None


def test_model_is_served_model() -> None:
    response = rendered(settled())
    assert response["model"] == response["afterthought"]["served_model"] == "o3-2025-04-16"
    assert response["afterthought"]["requested_model"] == "o3"
    assert rendered(queued())["model"] == "o3"


def test_internal_fields_are_not_rendered() -> None:
    text = str(rendered(settled()))
    assert "resp_provider" not in text
    assert "'t'" not in text
    assert "acme" not in text


def test_answer_is_hidden_in_validation_errors() -> None:
    with pytest.raises(ValueError, match="output") as error:
        Answer.model_validate_json('{"output": "secret answer"}')
    assert "secret" not in str(error.value)


def test_served_tier_comes_from_price_id() -> None:
    job = settled()
    attempt = job.attempts[-1].model_copy(update={"price_id": "any/model/flex/2026-10-12/above-272k"})
    assert render(job, {}, None, None, stand_in=False)["service_tier"] == "default"
    priced = render(job.model_copy(update={"attempts": (attempt,)}), {}, None, None, stand_in=False)
    assert priced["service_tier"] == "flex"


def test_very_large_parameters_are_not_returned() -> None:
    request = {"instructions": "x" * 300_000, "metadata": {"a": "b"}}
    response = render(settled(), request, None, None, stand_in=False)
    assert response["instructions"] is None
    assert response["metadata"] == {"a": "b"}


def test_every_openai_error_code_is_kept() -> None:
    codes = get_args(ResponseError.model_fields["code"].annotation)
    assert len(codes) > 10
    for code in codes:
        failed = settled().model_copy(update={"failure": Failure(code=code, message="m")})
        error = render(failed, {}, None, None, stand_in=False)["error"]
        assert error is not None
        assert error["code"] == code
