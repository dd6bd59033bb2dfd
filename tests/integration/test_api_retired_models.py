"""With the real provider, models that it has shut down are refused, and what to use instead is said; it runs where the
caller lets it. Whoever calls a model that is about to go is told."""

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
"""What is said of o3 from 2026-11-11 on."""


@pytest.fixture(scope="module")
def api() -> Iterator[Deployed]:
    for deployed in deploy(Providers="openai"):
        deployed.make_tenant("acme", api_key=KEY)
        yield deployed


@pytest.fixture(autouse=True)
def _in_november(api: Deployed) -> None:
    at(api, 2026, 11, 20)


def at(api: Deployed, year: int, month: int, day: int) -> None:
    api.clock.ahead = datetime(year, month, day, 12, tzinfo=UTC) - datetime.now(UTC)


def post(api: Deployed, **body: Any) -> HttpAnswer:
    return api.call("POST", "/v1/responses", {"input": "Hello", **body}, key=KEY)


def lifecycle(answer: HttpAnswer) -> dict[str, str]:
    return {name: answer.headers[name] for name in DEPRECATED if name in answer.headers}


@pytest.mark.parametrize(
    ("model", "successor"), [("o1-mini", "o3-mini"), ("o1-preview", "o3"), ("o1-preview-2024-09-12", "o3")]
)
def test_a_retired_model_is_refused_with_a_successor_that_is_served(api: Deployed, model: str, successor: str) -> None:
    answer = post(api, model=model)
    assert (answer.status, answer.error["param"]) == (400, "model")
    assert answer.error["code"] == "model_not_found"
    assert f"its successor is {successor}" in answer.error["message"]
    assert api.is_empty()
    advised = answer.error["message"].rstrip(".").rsplit(" ", 1)[-1]
    assert not api.call("GET", f"/v1/models/{advised}", key=KEY).body["afterthought"]["retired"]


def test_a_retired_model_is_still_shown_as_what_it_is(api: Deployed) -> None:
    shown = api.call("GET", "/v1/models/o1-mini", key=KEY).body
    assert shown["shutdown_date"] == "2025-10-27"
    assert shown["afterthought"]["retired"] is True
    assert shown["afterthought"]["successor"] == "o3-mini"


def test_a_model_without_an_end_is_taken(api: Deployed) -> None:
    answer = post(api, model="gpt-6-sol")
    assert (answer.status, answer.body["status"]) == (200, "queued")
    assert lifecycle(answer) == {}


def test_where_the_caller_lets_it_the_successor_runs_in_its_place(api: Deployed) -> None:
    answer = post(api, model="o4-mini", reasoning={"effort": "high"}, max_output_tokens=500, **SUCCESSOR)
    assert answer.status == 200
    shown = api.call("GET", f"/v1/responses/{answer.body['id']}", key=KEY).body
    for body in (answer.body, shown):
        Response.model_validate(body, strict=True)
        assert (body["model"], body["reasoning"]["effort"]) == ("gpt-5.6-terra", "high")
        ours = body["afterthought"]
        assert (ours["requested_model"], ours["substituted_because"]) == ("o4-mini", "model_retired")
        assert ours["cost"]["bound_usd"] == ours["attempts"][0]["hold_usd"]
        assert ours["attempts"][0]["model"] == "gpt-5.6-terra"


def test_a_dry_run_shows_what_would_run_in_its_place(api: Deployed) -> None:
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
    [would] = refused.body["afterthought"]["would_refuse"]
    assert (would["code"], would["status"]) == ("max_cost_exceeded", 402)


def test_whoever_calls_a_model_in_its_last_thirty_days_is_told(api: Deployed) -> None:
    at(api, 2026, 11, 10)
    created = post(api, model="o3")
    path = f"/v1/responses/{created.body['id']}"
    assert lifecycle(created) == lifecycle(api.call("GET", path, key=KEY)) == {}
    at(api, 2026, 11, 11)
    assert lifecycle(api.call("GET", path, key=KEY)) == DEPRECATED
    assert lifecycle(post(api, model="o3")) == DEPRECATED
    assert lifecycle(api.call("POST", f"{path}/cancel", key=KEY)) == DEPRECATED
    at(api, 2027, 1, 1)
    gone = api.call("GET", path, key=KEY)
    assert lifecycle(gone) == DEPRECATED
    # Beside them all is as ever.
    assert gone.headers["x-request-id"]


def test_a_job_that_a_successor_runs_is_told_nothing_of_the_model_that_is_gone(api: Deployed) -> None:
    assert lifecycle(post(api, model="o4-mini", **SUCCESSOR)) == {}
