"""Usage over HTTP: what a tenant's own jobs used and cost, as JSON and as CSV."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from local.standin import StandIn
from tests.integration.conftest import deploy
from tests.integration.deployed import Deployed, HttpAnswer

Json = dict[str, Any]

ACME, GLOBEX = "local-key-acme", "local-key-globex"
MEASURES = ("jobs", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


@pytest.fixture(scope="module")
def empty() -> Iterator[Deployed]:
    """A service without jobs."""
    for deployed in deploy():
        deployed.make_tenant("acme", api_key=ACME)
        yield deployed


@pytest.fixture
def api(service: Deployed, standin: StandIn) -> Deployed:
    service.make_tenant("acme", api_key=ACME)
    service.make_tenant("globex", api_key=GLOBEX)
    # Noon, so that no month and no day ends during a test.
    noon = (service.clock.now() + timedelta(days=1)).replace(hour=12, minute=0)
    service.clock.pass_seconds((noon - service.clock.now()).total_seconds())
    return service


def submit(api: Deployed, *tags: str, key: str = ACME, effort: str = "low") -> str:
    body = {
        # A model with prices in whole dollars: moto cannot add more than six decimal places to zero.
        "model": "o3",
        "input": "What is 17 times 23?",
        "reasoning": {"effort": effort},
        "afterthought": {"tags": list(tags)},
    }
    answer = api.call("POST", "/v1/responses", body, key=key)
    assert answer.status == 200, answer.event
    return str(answer.body["id"])


def run(api: Deployed, response_id: str) -> Json:
    """The response once it has ended."""
    for _ in range(3):
        record = {"messageId": "m", "receiptHandle": "r", "body": json.dumps({"job_id": response_id}), "attributes": {}}
        assert api.invoke("Worker", {"Records": [record]}) == {"batchItemFailures": []}
        api.clock.pass_seconds(20)
    response = api.call("GET", f"/v1/responses/{response_id}", key=ACME).body
    assert response["status"] == "completed"
    return response


def usage(api: Deployed, *, key: str = ACME, **query: str) -> Json:
    answer = api.call("GET", "/v1/usage", key=key, query=query)
    assert answer.status == 200, answer.event
    assert answer.headers["content-type"] == "application/json"
    return answer.body


def get_csv(api: Deployed, accept: str = "text/csv", **query: str) -> HttpAnswer:
    answer = api.call("GET", "/v1/usage", key=ACME, query=query, headers={"accept": accept})
    assert answer.status == 200, answer.event
    return answer


def test_usage_is_the_sum_of_the_jobs(api: Deployed) -> None:
    ended = [run(api, submit(api, *tags)) for tags in (("blue",), ("blue", "red"), ())]
    waiting = submit(api, "red")
    held_usd = api.call("GET", f"/v1/responses/{waiting}", key=ACME).body["afterthought"]["cost"]["held_usd"]
    answer = usage(api, group_by="tag,status")
    costs = [Decimal(response["afterthought"]["cost"]["total_usd"]) for response in ended]
    rows = {(row["tag"], row["status"]): (row["jobs"], Decimal(row["spent_usd"])) for row in answer["data"]}
    assert rows == {
        (None, "completed"): (1, costs[2]),
        ("blue", "completed"): (2, costs[0] + costs[1]),
        ("red", "completed"): (1, costs[1]),
        ("red", "open"): (1, Decimal(0)),
    }
    total = answer["total"]
    assert (total["jobs"], Decimal(total["spent_usd"]), total["held_usd"]) == (4, sum(costs), held_usd)
    assert total["output_tokens"] == sum(response["usage"]["output_tokens"] for response in ended)
    assert total["reasoning_tokens"] == sum(
        response["usage"]["output_tokens_details"]["reasoning_tokens"] for response in ended
    )
    month, _ = answer["budgets"]
    assert (month["held_usd"], Decimal(month["spent_usd"])) == (held_usd, sum(costs))


def test_csv_has_the_same_rows(api: Deployed) -> None:
    run(api, submit(api, "blue"))
    submit(api)
    rows = usage(api)["data"]
    answer = get_csv(api)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["x-request-id"]
    csv_rows = list(csv.DictReader(io.StringIO(answer.event["body"], newline=""), strict=True))
    assert csv_rows == [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    assert len(rows) == 2


def test_usage_of_other_tenants_is_hidden(api: Deployed) -> None:
    submit(api, "blue")
    assert usage(api, key=GLOBEX)["data"] == []
    assert usage(api, key=GLOBEX)["total"]["jobs"] == 0
    assert usage(api)["total"]["jobs"] == 1


def test_status_and_tag_filter(api: Deployed) -> None:
    run(api, submit(api, "blue"))
    submit(api, "blue")
    submit(api, "red")
    assert usage(api, tag="blue", status="open")["total"]["jobs"] == 1
    assert usage(api, model="gpt-5-nano")["data"] == []


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/html, */*;q=0.8", "text/csv;q=0.1, */*;q=0.2"])
def test_json_is_the_default(empty: Deployed, accept: str) -> None:
    assert get_csv(empty, accept).body["object"] == "usage"


def test_empty_csv_is_its_header(empty: Deployed) -> None:
    answer = get_csv(empty, "text/csv, application/json;q=0.9", group_by="model")
    assert answer.event["body"] == f"model,{','.join(MEASURES)},held_usd,spent_usd\r\n"


@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
@pytest.mark.parametrize(
    ("query", "code", "part"),
    [
        ({"start": "2026-11-31"}, "invalid_value", "YYYY-MM-DD"),
        ({"end": "now"}, "invalid_value", "YYYY-MM-DD"),
        ({"group_by": "day,user"}, "invalid_value", "day, model, tag, status"),
        ({"status": "running"}, "invalid_value", "open, completed"),
        ({"tag": "a b"}, "invalid_value", "one tag"),
        ({"model": ""}, "invalid_value", "one model"),
        ({"limit": "10"}, "unknown_parameter", "start, end, group_by"),
        ({"stream": "false"}, "unknown_parameter", "start, end, group_by"),
    ],
)
def test_invalid_query_is_refused(empty: Deployed, accept: str, query: dict[str, str], code: str, part: str) -> None:
    answer = empty.call("GET", "/v1/usage", key=ACME, query=query, headers={"accept": accept})
    assert (answer.status, answer.error["code"]) == (400, code)
    assert [answer.error["param"]] == list(query)
    assert part in answer.error["message"]
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("authorization", ["", "Bearer unknown"])
def test_missing_key_is_refused(empty: Deployed, authorization: str) -> None:
    headers = {"authorization": authorization, "accept": "text/csv"}
    answer = empty.call("GET", "/v1/usage", query={"bogus": "1"}, headers=headers)
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_usage_is_read_only(empty: Deployed, method: str) -> None:
    assert empty.call(method, "/v1/usage", key=ACME).status == 404
