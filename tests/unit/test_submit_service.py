"""Submission: an accepted job is stored, and a repeat returns the same job."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from openai.types.responses import Response

from afterthought.domain.errors import IdempotencyConflict, InvalidRequest, NotFound, RequestRefused
from tests.simulator.calls import Fault, TransportFailed
from tests.simulator.world import World, a_request


@pytest.fixture
def world() -> World:
    return World()


def test_accepted_job_is_stored_and_queued(world: World) -> None:
    job = world.submit().job
    assert world.job(job.id) == job
    assert job.overdue_at is not None
    assert [json.loads(message.body) for message in world.job_messages.messages] == [{"job_id": job.id}]
    assert [(call.name) for call in world.calls.recorded] == [
        "accounts.tenant",
        "rates.take",
        "contents.put",
        "jobs.create",
        "queue.send",
    ]


def test_answer_is_a_queued_response(world: World) -> None:
    answer = world.reader.show_submission(world.submit())
    parsed = Response.model_validate(answer, strict=True)
    assert (parsed.status, parsed.background, parsed.output) == ("queued", True, [])


def test_default_effort_is_stored(world: World) -> None:
    assert world.submit({"model": "o3", "input": "x"}).job.effort == "medium"


def test_message_group_is_the_tenant(world: World) -> None:
    world.submit(tenant="globex")
    assert [message.group for message in world.job_messages.messages] == ["globex"]


@pytest.mark.parametrize(
    "body",
    [
        {"model": "o3"},
        {"input": "x"},
        {"model": "no-such", "input": "x"},
        {"model": "o1-mini", "input": "x", "reasoning": {"effort": "low"}},
        {"model": "o3", "input": "x", "max_output_tokens": 1},
        {"model": "o3", "input": "x", "afterthought": {"webhook_url": "http://example.com"}},
        {"model": "o3", "input": "x", "afterthought": {"webhook_url": "https://169.254.169.254/"}},
    ],
)
def test_refused_request_leaves_nothing(world: World, body: dict[str, Any]) -> None:
    with pytest.raises(RequestRefused):
        world.submit(body)
    assert world.calls.recorded == []


@pytest.mark.parametrize("key", ["é", "", "x" * 256])
def test_malformed_key_leaves_nothing(world: World, key: str) -> None:
    with pytest.raises(InvalidRequest):
        world.submit(key=key)
    assert world.calls.recorded == []


def test_requests_without_key_are_separate_jobs(world: World) -> None:
    assert world.submit().job.id != world.submit().job.id


def test_repeat_shows_the_current_job(world: World) -> None:
    first = world.submit(key="k")
    world.run()
    again = world.submit(key="k")
    assert again.repeated
    assert again.job == world.job(first.job.id)
    assert world.reader.show_submission(again)["status"] == "completed"
    assert len(world.provider.runs) == 1


def test_repeat_ignores_order_and_spacing(world: World) -> None:
    first = world.intake.submit("acme", world.admitter.admit(b'{"model":"o3","input":"x"}'), "k")
    again = world.intake.submit("acme", world.admitter.admit(b' {"input": "x",  "model": "o3", "user": null}'), "k")
    assert again.repeated
    assert again.job == first.job


def test_key_with_another_body_is_a_conflict(world: World) -> None:
    job = world.submit(key="k").job
    with pytest.raises(IdempotencyConflict):
        world.submit(a_request("high"), key="k")
    assert world.jobs.items == {job.id: job}
    assert len(world.job_messages.messages) == 1


def test_keys_are_separate_by_tenant(world: World) -> None:
    assert world.submit(key="k").job.id != world.submit(key="k", tenant="globex").job.id


@pytest.mark.parametrize("place", range(6))
def test_concurrent_repeats_are_one_job(world: World, place: int) -> None:
    """The other request runs completely before one of the calls of this one: read job, read tenant, take rate, put
    content, create job, send message."""
    others: list[str] = []
    world.calls.before_call[place] = lambda: others.append(world.submit(key="k").job.id)
    job_id = world.submit(key="k").job.id
    assert others == [job_id]
    assert len(world.jobs.items) == 1
    world.run()
    assert len(world.provider.runs) == 1


def test_concurrent_bodies_conflict(world: World) -> None:
    world.calls.before_call[4] = partial(world.submit, a_request("high"), key="k")
    with pytest.raises(IdempotencyConflict):
        world.submit(a_request("low"), key="k")
    (job,) = world.jobs.items.values()
    assert job.effort == "high"
    world.run()
    assert world.job(job.id).status == "completed"


def test_repeat_after_lost_answer_finds_the_job() -> None:
    world = World(faults={4: Fault.TIMEOUT_AFTER})
    with pytest.raises(TransportFailed):
        world.submit(key="k")
    assert world.submit(key="k").repeated
    assert len(world.jobs.items) == 1


def test_request_is_accepted_without_queue() -> None:
    world = World(faults={4: Fault.TIMEOUT_BEFORE})
    submitted = world.submit()
    assert not submitted.enqueued
    world.run()
    assert world.job(submitted.job.id).status == "completed"


def test_retired_model_is_refused_with_successor(world: World) -> None:
    admitter = replace(world.admitter, providers=("openai",))
    world.clock.move_to(datetime(2026, 11, 10, tzinfo=UTC))
    with pytest.raises(InvalidRequest, match=r"retired.*successor is o3") as refused:
        admitter.admit(b'{"model": "o1-preview", "input": "x"}')
    assert refused.value.param == "model"


def test_job_is_visible_to_its_tenant_only(world: World) -> None:
    job_id = world.submit().job.id
    assert world.reader.read("acme", job_id)["id"] == job_id
    with pytest.raises(NotFound) as other_tenants:
        world.reader.read("globex", job_id)
    world.jobs.delete(job_id)
    with pytest.raises(NotFound) as unknown:
        world.reader.read("globex", job_id)
    assert other_tenants.value.message == unknown.value.message


def test_completed_job_has_answer_usage_and_cost(world: World) -> None:
    job_id = world.submit(a_request(metadata={"key": "value"})).job.id
    world.run()
    answer = world.reader.read("acme", job_id)
    parsed = Response.model_validate(answer, strict=True)
    (run,) = world.provider.runs.values()
    assert parsed.output_text == f"The answer to {run.token}"
    assert parsed.metadata == {"key": "value"}
    assert parsed.usage is not None
    assert parsed.usage.total_tokens == parsed.usage.input_tokens + parsed.usage.output_tokens
    attempt = world.job(job_id).attempt
    assert attempt is not None
    assert answer["afterthought"]["cost"]["total_usd"] == f"{attempt.cost_usd:f}".rstrip("0")


def test_job_is_readable_after_content_expired(world: World) -> None:
    job_id = world.submit().job.id
    world.run()
    world.contents.items.clear()
    answer = world.reader.read("acme", job_id)
    assert (answer["status"], answer["output"]) == ("completed", [])
    Response.model_validate(answer, strict=True)


def test_cost_parts_are_readable_after_content_expired(world: World) -> None:
    job_id = world.submit().job.id
    world.run()
    before = world.reader.read("acme", job_id)["afterthought"]["cost"]
    world.contents.items.clear()
    after = world.reader.read("acme", job_id)["afterthought"]["cost"]
    assert after == before
    parts = ("input_usd", "cached_input_usd", "cache_write_usd", "output_usd", "tools_usd")
    assert sum(Decimal(str(value)) for name, value in after.items() if name in parts) == Decimal(
        str(after["total_usd"])
    )
