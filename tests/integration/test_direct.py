"""The direct function on messages of its queue: it awaits calls concurrently and pays each once."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from afterthought.adapters import aws
from afterthought.adapters.ledger import LedgerTable
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


def test_sample_message_completes_its_job(acme: Deployed, standin: StandIn) -> None:
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


def test_own_server_costs_nothing(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    call(acme, message(job_id))
    ended = shown(acme, job_id)
    assert ended["usage"]["cost"] == 0
    (attempt,) = ended["afterthought"]["attempts"]
    assert (attempt["hold_usd"], attempt["cost_usd"], attempt["estimated"]) == ("0", "0", False)
    assert attempt["provider"] == "standin"


def test_direct_call_is_not_stored(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme, metadata={"order": "secret"}, user="user-1", prompt_cache_key="k")
    call(acme, message(job_id))
    [generation] = standin.generations
    assert not generation.background
    assert set(generation.metadata) == {"afterthought_job", "afterthought_attempt", "afterthought_token"}
    [run] = standin.runs._runs.values()
    assert not run.request.store
    assert run.request.echoed["prompt_cache_key"] is None


def test_batch_is_called_concurrently(acme: Deployed, standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "memory_limit_in_mb", 1024)
    standin.script("slow_run", seconds=1.5, times=None)
    jobs = [submit(acme) for _ in range(8)]
    started_at = time.monotonic()
    assert call(acme, *(message(job_id, job_id) for job_id in jobs)) == []
    assert time.monotonic() - started_at < 8 * 1.5 / 2
    assert {shown(acme, job_id)["status"] for job_id in jobs} == {"completed"}
    assert standin.requests["create"] == 8


@pytest.mark.parametrize(("megabytes", "most"), [("512", 6), (1024, 16), (128, 1)])
def test_concurrency_follows_memory(acme: Deployed, megabytes: object, most: int) -> None:
    context = Context()
    context.memory_limit_in_mb = megabytes  # type: ignore[assignment]
    with acme.running("Direct") as module:
        assert module._at_once(context) == most


def test_duplicate_message_makes_no_call(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    assert call(acme, message(job_id, "a"), message(job_id, "b"), message(job_id, "c")) == []
    assert call(acme, message(job_id, "a"), message(job_id, "b")) == []
    assert shown(acme, job_id)["status"] == "completed"
    assert standin.requests["create"] == 1


def test_invalid_message_fails_alone(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    bad = [{**message(job_id, f"bad-{n}"), "body": body} for n, body in enumerate(["", "{", "[]", "{}", "null", "\0"])]
    assert call(acme, *bad[:3], message(job_id, "good"), *bad[3:]) == [f"bad-{n}" for n in range(6)]
    assert shown(acme, job_id)["status"] == "completed"


@pytest.mark.parametrize("job_id", ["resp_" + "0" * 48, "", "x", "JOB#x"])
def test_message_of_missing_job_is_dropped(acme: Deployed, standin: StandIn, job_id: str) -> None:
    assert call(acme, message(job_id)) == []
    assert standin.requests == {}


def test_call_needs_enough_time_left(acme: Deployed, standin: StandIn) -> None:
    job_id = submit(acme)
    assert call(acme, message(job_id), context=Context(remaining_milliseconds=639_000)) == ["m"]
    assert shown(acme, job_id)["status"] == "queued"
    assert standin.requests == {}
    assert call(acme, message(job_id), context=Context(remaining_milliseconds=641_000)) == []
    assert shown(acme, job_id)["status"] == "completed"


def test_busy_server_is_retried_later(acme: Deployed, standin: StandIn) -> None:
    standin.script("unavailable", retry_after=20)
    job_id = submit(acme)
    [first] = acme.receive("DirectQueue")
    assert call(acme, first) == []
    assert shown(acme, job_id)["status"] == "queued"
    assert acme.waiting("JobQueue") == 0
    assert acme.waiting("DirectQueue") == 1
    # Delayed.
    assert acme.receive("DirectQueue") == []
    acme.clock.pass_seconds(60)
    call(acme, message(job_id))
    assert shown(acme, job_id)["status"] == "completed"
    assert standin.requests["create"] == 2
    assert len(standin.generations) == 1


@pytest.mark.parametrize("rule", ["close_after", "close_before", "truncated", "server_error"])
def test_lost_answer_ends_the_job(acme: Deployed, standin: StandIn, rule: str) -> None:
    standin.script(rule)
    job_id = submit(acme)
    for _ in range(2):
        call(acme, message(job_id))
    ended = shown(acme, job_id)
    assert (ended["status"], ended["afterthought"]["error_code"]) == ("failed", "outcome_unknown")
    (attempt,) = ended["afterthought"]["attempts"]
    assert (attempt["state"], attempt["estimated"], attempt["cost_usd"]) == ("settled", True, attempt["hold_usd"])
    assert standin.requests["create"] == 1


def test_lost_answer_is_retried_on_request(acme: Deployed, standin: StandIn) -> None:
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


def test_killed_call_is_not_repeated(acme: Deployed, standin: StandIn) -> None:
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


def test_missing_model_ends_the_job(acme: Deployed, standin: StandIn) -> None:
    standin.script("error", status=404, type="NotFoundError", code="404", message="The model `x` does not exist.")
    job_id = submit(acme)
    call(acme, message(job_id))
    ended = shown(acme, job_id)
    assert (ended["status"], ended["afterthought"]["error_code"]) == ("failed", "model_not_found")


@contextmanager
def during(act: Callable[[], None], standin: StandIn) -> Iterator[None]:
    """Acts when the server has started a generation."""

    def wait() -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if standin.generations:
                act()
                return
            time.sleep(0.02)

    thread = threading.Thread(target=wait)
    thread.start()
    yield
    thread.join()


def test_cancel_drops_the_awaited_call(acme: Deployed, standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "LOOK_SECONDS", 0.2)
    standin.script("slow_run", seconds=30)
    job_id, other_id = submit(acme), submit(acme)
    ledger = LedgerTable(aws.dynamodb(), "JobTable", "AccountTable")

    def cancel() -> None:
        # As the api writes it. The test cannot run the api function at the same time.
        job = ledger.get(job_id)
        assert job is not None
        ledger.save(job, job.cancelling(now=acme.clock.now()))

    started_at = time.monotonic()
    with during(cancel, standin):
        assert call(acme, message(job_id)) == []
    assert time.monotonic() - started_at < 20
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


def test_deadline_ends_the_awaited_call(acme: Deployed, standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "LOOK_SECONDS", 0.2)
    standin.script("slow_run", seconds=30)
    job_id = submit(acme, afterthought={"deadline_seconds": 3600})
    with during(lambda: acme.clock.pass_seconds(3600), standin):
        assert call(acme, message(job_id)) == []
    ended = shown(acme, job_id)
    assert (ended["status"], ended["afterthought"]["error_code"]) == ("failed", "deadline_exceeded")


def test_log_lines_name_their_job(
    acme: Deployed, standin: StandIn, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    jobs = [submit(acme, input=f"What is 17 times {n}? canary-prompt") for n in range(4)]
    capsys.readouterr()
    call(acme, *(message(job_id, job_id) for job_id in jobs))
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in printed.splitlines()]
    advanced = [line for line in lines if line.get("message") == "advanced"]
    assert sorted(line["job_id"] for line in advanced) == sorted(jobs)
    assert {(line["tenant"], line["status"]) for line in advanced} == {("acme", "completed")}
    assert sum("JobsEnded" in line for line in lines) == len(jobs)
    assert "canary-prompt" not in printed + caplog.text
