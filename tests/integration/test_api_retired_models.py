"""Models that the provider has shut down are refused with the name of a successor, which runs on request. Calls of a
model in its last thirty days get deprecation headers."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from openai.types.responses import Response

from tests.integration.conftest import deploy
from tests.integration.deployed import Deployed, HttpAnswer

KEY = "local-key-acme"
SUCCESSOR = {"afterthought": {"model_policy": "successor"}}
DEPRECATED = {
    "deprecation": "@1794355200",
    "sunset": "Fri, 11 Dec 2026 00:00:00 GMT",
    "link": '</v1/models/gpt-5.6-sol>; rel="successor-version"',
}
"""The headers of o3 from 2026-11-11."""


@pytest.fixture(scope="module")
def api() -> Iterator[Deployed]:
    for deployed in deploy(Providers="openai"):
        deployed.make_tenant("acme", api_key=KEY)
        yield deployed


@pytest.fixture(autouse=True)
def _in_november(api: Deployed) -> None:
    set_date(api, 2026, 11, 20)


def set_date(api: Deployed, year: int, month: int, day: int) -> None:
    api.clock.ahead = datetime(year, month, day, 12, tzinfo=UTC) - datetime.now(UTC)


def post(api: Deployed, **body: Any) -> HttpAnswer:
    return api.call("POST", "/v1/responses", {"input": "Hello", **body}, key=KEY)


def deprecation_headers(answer: HttpAnswer) -> dict[str, str]:
    return {name: answer.headers[name] for name in DEPRECATED if name in answer.headers}


@pytest.mark.parametrize(
    ("model", "successor"), [("o1-mini", "o3-mini"), ("o1-preview", "o3"), ("o1-preview-2024-09-12", "o3")]
)
def test_retired_model_names_its_successor(api: Deployed, model: str, successor: str) -> None:
    answer = post(api, model=model)
    assert (answer.status, answer.error["param"]) == (400, "model")
    assert answer.error["code"] == "model_not_found"
    assert f"its successor is {successor}" in answer.error["message"]
    assert api.is_empty()
    successor_id = answer.error["message"].rstrip(".").rsplit(" ", 1)[-1]
    assert not api.call("GET", f"/v1/models/{successor_id}", key=KEY).body["afterthought"]["retired"]


def test_retired_model_is_still_listed(api: Deployed) -> None:
    model = api.call("GET", "/v1/models/o1-mini", key=KEY).body
    assert model["shutdown_date"] == "2025-10-27"
    assert model["afterthought"]["retired"] is True
    assert model["afterthought"]["successor"] == "o3-mini"


def test_live_model_is_accepted(api: Deployed) -> None:
    answer = post(api, model="gpt-6-sol")
    assert (answer.status, answer.body["status"]) == (200, "queued")
    assert deprecation_headers(answer) == {}


def test_successor_runs_on_request(api: Deployed) -> None:
    answer = post(api, model="o4-mini", reasoning={"effort": "high"}, max_output_tokens=500, **SUCCESSOR)
    assert answer.status == 200
    stored = api.call("GET", f"/v1/responses/{answer.body['id']}", key=KEY).body
    for body in (answer.body, stored):
        Response.model_validate(body, strict=True)
        assert (body["model"], body["reasoning"]["effort"]) == ("gpt-5.6-terra", "high")
        extension = body["afterthought"]
        assert (extension["requested_model"], extension["substituted_because"]) == ("o4-mini", "model_retired")
        assert extension["cost"]["bound_usd"] == extension["attempts"][0]["hold_usd"]
        assert extension["attempts"][0]["model"] == "gpt-5.6-terra"


def test_dry_run_shows_the_successor(api: Deployed) -> None:
    terms = {"model_policy": "successor", "dry_run": True, "deadline_seconds": 600}
    answer = post(api, model="o1-mini", afterthought=terms)
    assert answer.body["model"] == "o1-mini"
    assert answer.body["afterthought"]["plan"] == {
        "model": "gpt-5.6-sol",
        "effort": "medium",
        "max_output_tokens": None,
        "substituted_because": "model_retired",
        "mode": "background",
        "deadline_seconds": 600,
    }
    assert answer.body["afterthought"]["bound"]["price_id"].startswith("gpt-5.6-sol/")
    refused = post(api, model="o1-mini", afterthought={**terms, "max_cost_usd": "0.5"})
    [refusal] = refused.body["afterthought"]["would_refuse"]
    assert (refusal["code"], refusal["status"]) == ("max_cost_exceeded", 402)


def test_last_thirty_days_have_headers(api: Deployed) -> None:
    set_date(api, 2026, 11, 10)
    created = post(api, model="o3")
    path = f"/v1/responses/{created.body['id']}"
    assert deprecation_headers(created) == deprecation_headers(api.call("GET", path, key=KEY)) == {}
    set_date(api, 2026, 11, 11)
    assert deprecation_headers(api.call("GET", path, key=KEY)) == DEPRECATED
    assert deprecation_headers(post(api, model="o3")) == DEPRECATED
    assert deprecation_headers(api.call("POST", f"{path}/cancel", key=KEY)) == DEPRECATED
    set_date(api, 2027, 1, 1)
    response = api.call("GET", path, key=KEY)
    assert deprecation_headers(response) == DEPRECATED
    # All other headers stay.
    assert response.headers["x-request-id"]


def test_successor_has_no_retirement_headers(api: Deployed) -> None:
    assert deprecation_headers(post(api, model="o4-mini", **SUCCESSOR)) == {}
