"""The direct function on its queue's own messages: calls awaited side by side, each paid once."""

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
from afterthought.services import direct
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


def call(service: Deployed, *records: Json, context: Context = LONG) -> list[str]:
    """The ids of the messages that were not handled."""
    answer = service.invoke("Direct", {"Records": list(records)}, context)
    return [failed["itemIdentifier"] for failed in answer["batchItemFailures"]]


def shown(service: Deployed, job_id: str) -> Json:
    return service.call("GET", f"/v1/responses/{job_id}", key=KEY).body


def test_the_sample_job_is_over_when_its_message_is(acme: Deployed, standin: StandIn) -> None:
    event = sample("api")
    event["body"] = json.dumps({**json.loads(event["body"]), "model": "gpt-oss-20b"})
    created = HttpAnswer(acme.invoke("Api", event)).body
    assert acme.waiting("JobQueue") == 0
    assert acme.waiting("DirectQueue") == 1
    assert acme.invoke("Direct", sample("direct"), LONG) == {"batchItemFailures": []}
    ended = shown(acme, created["id"])
    assert ended["status"] == "completed"
    assert ended["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    assert ended["metadata"] == {"order": "1841"}
    assert acme.waiting("JobQueue") == acme.waiting("DirectQueue") - 1 == 0


def test_a_machine_of_ones_own_costs_nothing_and_says_so(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    call(acme, message(job_id))
    ended = shown(acme, job_id)
    assert ended["usage"]["cost"] == 0
    (attempt,) = ended["afterthought"]["attempts"]
    assert (attempt["hold_usd"], attempt["cost_usd"], attempt["estimated"]) == ("0", "0", False)
    assert attempt["provider"] == "standin"


def test_the_server_is_asked_to_keep_nothing_and_to_do_nothing_in_the_background(
    acme: Deployed, standin: StandIn
) -> None:
    job_id = submit(acme, metadata={"order": "secret"}, user="somebody", prompt_cache_key="k")
    call(acme, message(job_id))
    [generation] = standin.generations
    assert not generation.background
    assert set(generation.metadata) == {"afterthought_job", "afterthought_attempt", "afterthought_token"}
    [run] = standin.runs._runs.values()
    assert not run.request.store
    assert run.request.echoed["prompt_cache_key"] is None


def test_the_calls_of_a_batch_are_awaited_side_by_side(
    acme: Deployed, standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Context, "memory_limit_in_mb", 1024)
    standin.script("slow_run", seconds=1.5, times=None)
    jobs = [submit(acme) for _ in range(8)]
    begun = time.monotonic()
    assert call(acme, *(message(job_id, job_id) for job_id in jobs)) == []
    assert time.monotonic() - begun < 8 * 1.5 / 2
    assert {shown(acme, job_id)["status"] for job_id in jobs} == {"completed"}
    assert standin.requests["create"] == 8


@pytest.mark.parametrize(("megabytes", "most"), [("512", 6), (1024, 16), (128, 1)])
def test_no_more_calls_are_awaited_than_the_memory_holds(acme: Deployed, megabytes: object, most: int) -> None:
    context = Context()
    context.memory_limit_in_mb = megabytes  # type: ignore[assignment]
    with acme.running("Direct") as module:
        assert module._at_once(context) == most


def test_a_duplicate_message_makes_no_second_call(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    assert call(acme, message(job_id, "a"), message(job_id, "b"), message(job_id, "c")) == []
    assert call(acme, message(job_id, "a"), message(job_id, "b")) == []
    assert shown(acme, job_id)["status"] == "completed"
    assert standin.requests["create"] == 1


def test_what_is_no_message_of_ours_goes_back_and_does_not_stop_the_others(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    bad = [{**message(job_id, f"bad-{n}"), "body": body} for n, body in enumerate(["", "{", "[]", "{}", "null", "\0"])]
    assert call(acme, *bad[:3], message(job_id, "good"), *bad[3:]) == [f"bad-{n}" for n in range(6)]
    assert shown(acme, job_id)["status"] == "completed"


@pytest.mark.parametrize("job_id", ["resp_" + "0" * 48, "", "x", "JOB#x"])
def test_a_message_for_a_job_that_is_gone_is_dropped(acme: Deployed, standin: StandIn, job_id: str) -> None:
    assert call(acme, message(job_id)) == []
    assert standin.requests == {}


def test_a_call_that_could_not_end_in_time_is_not_begun(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    assert call(acme, message(job_id), context=Context(remaining_milliseconds=639_000)) == ["m"]
    assert shown(acme, job_id)["status"] == "queued"
    assert standin.requests == {}
    assert call(acme, message(job_id), context=Context(remaining_milliseconds=641_000)) == []
    assert shown(acme, job_id)["status"] == "completed"


def test_a_busy_server_gets_the_job_again_by_its_own_queue(acme: Deployed, standin: StandIn) -> None:
    standin.script("unavailable", retry_after=20)
    job_id = submit(acme)
    [first] = acme.receive("DirectQueue")
    assert call(acme, first) == []
    assert shown(acme, job_id)["status"] == "queued"
    assert acme.waiting("JobQueue") == 0
    assert acme.waiting("DirectQueue") == 1
    # Not before its time.
    assert acme.receive("DirectQueue") == []
    acme.clock.pass_seconds(60)
    call(acme, message(job_id))
    assert shown(acme, job_id)["status"] == "completed"
    assert standin.requests["create"] == 2
    assert len(standin.generations) == 1


@pytest.mark.parametrize("rule", ["close_after", "close_before", "truncated", "server_error"])
def test_a_lost_answer_has_nobody_to_wait_for(acme: Deployed, standin: StandIn, rule: str) -> None:
    standin.script(rule)
    job_id = submit(acme)
    for _ in range(2):
        call(acme, message(job_id))
    ended = shown(acme, job_id)
    assert (ended["status"], ended["afterthought"]["error_code"]) == ("failed", "outcome_unknown")
    (attempt,) = ended["afterthought"]["attempts"]
    assert (attempt["state"], attempt["estimated"], attempt["cost_usd"]) == ("settled", True, attempt["hold_usd"])
    assert standin.requests["create"] == 1


def test_a_lost_answer_is_asked_for_once_more_where_its_owner_said_so(acme: Deployed, standin: StandIn) -> None:
    standin.script("close_after")
    job_id = submit(acme, afterthought={"on_unknown": "retry"})
    for _ in range(2):
        call(acme, message(job_id))
    ended = shown(acme, job_id)
    assert ended["status"] == "completed"
    first, second = ended["afterthought"]["attempts"]
    assert (first["estimated"], second["estimated"]) == (True, False)
    assert second["because"] == "outcome_unknown"
    assert standin.requests["create"] == 2


def test_a_call_whose_function_died_is_not_made_again(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    with acme.running("Direct") as module:
        module.service().steps.begin(job_id)
    assert call(acme, message(job_id)) == []
    assert shown(acme, job_id)["status"] == "in_progress"
    acme.clock.pass_seconds(961)
    assert call(acme, message(job_id)) == []
    ended = shown(acme, job_id)
    assert (ended["status"], ended["afterthought"]["error_code"]) == ("failed", "outcome_unknown")
    assert standin.requests == {}


def test_a_model_that_the_server_does_not_have_ends_the_job(acme: Deployed, standin: StandIn) -> None:
    standin.script("error", status=404, type="NotFoundError", code="404", message="The model `x` does not exist.")
    job_id = submit(acme)
    call(acme, message(job_id))
    ended = shown(acme, job_id)
    assert (ended["status"], ended["afterthought"]["error_code"]) == ("failed", "model_not_found")


@contextmanager
def during(what: Callable[[], None], standin: StandIn) -> Iterator[None]:
    """Does it once the server thinks."""

    def wait() -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if standin.generations:
                what()
                return
            time.sleep(0.02)

    thread = threading.Thread(target=wait)
    thread.start()
    yield
    thread.join()


def test_a_job_cancelled_while_its_call_is_awaited_lets_go_of_it(
    acme: Deployed, standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "LOOK_SECONDS", 0.2)
    standin.script("slow_run", seconds=30)
    job_id, other_id = submit(acme), submit(acme)
    ledger = JobTable(aws.dynamodb(), "JobTable", "AccountTable")

    def cancel() -> None:
        # As the api does it, in whose environment the test cannot be at the same time.
        job = ledger.get(job_id)
        assert job is not None
        ledger.save(job, job.cancelling(now=acme.clock.now()))

    begun = time.monotonic()
    with during(cancel, standin):
        assert call(acme, message(job_id)) == []
    assert time.monotonic() - begun < 20
    until = time.monotonic() + 10
    while standin.generations[0].status != "cancelled":
        assert time.monotonic() < until, "the server still works"
        time.sleep(0.02)
    ended = shown(acme, job_id)
    assert ended["status"] == "cancelled"
    (attempt,) = ended["afterthought"]["attempts"]
    assert (attempt["state"], attempt["estimated"]) == ("settled", True)
    call(acme, message(other_id))
    assert shown(acme, other_id)["status"] == "completed"


def test_a_job_that_meets_its_deadline_while_its_call_is_awaited_ends(
    acme: Deployed, standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "LOOK_SECONDS", 0.2)
    standin.script("slow_run", seconds=30)
    job_id = submit(acme, afterthought={"deadline_seconds": 3600})
    with during(lambda: acme.clock.pass_seconds(3600), standin):
        assert call(acme, message(job_id)) == []
    ended = shown(acme, job_id)
    assert (ended["status"], ended["afterthought"]["error_code"]) == ("failed", "deadline_exceeded")


def test_every_line_names_its_own_job_and_none_holds_a_prompt(
    acme: Deployed, standin: StandIn, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    jobs = [submit(acme, input=f"What is 17 times {n}? canary-prompt") for n in range(4)]
    capsys.readouterr()
    call(acme, *(message(job_id, job_id) for job_id in jobs))
    told = capsys.readouterr().out
    lines = [json.loads(line) for line in told.splitlines()]
    advanced = [line for line in lines if line.get("message") == "advanced"]
    assert sorted(line["job_id"] for line in advanced) == sorted(jobs)
    assert {(line["tenant"], line["status"]) for line in advanced} == {("acme", "completed")}
    assert sum("JobsEnded" in line for line in lines) == len(jobs)
    assert "canary-prompt" not in told + caplog.text
