"""A job on the wire: what OpenAI's strict types take, at every step of its life."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest
from openai.types.responses import Response, ResponseError

from afterthought.domain.jobs.attempt import CallSpec
from afterthought.domain.jobs.job import STARVED, Failure, Job
from afterthought.domain.jobs.spec import JobSpec
from afterthought.domain.pricing import Usage
from afterthought.domain.response import Answer, render

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
    told: dict[str, Any] = {
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
    told |= changes
    plan = told.pop("plan", CallSpec(told["model"], told["effort"], told["max_output_tokens"], HOLD))
    return Job.create(JobSpec(**told), plan)


def thinking() -> Job:
    begun = queued().start_call(token="t", provider="openai", now=later(1))
    return begun.mark_running(response_id="resp_provider", now=later(2.5), poll_seconds=5)


def settled(status: str = "completed", **changes: Any) -> Job:
    told: dict[str, Any] = {
        "now": later(10),
        "served_model": "o3-2025-04-16",
        "usage": USAGE,
        "price_id": "o3/standard/2025-06-10",
        "cost_usd": Decimal("0.000172"),
    }
    return thinking().settle(status, **{**told, **changes})  # type: ignore[arg-type]


def shown(job: Job, request: dict[str, Any] | None = None, answer: Answer | None = None) -> dict[str, Any]:
    wire = render(job, REQUEST if request is None else request, answer, None, stand_in=False)
    Response.model_validate(wire, strict=True)
    return wire


@pytest.mark.parametrize(
    ("job", "status"),
    [
        (queued(), "queued"),
        (queued(effort=None, max_output_tokens=None, service_tier="flex"), "queued"),
        (queued().start_call(token="t", provider="openai", now=later(1)), "in_progress"),
        (thinking(), "in_progress"),
        (thinking().record_poll(now=later(9), poll_seconds=5), "in_progress"),
        (queued().start_call(token="t", provider="p", now=later(1)).requeue(now=later(2), delay_seconds=4), "queued"),
        (settled(), "completed"),
        (settled(usage=None, cost_usd=None, price_id=None), "completed"),
        (settled("incomplete", incomplete_reason="max_output_tokens"), "incomplete"),
        (settled("cancelled", usage=None), "cancelled"),
        (thinking().fail("outcome_unknown", "No answer came.", now=later(10)), "failed"),
        (queued().fail("deadline_exceeded", "Too late.", now=later(10)), "failed"),
        (queued(mode="direct"), "queued"),
        (queued().cancel(now=later(1)), "cancelled"),
        (thinking().request_cancel(now=later(3)), "in_progress"),
        (thinking().request_cancel(now=later(3)).cancel(now=later(4)), "cancelled"),
        (settled("incomplete", incomplete_reason=STARVED), "incomplete"),
    ],
)
def test_every_step_is_strict(job: Job, status: str) -> None:
    assert shown(job, answer=Answer(output=(MESSAGE,)) if job.terminal else None)["status"] == status


def test_a_request_that_has_expired_leaves_a_strict_response() -> None:
    assert shown(settled(), request={})["metadata"] == {}


def test_usage_has_the_parts_inside_their_wholes_and_the_dollars() -> None:
    usage = shown(settled())["usage"]
    assert usage == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 15},
        "total_tokens": 30,
        "cost": 0.000172,
    }


def test_a_cost_that_is_not_known_is_shown_as_the_bound_and_as_an_estimate() -> None:
    answer = shown(settled(cost_usd=None, price_id=None))
    assert answer["usage"]["cost"] == 0.001112
    cost = answer["afterthought"]["cost"]
    assert (cost["total_usd"], cost["estimated"], cost["price_id"]) == ("0.001112", True, None)


def test_an_open_job_shows_what_it_holds_and_no_total() -> None:
    cost = shown(thinking())["afterthought"]["cost"]
    assert (cost["bound_usd"], cost["held_usd"], cost["total_usd"]) == ("0.001112", "0.001112", None)


def test_an_ended_job_holds_nothing() -> None:
    cost = shown(settled())["afterthought"]["cost"]
    assert (cost["held_usd"], cost["total_usd"], cost["overrun"]) == ("0", "0.000172", False)
    assert (cost["price_id"], cost["price_date"]) == ("o3/standard/2025-06-10", "2025-06-10")


def test_a_model_that_is_free_is_shown_as_free() -> None:
    wire = shown(settled(cost_usd=Decimal(0)))
    assert wire["usage"]["cost"] == 0
    assert wire["afterthought"]["attempts"][0]["cost_usd"] == "0"


def test_dollars_are_decimal_strings_to_the_last_digit() -> None:
    exact = Decimal("1.0000000000000000000000001")
    assert shown(settled(cost_usd=exact))["afterthought"]["attempts"][0]["cost_usd"] == str(exact)


@pytest.mark.parametrize("code", ["server_error", "rate_limit_exceeded", "invalid_prompt", "image_too_large"])
def test_an_error_code_of_the_wire_stays_itself(code: str) -> None:
    wire = shown(thinking().fail(code, "It failed.", now=later(10)))
    assert wire["error"] == {"code": code, "message": "It failed."}
    assert wire["afterthought"]["error_code"] == code


@pytest.mark.parametrize("code", ["outcome_unknown", "deadline_exceeded", "context_length_exceeded", "made up", ""])
def test_any_other_code_stands_beside_the_wires_own(code: str) -> None:
    wire = shown(thinking().fail(code, "It failed.", now=later(10)))
    assert wire["error"]["code"] == "server_error"
    assert wire["afterthought"]["error_code"] == code


@pytest.mark.parametrize(
    ("reason", "told"), [("max_output_tokens",) * 2, ("content_filter",) * 2, ("made up", None), (None, None)]
)
def test_the_reason_of_an_incomplete_answer_is_one_of_the_wires(reason: str | None, told: str | None) -> None:
    assert shown(settled("incomplete", incomplete_reason=reason))["incomplete_details"] == {"reason": told}


def test_an_answer_that_starved_is_told_by_its_name_beside_the_wires() -> None:
    wire = shown(settled("incomplete", incomplete_reason=STARVED))
    assert wire["incomplete_details"] == {"reason": "max_output_tokens"}
    assert wire["afterthought"]["incomplete_reason"] == "reasoning_starved"


def test_a_response_that_is_not_incomplete_has_no_reason() -> None:
    assert shown(settled())["afterthought"]["incomplete_reason"] is None


def test_the_mode_the_deadline_and_a_cancel_under_way_are_shown() -> None:
    ours = shown(queued(mode="direct", deadline_at=later(60)))["afterthought"]
    assert (ours["mode"], ours["deadline_at"], ours["cancel_requested_at"]) == ("direct", later(60).timestamp(), None)
    stopping = shown(thinking().request_cancel(now=later(3)))
    assert (stopping["status"], stopping["afterthought"]["cancel_requested_at"]) == (
        "in_progress",
        later(3).timestamp(),
    )


def test_a_successor_is_shown_in_the_requested_models_place() -> None:
    plan = CallSpec("gpt-5.6-sol", "xhigh", 50, HOLD, "model_retired")
    wire = shown(queued(plan=plan))
    ours = wire["afterthought"]
    assert (wire["model"], wire["reasoning"]["effort"]) == ("gpt-5.6-sol", "xhigh")
    # The parameter is echoed as it was asked for.
    assert wire["max_output_tokens"] == 100
    assert (ours["requested_model"], ours["served_model"], ours["substituted_because"]) == ("o3", None, "model_retired")
    [entry] = ours["attempts"]
    assert (entry["model"], entry["effort"], entry["max_output_tokens"]) == ("gpt-5.6-sol", "xhigh", 50)
    assert entry["because"] == "model_retired"


def test_a_model_that_the_provider_did_not_have_leaves_its_attempt_beside_the_successors() -> None:
    begun = queued().start_call(token="t", provider="openai", now=later(1))
    plan = CallSpec("gpt-5.6-sol", "high", 100, HOLD, "model_not_found")
    wire = shown(begun.refuse("model_not_found", "No such model.", now=later(2), fallback=plan))
    assert (wire["status"], wire["model"]) == ("queued", "gpt-5.6-sol")
    assert wire["afterthought"]["substituted_because"] == "model_not_found"
    first, second = wire["afterthought"]["attempts"]
    assert (first["model"], first["state"], first["because"], first["cost_usd"]) == ("o3", "refused", None, None)
    assert (second["model"], second["state"], second["because"]) == ("gpt-5.6-sol", "held", "model_not_found")


def test_a_successor_that_is_called_again_still_says_why_it_is_one() -> None:
    job = queued(plan=CallSpec("gpt-5.6-sol", "high", 100, HOLD, "model_retired"))
    job = job.start_call(token="t", provider="openai", now=later(1))
    again = CallSpec("gpt-5.6-sol", "high", 100, HOLD, "outcome_unknown")
    ours = shown(job.fail("outcome_unknown", "Lost.", now=later(2), fallback=again))["afterthought"]
    assert [entry["because"] for entry in ours["attempts"]] == ["model_retired", "outcome_unknown"]
    assert ours["substituted_because"] == "model_retired"


def test_an_attempt_that_calls_something_else_does_not_claim_what_was_asked_for() -> None:
    wire = shown(queued(plan=CallSpec("gpt-4o", None, None, HOLD, "model_retired")))
    [entry] = wire["afterthought"]["attempts"]
    assert (entry["model"], entry["effort"], entry["max_output_tokens"]) == ("gpt-4o", None, None)
    assert wire["reasoning"]["effort"] is None


def starved_and_retried() -> Job:
    plan = CallSpec("o3", "high", 400, Decimal("0.004"), "reasoning_starved")
    job = settled("incomplete", incomplete_reason=STARVED, fallback=plan)
    return job.start_call(token="u", provider="openai", now=later(11)).mark_running(
        response_id="resp_second", now=later(12), poll_seconds=5
    )


def test_a_job_that_was_called_again_goes_on_with_what_the_first_call_cost() -> None:
    wire = shown(starved_and_retried())
    cost = wire["afterthought"]["cost"]
    assert (wire["status"], wire["usage"], wire["incomplete_details"]) == ("in_progress", None, None)
    assert (cost["bound_usd"], cost["held_usd"], cost["total_usd"]) == ("0.004", "0.004", None)
    first, second = wire["afterthought"]["attempts"]
    assert (first["cost_usd"], first["usage"]["output_tokens"]) == ("0.000172", 20)
    assert (second["cost_usd"], second["usage"], second["max_output_tokens"]) == (None, None, 400)


def test_the_total_is_that_of_all_attempts_and_the_usage_that_of_the_newest() -> None:
    ended = starved_and_retried().settle(
        "completed",
        now=later(30),
        served_model="o3-2025-04-16",
        usage=Usage(input_tokens=10, output_tokens=300, reasoning_tokens=200),
        price_id="o3/standard/2025-06-10",
        cost_usd=Decimal("0.00242"),
    )
    wire = shown(ended, answer=Answer(output=(MESSAGE,)))
    assert wire["afterthought"]["cost"]["total_usd"] == "0.002592"
    assert wire["usage"]["cost"] == 0.002592
    assert wire["usage"]["output_tokens"] == 300
    assert [entry["usage"]["output_tokens"] for entry in wire["afterthought"]["attempts"]] == [20, 300]


def test_a_call_of_which_nobody_knows_shows_as_such_and_keeps_its_hold() -> None:
    begun = queued().start_call(token="t", provider="openai", now=later(1))
    wire = shown(begun.mark_outcome_unknown(now=later(2), wait=timedelta(minutes=60)))
    assert wire["status"] == "in_progress"
    assert wire["afterthought"]["attempts"][0]["state"] == "unknown"
    assert wire["afterthought"]["cost"]["held_usd"] == "0.001112"


def test_the_times_are_those_of_the_steps() -> None:
    wire = shown(settled())
    assert wire["created_at"] == int(NOW.timestamp())
    assert wire["completed_at"] == later(10).timestamp()
    timeline = wire["afterthought"]["timeline"]
    assert (timeline["queued_seconds"], timeline["thinking_seconds"]) == (2.5, 7.5)
    assert shown(settled("incomplete"))["completed_at"] is None


def test_the_model_is_the_one_that_answered_and_the_one_asked_for_stands_beside_it() -> None:
    wire = shown(settled())
    assert wire["model"] == wire["afterthought"]["served_model"] == "o3-2025-04-16"
    assert wire["afterthought"]["requested_model"] == "o3"
    assert shown(queued())["model"] == "o3"


def test_nothing_of_the_ledger_that_is_ours_alone_is_shown() -> None:
    text = str(shown(settled()))
    assert "resp_provider" not in text
    assert "'t'" not in text
    assert "acme" not in text


def test_an_answer_is_not_shown_by_the_error_of_reading_it() -> None:
    with pytest.raises(ValueError, match="output") as caught:
        Answer.model_validate_json('{"output": "secret answer"}')
    assert "secret" not in str(caught.value)


def test_the_tier_that_was_served_is_shown_once_it_is_known() -> None:
    job = settled()
    attempt = job.attempts[-1].model_copy(update={"price_id": "any/model/flex/2026-10-12/above-272k"})
    assert render(job, {}, None, None, stand_in=False)["service_tier"] == "default"
    shown = render(job.model_copy(update={"attempts": (attempt,)}), {}, None, None, stand_in=False)
    assert shown["service_tier"] == "flex"


def test_very_large_parameters_are_not_echoed_and_the_others_are() -> None:
    asked = {"instructions": "x" * 300_000, "metadata": {"a": "b"}}
    shown = render(settled(), asked, None, None, stand_in=False)
    assert shown["instructions"] is None
    assert shown["metadata"] == {"a": "b"}


def test_every_error_code_of_the_wire_is_passed_on() -> None:
    codes = get_args(ResponseError.model_fields["code"].annotation)
    assert len(codes) > 10
    for code in codes:
        failed = settled().model_copy(update={"failure": Failure(code=code, message="m")})
        assert render(failed, {}, None, None, stand_in=False)["error"]["code"] == code
