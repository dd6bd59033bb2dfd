"""The direct function with SQS messages: calls run concurrently and are paid for once."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from afterthought.adapters import aws
from afterthought.adapters.job_table import JobTable
from afterthought.services.run import await_call
from local.standin import StandIn
from tests.integration.deployed import Context, Deployed, HttpAnswer, sample

Json = dict[str, Any]

KEY = "local-key-acme"
LONG = Context(remaining_milliseconds=899_000)


@pytest.fixture
def acme(service: Deployed) -> Deployed:
    service.make_tenant("acme", api_key=KEY)
    return service


def submit(service: Deployed, **changes: Any) -> str:
    body = {"model": "gpt-oss-20b", "input": "What is 17 times 23?", **changes}
    answer = service.call("POST", "/v1/responses", body, key=KEY)
    assert answer.status == 200, answer.event
    response_id: str = answer.body["id"]
    return response_id


def message(job_id: object, message_id: str = "m") -> Json:
    [record] = sample("direct")["Records"]
    return {**record, "messageId": message_id, "body": json.dumps({"job_id": job_id})}


def run_direct(service: Deployed, *records: Json, context: Context = LONG) -> list[str]:
    """The ids of the messages to retry."""
    answer = service.invoke("Direct", {"Records": list(records)}, context)
    return [failed["itemIdentifier"] for failed in answer["batchItemFailures"]]


def read_job(service: Deployed, job_id: str) -> Json:
    return service.call("GET", f"/v1/responses/{job_id}", key=KEY).body


def test_sample_job_ends_with_its_message(acme: Deployed, standin: StandIn) -> None:
    event = sample("api")
    event["body"] = json.dumps({**json.loads(event["body"]), "model": "gpt-oss-20b"})
    created = HttpAnswer(acme.invoke("Api", event)).body
    assert acme.waiting("JobQueue") == 0
    assert acme.waiting("DirectQueue") == 1
    assert acme.invoke("Direct", sample("direct"), LONG) == {"batchItemFailures": []}
    job = read_job(acme, created["id"])
    assert job["status"] == "completed"
    assert job["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    assert job["metadata"] == {"order": "1841"}
    assert acme.waiting("JobQueue") == acme.waiting("DirectQueue") - 1 == 0


def test_self_hosted_model_costs_nothing(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    run_direct(acme, message(job_id))
    job = read_job(acme, job_id)
    assert job["usage"]["cost"] == 0
    (attempt,) = job["afterthought"]["attempts"]
    assert (attempt["hold_usd"], attempt["cost_usd"], attempt["estimated"]) == ("0", "0", False)
    assert attempt["provider"] == "standin"


def test_request_disables_store_and_background(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme, metadata={"order": "secret"}, user="u", prompt_cache_key="k")
    run_direct(acme, message(job_id))
    [generation] = standin.generations
    assert not generation.background
    assert set(generation.metadata) == {"afterthought_job", "afterthought_attempt", "afterthought_token"}
    [run] = standin.runs._runs.values()
    assert not run.request.store
    assert run.request.echoed["prompt_cache_key"] is None


def test_calls_of_a_batch_are_concurrent(acme: Deployed, standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "memory_limit_in_mb", 1024)
    standin.script("slow_run", seconds=1.5, times=None)
    jobs = [submit(acme) for _ in range(8)]
    start = time.monotonic()
    assert run_direct(acme, *(message(job_id, job_id) for job_id in jobs)) == []
    assert time.monotonic() - start < 8 * 1.5 / 2
    assert {read_job(acme, job_id)["status"] for job_id in jobs} == {"completed"}
    assert standin.requests["create"] == 8


@pytest.mark.parametrize(("megabytes", "limit"), [("512", 6), (1024, 16), (128, 1)])
def test_memory_limits_concurrent_calls(acme: Deployed, megabytes: object, limit: int) -> None:
    context = Context()
    context.memory_limit_in_mb = megabytes  # type: ignore[assignment]
    with acme.running("Direct") as module:
        assert module._max_concurrent_calls(context) == limit


def test_duplicate_message_makes_no_second_call(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    assert run_direct(acme, message(job_id, "a"), message(job_id, "b"), message(job_id, "c")) == []
    assert run_direct(acme, message(job_id, "a"), message(job_id, "b")) == []
    assert read_job(acme, job_id)["status"] == "completed"
    assert standin.requests["create"] == 1


def test_invalid_message_fails_alone(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    invalid = [
        {**message(job_id, f"bad-{n}"), "body": body} for n, body in enumerate(["", "{", "[]", "{}", "null", "\0"])
    ]
    assert run_direct(acme, *invalid[:3], message(job_id, "good"), *invalid[3:]) == [f"bad-{n}" for n in range(6)]
    assert read_job(acme, job_id)["status"] == "completed"


@pytest.mark.parametrize("job_id", ["resp_" + "0" * 48, "", "x", "JOB#x"])
def test_missing_job_is_ignored(acme: Deployed, standin: StandIn, job_id: str) -> None:
    assert run_direct(acme, message(job_id)) == []
    assert standin.requests == {}


def test_too_little_time_left_retries_the_message(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    assert run_direct(acme, message(job_id), context=Context(remaining_milliseconds=639_000)) == ["m"]
    assert read_job(acme, job_id)["status"] == "queued"
    assert standin.requests == {}
    assert run_direct(acme, message(job_id), context=Context(remaining_milliseconds=641_000)) == []
    assert read_job(acme, job_id)["status"] == "completed"


def test_busy_server_requeues_to_direct_queue(acme: Deployed, standin: StandIn) -> None:
    standin.script("unavailable", retry_after=20)
    job_id = submit(acme)
    [first] = acme.receive("DirectQueue")
    assert run_direct(acme, first) == []
    assert read_job(acme, job_id)["status"] == "queued"
    assert acme.waiting("JobQueue") == 0
    assert acme.waiting("DirectQueue") == 1
    # The message is delayed.
    assert acme.receive("DirectQueue") == []
    acme.clock.pass_seconds(60)
    run_direct(acme, message(job_id))
    assert read_job(acme, job_id)["status"] == "completed"
    assert standin.requests["create"] == 2
    assert len(standin.generations) == 1


@pytest.mark.parametrize("rule", ["close_after", "close_before", "truncated", "server_error"])
def test_lost_answer_is_not_repeated(acme: Deployed, standin: StandIn, rule: str) -> None:
    standin.script(rule)
    job_id = submit(acme)
    for _ in range(2):
        run_direct(acme, message(job_id))
    job = read_job(acme, job_id)
    assert (job["status"], job["afterthought"]["error_code"]) == ("failed", "outcome_unknown")
    (attempt,) = job["afterthought"]["attempts"]
    assert (attempt["state"], attempt["estimated"], attempt["cost_usd"]) == ("settled", True, attempt["hold_usd"])
    assert standin.requests["create"] == 1


def test_on_unknown_retry_repeats_the_call(acme: Deployed, standin: StandIn) -> None:
    standin.script("close_after")
    job_id = submit(acme, afterthought={"on_unknown": "retry"})
    for _ in range(2):
        run_direct(acme, message(job_id))
    job = read_job(acme, job_id)
    assert job["status"] == "completed"
    first, second = job["afterthought"]["attempts"]
    assert (first["estimated"], second["estimated"]) == (True, False)
    assert second["because"] == "outcome_unknown"
    assert standin.requests["create"] == 2


def test_call_of_killed_function_is_not_repeated(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    with acme.running("Direct") as module:
        module.service().runner.start(job_id)
    assert run_direct(acme, message(job_id)) == []
    assert read_job(acme, job_id)["status"] == "in_progress"
    acme.clock.pass_seconds(961)
    assert run_direct(acme, message(job_id)) == []
    job = read_job(acme, job_id)
    assert (job["status"], job["afterthought"]["error_code"]) == ("failed", "outcome_unknown")
    assert standin.requests == {}


def test_missing_model_fails_the_job(acme: Deployed, standin: StandIn) -> None:
    standin.script("error", status=404, type="NotFoundError", code="404", message="The model `x` does not exist.")
    job_id = submit(acme)
    run_direct(acme, message(job_id))
    job = read_job(acme, job_id)
    assert (job["status"], job["afterthought"]["error_code"]) == ("failed", "model_not_found")


@contextmanager
def during_call(action: Callable[[], None], standin: StandIn) -> Iterator[None]:
    """Runs `action` once the server has received a call."""

    def wait() -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if standin.generations:
                action()
                return
            time.sleep(0.02)

    thread = threading.Thread(target=wait)
    thread.start()
    yield
    thread.join()


def test_cancel_stops_a_running_call(acme: Deployed, standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(await_call, "CHECK_SECONDS", 0.2)
    standin.script("slow_run", seconds=30)
    job_id, other_id = submit(acme), submit(acme)
    ledger = JobTable(aws.dynamodb(), "JobTable", "AccountTable")

    def cancel() -> None:
        # As the api does. The test cannot run the api while the direct function's environment is set.
        job = ledger.get(job_id)
        assert job is not None
        ledger.save(job, job.request_cancel(now=acme.clock.now()))

    start = time.monotonic()
    with during_call(cancel, standin):
        assert run_direct(acme, message(job_id)) == []
    assert time.monotonic() - start < 20
    end = time.monotonic() + 10
    while standin.generations[0].status != "cancelled":
        assert time.monotonic() < end, "the server is still generating"
        time.sleep(0.02)
    job = read_job(acme, job_id)
    assert job["status"] == "cancelled"
    (attempt,) = job["afterthought"]["attempts"]
    assert (attempt["state"], attempt["estimated"]) == ("settled", True)
    run_direct(acme, message(other_id))
    assert read_job(acme, other_id)["status"] == "completed"


def test_deadline_stops_a_running_call(acme: Deployed, standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(await_call, "CHECK_SECONDS", 0.2)
    standin.script("slow_run", seconds=30)
    job_id = submit(acme, afterthought={"deadline_seconds": 3600})
    with during_call(lambda: acme.clock.pass_seconds(3600), standin):
        assert run_direct(acme, message(job_id)) == []
    job = read_job(acme, job_id)
    assert (job["status"], job["afterthought"]["error_code"]) == ("failed", "deadline_exceeded")


def test_lines_have_their_job_id_and_no_prompt(
    acme: Deployed, standin: StandIn, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    jobs = [submit(acme, input=f"What is 17 times {n}? canary-prompt") for n in range(4)]
    capsys.readouterr()
    run_direct(acme, *(message(job_id, job_id) for job_id in jobs))
    output = capsys.readouterr().out
    lines = [json.loads(line) for line in output.splitlines()]
    steps = [line for line in lines if line.get("message") == "job step"]
    assert sorted(line["job_id"] for line in steps) == sorted(jobs)
    assert {(line["tenant"], line["status"]) for line in steps} == {("acme", "completed")}
    assert sum("JobsFinished" in line for line in lines) == len(jobs)
    assert "canary-prompt" not in output + caplog.text
