"""`POST /v1/responses/{id}/cancel` ends a job and reports its cost."""

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


def create(api: Deployed, **options: Any) -> str:
    answer = api.call("POST", "/v1/responses", {**QUESTION, "afterthought": options}, key=ACME)
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


def test_queued_job_is_cancelled_at_once(api: Deployed, standin: StandIn) -> None:
    response_id = create(api, max_cost_usd="0.1")
    body = shown(cancel(api, response_id))
    assert (body["id"], body["status"], body["error"], body["output"]) == (response_id, "cancelled", None, [])
    cost = body["afterthought"]["cost"]
    assert (cost["held_usd"], cost["total_usd"], cost["estimated"]) == ("0", "0", False)
    assert retrieve(api, response_id) == body
    # Its message has no effect.
    work(api, response_id)
    assert standin.requests.get("create", 0) == 0


def test_running_job_ends_at_the_provider(api: Deployed, standin: StandIn) -> None:
    response_id = create(api)
    work(api, response_id)
    answer = shown(cancel(api, response_id))
    assert answer["status"] == "in_progress"
    assert answer["afterthought"]["cancel_requested_at"] == pytest.approx(api.clock.now().timestamp(), abs=60)
    assert retrieve(api, response_id)["status"] == "in_progress"
    work(api, response_id)
    ended = retrieve(api, response_id)
    assert ended["status"] in ("cancelled", "completed")
    assert ended["afterthought"]["cost"]["total_usd"] is not None
    assert ended["afterthought"]["cost"]["held_usd"] == "0"
    assert standin.requests["cancel"] == 1


def test_second_cancel_changes_nothing(api: Deployed, standin: StandIn) -> None:
    response_id = create(api)
    work(api, response_id)
    first = shown(cancel(api, response_id))
    api.clock.pass_seconds(5)
    assert shown(cancel(api, response_id)) == first
    work(api, response_id)
    assert shown(cancel(api, response_id)) == retrieve(api, response_id)
    assert standin.requests["cancel"] == 1


def test_cancel_does_not_change_an_end(api: Deployed, standin: StandIn) -> None:
    response_id = create(api)
    for _ in range(2):
        work(api, response_id)
        api.clock.pass_seconds(20)
    ended = retrieve(api, response_id)
    assert ended["status"] == "completed"
    assert shown(cancel(api, response_id)) == ended
    assert ended["afterthought"]["cancel_requested_at"] is None
    assert standin.requests.get("cancel", 0) == 0


def test_another_tenants_job_looks_unknown(api: Deployed) -> None:
    response_id = create(api)
    unknown = "resp_" + "0" * 48
    existing, missing = cancel(api, response_id, GLOBEX), cancel(api, unknown, GLOBEX)
    assert existing.status == missing.status == 404
    assert existing.event["body"].replace(response_id, unknown) == missing.event["body"]
    # The same answer as to a GET.
    assert missing.event["body"] == api.call("GET", f"/v1/responses/{unknown}", key=GLOBEX).event["body"]
    assert retrieve(api, response_id)["status"] == "queued"


@pytest.mark.parametrize("invalid_id", ["resp_x", "%00", "resp_" + "0" * 47, "..", "JOB#1"])
def test_invalid_id_is_404(api: Deployed, invalid_id: str) -> None:
    assert cancel(api, invalid_id).status == 404


def test_cancel_needs_a_key(api: Deployed) -> None:
    response_id = create(api)
    assert cancel(api, response_id, "no-such-key").status == 401
    assert retrieve(api, response_id)["status"] == "queued"


def test_unused_parameter_is_refused(api: Deployed) -> None:
    response_id = create(api)
    answer = cancel(api, response_id, query={"force": "true"})
    assert (answer.status, answer.error["param"]) == (400, "force")


def test_cancel_is_post_only(api: Deployed) -> None:
    answer = api.call("GET", f"/v1/responses/{create(api)}/cancel", key=ACME)
    assert (answer.status, answer.error["code"]) == (404, "unknown_url")
