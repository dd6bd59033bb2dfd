"""With the real provider, models that it has shut down are refused, and what to use instead is said."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import deploy
from tests.integration.deployed import Deployed

KEY = "local-key-acme"


@pytest.fixture(scope="module")
def api() -> Iterator[Deployed]:
    for deployed in deploy(Providers="openai"):
        deployed.make_tenant("acme", api_key=KEY)
        yield deployed


@pytest.mark.parametrize(
    ("model", "successor"), [("o1-mini", "o3-mini"), ("o1-preview", "o3"), ("o1-preview-2024-09-12", "o3")]
)
def test_a_retired_model_is_refused_with_a_successor_that_is_served(api: Deployed, model: str, successor: str) -> None:
    answer = api.call("POST", "/v1/responses", {"model": model, "input": "Hello"}, key=KEY)
    assert (answer.status, answer.error["param"]) == (400, "model")
    assert answer.error["code"] == "model_not_found"
    assert f"its successor is {successor}" in answer.error["message"]
    assert api.holds_nothing()
    advised = answer.error["message"].rstrip(".").rsplit(" ", 1)[-1]
    assert not api.call("GET", f"/v1/models/{advised}", key=KEY).body["afterthought"]["retired"]


def test_a_retired_model_is_still_shown_as_what_it_is(api: Deployed) -> None:
    shown = api.call("GET", "/v1/models/o1-mini", key=KEY).body
    assert shown["shutdown_date"] == "2025-10-27"
    assert shown["afterthought"]["retired"] is True
    assert shown["afterthought"]["successor"] == "o3-mini"


def test_a_model_without_an_end_is_taken(api: Deployed) -> None:
    answer = api.call("POST", "/v1/responses", {"model": "gpt-6-sol", "input": "Hello"}, key=KEY)
    assert (answer.status, answer.body["status"]) == (200, "queued")
