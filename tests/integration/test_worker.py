"""The worker function with SQS messages: a job runs to its end and is paid for once."""

import json
from typing import Any

import pytest

from local.standin import StandIn
from tests.integration.deployed import Context, Deployed, HttpAnswer, sample

Json = dict[str, Any]

KEY = "local-key-acme"


@pytest.fixture
def acme(service: Deployed) -> Deployed:
    service.make_tenant("acme", api_key=KEY)
    return service


def submit(service: Deployed, **changes: Any) -> str:
    answer = service.call("POST", "/v1/responses", {"model": "o3", "input": "What is 17 times 23?", **changes}, key=KEY)
    assert answer.status == 200, answer.event
    response_id: str = answer.body["id"]
    return response_id


def message(job_id: object, message_id: str = "m") -> Json:
    [record] = sample("worker")["Records"]
    return {**record, "messageId": message_id, "body": json.dumps({"job_id": job_id})}


def run_worker(service: Deployed, *records: Json, context: Context | None = None) -> list[str]:
    """The ids of the messages to retry."""
    answer = service.invoke("Worker", {"Records": list(records)}, context)
    return [failed["itemIdentifier"] for failed in answer["batchItemFailures"]]


def read_job(service: Deployed, job_id: str) -> Json:
    return service.call("GET", f"/v1/responses/{job_id}", key=KEY).body


def test_sample_job_runs_to_its_end(acme: Deployed, standin: StandIn) -> None:
    created = HttpAnswer(acme.invoke("Api", sample("api"))).body
    assert acme.invoke("Worker", sample("worker")) == {"batchItemFailures": []}
    assert read_job(acme, created["id"])["status"] == "in_progress"
    acme.clock.pass_seconds(5)
    assert acme.invoke("Worker", sample("worker")) == {"batchItemFailures": []}
    job = read_job(acme, created["id"])
    assert job["status"] == "completed"
    assert job["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    assert len(standin.generations) == 1


def test_step_sends_a_delayed_message(acme: Deployed, standin: StandIn) -> None:
    submit(acme)
    [first] = acme.receive("JobQueue")
    assert run_worker(acme, first) == []
    assert acme.waiting("JobQueue") == 1
    # The message is delayed to give the model time.
    assert acme.receive("JobQueue") == []


def test_provider_gets_no_caller_metadata(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme, metadata={"order": "secret"}, user="u", prompt_cache_key="k", safety_identifier="s")
    run_worker(acme, message(job_id))
    [generation] = standin.generations
    assert set(generation.metadata) == {"afterthought_job", "afterthought_attempt", "afterthought_token"}
    assert generation.metadata["afterthought_job"] == job_id
    assert generation.background


def test_duplicate_message_makes_no_second_call(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    assert run_worker(acme, message(job_id, "a"), message(job_id, "b"), message(job_id, "c")) == []
    for _ in range(3):
        acme.clock.pass_seconds(30)
        assert run_worker(acme, message(job_id, "a"), message(job_id, "b")) == []
    assert read_job(acme, job_id)["status"] == "completed"
    assert standin.requests["create"] == 1


@pytest.mark.parametrize("job_id", ["resp_" + "0" * 48, "", "x", "JOB#x"])
def test_missing_job_is_ignored(acme: Deployed, standin: StandIn, job_id: str) -> None:
    assert run_worker(acme, message(job_id)) == []
    assert standin.requests == {}


def test_invalid_message_fails_alone(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    invalid = [
        {**message(job_id, f"bad-{n}"), "body": body} for n, body in enumerate(["", "{", "[]", "{}", "null", "\0"])
    ]
    assert run_worker(acme, *invalid[:3], message(job_id, "good"), *invalid[3:]) == [f"bad-{n}" for n in range(6)]
    assert read_job(acme, job_id)["status"] == "in_progress"


def test_whole_failed_batch_does_not_raise(acme: Deployed) -> None:
    assert run_worker(acme, {**message("x"), "body": "{"}) == ["m"]


def test_too_little_time_left_retries_the_message(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    assert run_worker(acme, message(job_id), context=Context(remaining_milliseconds=30_000)) == ["m"]
    assert read_job(acme, job_id)["status"] == "queued"
    assert standin.requests == {}


def test_busy_provider_is_retried_and_paid_once(acme: Deployed, standin: StandIn) -> None:
    standin.script("rate_limited", retry_after=20, times=2)
    job_id = submit(acme)
    for _ in range(2):
        run_worker(acme, message(job_id))
        assert read_job(acme, job_id)["status"] == "queued"
        # Too early: no call before the provider's retry-after.
        run_worker(acme, message(job_id))
        # With jitter, the wait is up to a quarter longer.
        acme.clock.pass_seconds(26)
    for _ in range(2):
        run_worker(acme, message(job_id))
        acme.clock.pass_seconds(30)
    assert read_job(acme, job_id)["status"] == "completed"
    assert standin.requests["create"] == 3
    assert len(standin.generations) == 1


def test_event_during_a_provider_error_is_retried(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    run_worker(acme, message(job_id))
    [generation] = standin.generations
    acme.clock.pass_seconds(30)
    body = json.dumps({"provider": "standin", "response_id": generation.id})
    acme.clients.sqs.purge_queue(QueueUrl=acme.refs["JobQueue"])
    acme.clients.sqs.send_message(QueueUrl=acme.refs["JobQueue"], MessageBody=body)
    [event] = acme.receive("JobQueue")
    standin.script("rate_limited", on="retrieve", times=None)
    assert run_worker(acme, event) == [event["messageId"]]
    assert read_job(acme, job_id)["status"] == "in_progress"
    standin.clear()
    assert run_worker(acme, event) == []
    assert read_job(acme, job_id)["status"] == "completed"


def test_missing_secret_leaves_job_queued(acme: Deployed, shared_standin: StandIn) -> None:
    job_id = submit(acme)
    assert run_worker(acme, message(job_id)) == []
    assert read_job(acme, job_id)["status"] == "queued"


def test_unknown_outcome_is_not_repeated(acme: Deployed, standin: StandIn) -> None:
    standin.script("close_after")
    job_id = submit(acme)
    for _ in range(3):
        run_worker(acme, message(job_id))
        acme.clock.pass_seconds(300)
    job = read_job(acme, job_id)
    assert (job["status"], job["afterthought"]["error_code"]) == ("failed", "outcome_unknown")
    (attempt,) = job["afterthought"]["attempts"]
    assert (attempt["state"], attempt["estimated"], attempt["cost_usd"]) == ("settled", True, attempt["hold_usd"])
    assert standin.requests["create"] == 1


def test_large_answer_keeps_schema_order(acme: Deployed, standin: StandIn) -> None:
    function = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(2000)}}
    properties = list(function["properties"])
    schema = {**function, "required": properties, "additionalProperties": False}
    text = {"format": {"type": "json_schema", "name": "wide", "schema": schema}}
    job_id = submit(acme, text=text)
    for _ in range(2):
        run_worker(acme, message(job_id))
        acme.clock.pass_seconds(30)
    answer = read_job(acme, job_id)
    [message_item] = [item for item in answer["output"] if item["type"] == "message"]
    assert list(json.loads(message_item["content"][0]["text"])) == properties
