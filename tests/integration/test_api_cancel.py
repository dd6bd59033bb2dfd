"""`POST /v1/responses/{id}/cancel`: what is not wanted any more ends, and what it cost is told."""

import json
from typing import Any

import pytest
from openai.types.responses import Response

from local.standin import StandIn
from tests.integration.deployed import Deployed, HttpAnswer

ACME, GLOBEX = "local-key-acme", "local-key-globex"
QUESTION = {"model": "gpt-5-nano", "input": "What is 17 times 23?"}


@pytest.fixture
def api(service: Deployed) -> Deployed:
    service.make_tenant("acme", api_key=ACME)
    service.make_tenant("globex", api_key=GLOBEX)
    return service


def create(api: Deployed, **ours: Any) -> str:
    answer = api.call("POST", "/v1/responses", {**QUESTION, "afterthought": ours}, key=ACME)
    assert answer.status == 200, answer.event
    response_id: str = answer.body["id"]
    return response_id


def cancel(api: Deployed, response_id: str, key: str = ACME, **more: Any) -> HttpAnswer:
    return api.call("POST", f"/v1/responses/{response_id}/cancel", key=key, **more)


def shown(answer: HttpAnswer) -> dict[str, Any]:
    assert answer.status == 200, answer.event
    Response.model_validate(answer.body, strict=True)
    return answer.body


def retrieve(api: Deployed, response_id: str) -> dict[str, Any]:
    return shown(api.call("GET", f"/v1/responses/{response_id}", key=ACME))


def work(api: Deployed, response_id: str) -> None:
    record = {"messageId": "m", "receiptHandle": "r", "body": json.dumps({"job_id": response_id}), "attributes": {}}
    assert api.invoke("Worker", {"Records": [record]}) == {"batchItemFailures": []}


def test_what_no_model_works_on_is_cancelled_at_once_and_costs_nothing(api: Deployed, standin: StandIn) -> None:
    response_id = create(api, max_cost_usd="0.1")
    body = shown(cancel(api, response_id))
    assert (body["id"], body["status"], body["error"], body["output"]) == (response_id, "cancelled", None, [])
    cost = body["afterthought"]["cost"]
    assert (cost["held_usd"], cost["total_usd"], cost["estimated"]) == ("0", "0", False)
    assert retrieve(api, response_id) == body
    # Its message finds nothing to do.
    work(api, response_id)
    assert standin.requests.get("create", 0) == 0


def test_what_a_model_works_on_goes_on_until_the_provider_has_stopped_it(api: Deployed, standin: StandIn) -> None:
    response_id = create(api)
    work(api, response_id)
    asked = shown(cancel(api, response_id))
    assert asked["status"] == "in_progress"
    assert asked["afterthought"]["cancel_requested_at"] == pytest.approx(api.clock.now().timestamp(), abs=60)
    assert retrieve(api, response_id)["status"] == "in_progress"
    work(api, response_id)
    ended = retrieve(api, response_id)
    assert ended["status"] in ("cancelled", "completed")
    assert ended["afterthought"]["cost"]["total_usd"] is not None
    assert ended["afterthought"]["cost"]["held_usd"] == "0"
    assert standin.requests["cancel"] == 1


def test_to_cancel_twice_is_to_cancel_once(api: Deployed, standin: StandIn) -> None:
    response_id = create(api)
    work(api, response_id)
    first = shown(cancel(api, response_id))
    api.clock.pass_seconds(5)
    assert shown(cancel(api, response_id)) == first
    work(api, response_id)
    assert shown(cancel(api, response_id)) == retrieve(api, response_id)
    assert standin.requests["cancel"] == 1


def test_what_has_ended_stays_as_it_ended(api: Deployed, standin: StandIn) -> None:
    response_id = create(api)
    for _ in range(2):
        work(api, response_id)
        api.clock.pass_seconds(20)
    ended = retrieve(api, response_id)
    assert ended["status"] == "completed"
    assert shown(cancel(api, response_id)) == ended
    assert ended["afterthought"]["cancel_requested_at"] is None
    assert standin.requests.get("cancel", 0) == 0


def test_another_tenants_and_an_unknown_response_give_the_same_bytes_and_nothing_happens(api: Deployed) -> None:
    response_id = create(api)
    unknown = "resp_" + "0" * 48
    theirs, nobodys = cancel(api, response_id, GLOBEX), cancel(api, unknown, GLOBEX)
    assert theirs.status == nobodys.status == 404
    assert theirs.event["body"].replace(response_id, unknown) == nobodys.event["body"]
    # As the same words as of reading it.
    assert nobodys.event["body"] == api.call("GET", f"/v1/responses/{unknown}", key=GLOBEX).event["body"]
    assert retrieve(api, response_id)["status"] == "queued"


@pytest.mark.parametrize("odd", ["resp_x", "%00", "resp_" + "0" * 47, "..", "JOB#1"])
def test_an_odd_id_is_unknown(api: Deployed, odd: str) -> None:
    assert cancel(api, odd).status == 404


def test_only_a_key_cancels(api: Deployed) -> None:
    response_id = create(api)
    assert cancel(api, response_id, "no-such-key").status == 401
    assert retrieve(api, response_id)["status"] == "queued"


def test_what_would_be_ignored_is_refused_by_name(api: Deployed) -> None:
    response_id = create(api)
    answer = cancel(api, response_id, query={"force": "true"})
    assert (answer.status, answer.error["param"]) == (400, "force")


def test_there_is_no_getting_of_a_cancel(api: Deployed) -> None:
    answer = api.call("GET", f"/v1/responses/{create(api)}/cancel", key=ACME)
    assert (answer.status, answer.error["code"]) == (404, "unknown_url")
