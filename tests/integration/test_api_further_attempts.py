"""Further attempts of a job, over HTTP and with the stand-in as the provider."""

import json
from typing import Any

import pytest
from openai.types.responses import Response

from local.standin import StandIn
from tests.integration.deployed import Deployed

ACME = "local-key-acme"
QUESTION = {"model": "gpt-5-nano", "input": "What is 17 times 23?", "max_output_tokens": 2000}


@pytest.fixture
def api(service: Deployed) -> Deployed:
    service.make_tenant("acme", api_key=ACME)
    return service


def run(api: Deployed, changes: dict[str, Any] | None = None, /, **options: Any) -> dict[str, Any]:
    """Runs a job from its request to its end."""
    body = {**QUESTION, **(changes or {}), "afterthought": options}
    created = api.call("POST", "/v1/responses", body, key=ACME)
    assert created.status == 200, created.event
    response_id = created.body["id"]
    record = {"messageId": "m", "receiptHandle": "r", "body": json.dumps({"job_id": response_id}), "attributes": {}}
    for _ in range(12):
        response = api.call("GET", f"/v1/responses/{response_id}", key=ACME).body
        Response.model_validate(response, strict=True)
        if response["status"] not in ("queued", "in_progress"):
            return response
        assert api.invoke("Worker", {"Records": [record]}) == {"batchItemFailures": []}
        api.clock.pass_seconds(20)
    raise AssertionError(f"{response_id} has not ended")


def called(standin: StandIn) -> list[tuple[str, str | None]]:
    """The model and the effort of each generation at the provider."""
    return [(one.model, one.effort) for one in standin.generations]


def total(response: dict[str, Any]) -> str:
    cost: str = response["afterthought"]["cost"]["total_usd"]
    return cost


def test_missing_model_runs_its_successor(api: Deployed, standin: StandIn) -> None:
    standin.script(do="model_not_found", contains="gpt-5-nano")
    response = run(api, model_policy="successor")
    assert response["status"] == "completed"
    extension = response["afterthought"]
    assert extension["requested_model"] == "gpt-5-nano"
    assert response["model"] == extension["served_model"] == "gpt-5.6-luna"
    assert extension["substituted_because"] == "model_not_found"
    first, second = extension["attempts"]
    assert (first["state"], first["cost_usd"]) == ("refused", None)
    assert (second["state"], second["cost_usd"]) == ("settled", total(response))
    assert extension["cost"]["price_id"].startswith("gpt-5.6-luna/")
    assert standin.requests["create"] == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model": "gpt-5-nano", "reasoning": {"effort": "minimal"}}, ("gpt-5.6-luna", "low")),
        ({"model": "gpt-4o"}, ("gpt-6-luna", "none")),
        ({"model": "gpt-5-pro"}, ("gpt-5.6-sol", "high")),
    ],
)
def test_successor_keeps_the_effort(
    api: Deployed, standin: StandIn, changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    standin.script(do="model_not_found", contains=changes["model"])
    response = run(api, changes, model_policy="successor")
    assert called(standin) == [expected]
    assert (response["model"], response["reasoning"]["effort"]) == expected


@pytest.mark.parametrize(
    "options", [{}, {"model_policy": "exact"}, {"model_policy": "successor", "max_cost_usd": "0.001"}]
)
def test_without_policy_or_money_the_job_fails(api: Deployed, standin: StandIn, options: dict[str, Any]) -> None:
    standin.script(do="model_not_found", contains="gpt-5-nano")
    response = run(api, **options)
    assert (response["status"], response["afterthought"]["error_code"]) == ("failed", "model_not_found")
    assert ("max_cost_usd" in response["error"]["message"]) == ("max_cost_usd" in options)
    assert total(response) == "0"
    assert standin.requests["create"] == 1


def test_unknown_outcome_is_retried_once(api: Deployed, standin: StandIn) -> None:
    standin.script(do="close_after")
    response = run(api, on_unknown="retry")
    assert response["status"] == "completed"
    first, second = response["afterthought"]["attempts"]
    assert (first["estimated"], first["cost_usd"]) == (True, first["hold_usd"])
    assert (second["because"], second["estimated"]) == ("outcome_unknown", False)
    assert float(total(response)) == pytest.approx(float(first["cost_usd"]) + float(second["cost_usd"]))
    assert response["afterthought"]["cost"]["estimated"] is True
    assert standin.requests["create"] == 2


def test_second_unknown_outcome_ends_the_job(api: Deployed, standin: StandIn) -> None:
    standin.script(do="close_after", times=5)
    response = run(api, on_unknown="retry")
    assert (response["status"], response["afterthought"]["error_code"]) == ("failed", "outcome_unknown")
    assert standin.requests["create"] == 2


def test_starved_answer_is_named(api: Deployed, standin: StandIn) -> None:
    response = run(api, {"max_output_tokens": 16, "reasoning": {"effort": "high"}})
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert response["afterthought"]["incomplete_reason"] == "reasoning_starved"
    assert standin.requests["create"] == 1


def test_starved_job_is_retried_with_more_tokens(api: Deployed, standin: StandIn) -> None:
    response = run(api, {"max_output_tokens": 200}, on_starved="retry")
    first, second = response["afterthought"]["attempts"]
    assert (first["max_output_tokens"], second["max_output_tokens"]) == (200, 800)
    assert (second["because"], second["effort"]) == ("reasoning_starved", "medium")
    assert (response["status"], response["max_output_tokens"]) == ("completed", 200)
    assert response["usage"]["output_tokens"] > 200
    assert first["usage"]["output_tokens"] == 200


def test_starved_job_is_retried_with_less_effort(api: Deployed, standin: StandIn) -> None:
    response = run(
        api, {"max_output_tokens": 450, "reasoning": {"effort": "high"}}, on_starved="retry", max_cost_usd="0.0005"
    )
    first, second = response["afterthought"]["attempts"]
    assert (first["effort"], second["effort"], second["max_output_tokens"]) == ("high", "medium", 450)
    assert called(standin) == [("gpt-5-nano", "high"), ("gpt-5-nano", "medium")]
    assert float(total(response)) <= 0.0005


def test_job_past_its_deadline_is_not_called(api: Deployed, standin: StandIn) -> None:
    body = {**QUESTION, "afterthought": {"deadline_seconds": 60}}
    created = api.call("POST", "/v1/responses", body, key=ACME).body
    assert created["afterthought"]["deadline_at"] == pytest.approx(
        created["afterthought"]["timeline"]["created_at"] + 60
    )
    api.clock.pass_seconds(61)
    record = {"messageId": "m", "receiptHandle": "r", "body": json.dumps({"job_id": created["id"]}), "attributes": {}}
    assert api.invoke("Worker", {"Records": [record]}) == {"batchItemFailures": []}
    response = api.call("GET", f"/v1/responses/{created['id']}", key=ACME).body
    assert (response["status"], response["afterthought"]["error_code"]) == ("failed", "deadline_exceeded")
    assert total(response) == "0"
    assert "create" not in standin.requests
