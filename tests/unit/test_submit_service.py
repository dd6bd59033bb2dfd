"""Taking a request in: what is answered stands in the table, and a repeat is the same job."""

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


def test_an_accepted_job_stands_in_the_table_with_its_request_and_its_message(world: World) -> None:
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


def test_the_answer_is_a_response_that_is_queued(world: World) -> None:
    answer = world.read.submitted(world.submit())
    parsed = Response.model_validate(answer, strict=True)
    assert (parsed.status, parsed.background, parsed.output) == ("queued", True, [])


def test_the_effort_that_the_model_would_choose_is_written_down(world: World) -> None:
    assert world.submit({"model": "o3", "input": "x"}).job.effort == "medium"


def test_a_message_belongs_to_the_tenants_group(world: World) -> None:
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
def test_what_is_refused_leaves_nothing_behind(world: World, body: dict[str, Any]) -> None:
    with pytest.raises(RequestRefused):
        world.submit(body)
    assert world.calls.recorded == []


@pytest.mark.parametrize("key", ["é", "", "x" * 256])
def test_a_key_out_of_form_leaves_nothing_behind(world: World, key: str) -> None:
    with pytest.raises(InvalidRequest):
        world.submit(key=key)
    assert world.calls.recorded == []


def test_without_a_key_two_equal_requests_are_two_jobs(world: World) -> None:
    assert world.submit().job.id != world.submit().job.id


def test_the_same_key_and_body_are_one_job_as_it_stands_by_now(world: World) -> None:
    first = world.submit(key="k")
    world.run()
    again = world.submit(key="k")
    assert again.repeated
    assert again.job == world.job(first.job.id)
    assert world.read.submitted(again)["status"] == "completed"
    assert len(world.provider.runs) == 1


def test_a_repeat_in_another_order_and_spacing_is_the_same_body(world: World) -> None:
    first = world.submit_service("acme", world.admit(b'{"model":"o3","input":"x"}'), "k")
    again = world.submit_service("acme", world.admit(b' {"input": "x",  "model": "o3", "user": null}'), "k")
    assert again.repeated
    assert again.job == first.job


def test_the_same_key_with_another_body_is_a_conflict_and_changes_nothing(world: World) -> None:
    job = world.submit(key="k").job
    with pytest.raises(IdempotencyConflict):
        world.submit(a_request("high"), key="k")
    assert world.jobs.items == {job.id: job}
    assert len(world.job_messages.messages) == 1


def test_the_same_key_of_two_tenants_is_two_jobs(world: World) -> None:
    assert world.submit(key="k").job.id != world.submit(key="k", tenant="globex").job.id


@pytest.mark.parametrize("place", range(6))
def test_two_requests_with_one_key_at_once_are_one_job(world: World, place: int) -> None:
    """The other runs whole before each of the first one's calls: the look, the tenant, the rate, the content, the job,
    the message."""
    others: list[str] = []
    world.calls.before_call[place] = lambda: others.append(world.submit(key="k").job.id)
    mine = world.submit(key="k").job.id
    assert others == [mine]
    assert len(world.jobs.items) == 1
    world.run()
    assert len(world.provider.runs) == 1


def test_two_bodies_with_one_key_at_once_are_one_job_and_one_conflict(world: World) -> None:
    world.calls.before_call[4] = partial(world.submit, a_request("high"), key="k")
    with pytest.raises(IdempotencyConflict):
        world.submit(a_request("low"), key="k")
    (job,) = world.jobs.items.values()
    assert job.effort == "high"
    world.run()
    assert world.job(job.id).status == "completed"


def test_a_repeat_after_a_lost_answer_finds_the_job() -> None:
    world = World(faults={4: Fault.TIMEOUT_AFTER})
    with pytest.raises(TransportFailed):
        world.submit(key="k")
    assert world.submit(key="k").repeated
    assert len(world.jobs.items) == 1


def test_a_queue_that_is_down_refuses_nobody() -> None:
    world = World(faults={4: Fault.TIMEOUT_BEFORE})
    submitted = world.submit()
    assert not submitted.enqueued
    world.run()
    assert world.job(submitted.job.id).status == "completed"


def test_a_model_that_its_provider_has_retired_is_refused_with_its_successor(world: World) -> None:
    real = replace(world.admit, providers=("openai",))
    world.clock.move_to(datetime(2026, 11, 10, tzinfo=UTC))
    with pytest.raises(InvalidRequest, match=r"retired.*successor is o3") as refused:
        real(b'{"model": "o1-preview", "input": "x"}')
    assert refused.value.param == "model"


def test_a_job_shows_to_its_own_tenant_alone(world: World) -> None:
    job_id = world.submit().job.id
    assert world.read("acme", job_id)["id"] == job_id
    with pytest.raises(NotFound) as anothers:
        world.read("globex", job_id)
    world.jobs.delete(job_id)
    with pytest.raises(NotFound) as unknown:
        world.read("globex", job_id)
    assert anothers.value.message == unknown.value.message


def test_a_finished_job_reads_with_its_answer_tokens_and_cost(world: World) -> None:
    job_id = world.submit(a_request(metadata={"mine": "yes"})).job.id
    world.run()
    answer = world.read("acme", job_id)
    parsed = Response.model_validate(answer, strict=True)
    (run,) = world.provider.runs.values()
    assert parsed.output_text == f"The answer to {run.token}"
    assert parsed.metadata == {"mine": "yes"}
    assert parsed.usage is not None
    assert parsed.usage.total_tokens == parsed.usage.input_tokens + parsed.usage.output_tokens
    entry = world.job(job_id).attempt
    assert entry is not None
    assert answer["afterthought"]["cost"]["total_usd"] == f"{entry.cost_usd:f}".rstrip("0")


def test_a_job_outlives_its_content(world: World) -> None:
    job_id = world.submit().job.id
    world.run()
    world.contents.items.clear()
    answer = world.read("acme", job_id)
    assert (answer["status"], answer["output"]) == ("completed", [])
    Response.model_validate(answer, strict=True)


def test_the_parts_of_a_cost_outlive_the_answer_and_add_up(world: World) -> None:
    job_id = world.submit().job.id
    world.run()
    before = world.read("acme", job_id)["afterthought"]["cost"]
    world.contents.items.clear()
    after = world.read("acme", job_id)["afterthought"]["cost"]
    assert after == before
    parts = ("input_usd", "cached_input_usd", "cache_write_usd", "output_usd", "tools_usd")
    assert sum(Decimal(after[part]) for part in parts) == Decimal(after["total_usd"])
