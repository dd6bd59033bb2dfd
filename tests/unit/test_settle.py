"""Booking an end: the exact cost by the right row, nothing guessed, the answer stored first."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from afterthought.catalogue import default_catalogue
from afterthought.domain.job import Failure, Job
from afterthought.domain.pricing import Usage
from afterthought.services.contents import get_answer
from afterthought.services.ports import Generation
from afterthought.services.settle import settle
from tests.simulator.clock import START
from tests.simulator.examples import a_job
from tests.simulator.world import World

USAGE = Usage(input_tokens=1_000_000, cached_input_tokens=400_000, output_tokens=100_000, reasoning_tokens=90_000)
OUTPUT = ({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "391"}]},)


@pytest.fixture
def world() -> World:
    return World()


def submitted(**changes: Any) -> Job:
    job = a_job(**changes).begin(token="t", provider="standin", now=changes.get("created_at", START))
    return job.submitted(response_id="resp_1", now=START, check_seconds=5)


def generation(**changes: Any) -> Generation:
    ended: dict[str, Any] = {
        "response_id": "resp_1",
        "status": "completed",
        "metadata": {},
        "model": "o3-2025-04-16",
        "service_tier": "default",
        "usage": USAGE,
        "output": OUTPUT,
    }
    return Generation(**{**ended, **changes})


def settled(world: World, job: Job, ended: Generation, failure: Failure | None = None) -> Job:
    model = default_catalogue().find(job.model)
    return settle(job, ended, model=model, contents=world.contents, now=START, failure=failure)


def test_the_cost_is_exact_and_its_row_is_written_down(world: World) -> None:
    job = settled(world, submitted(), generation())
    assert job.attempt is not None
    # o3: $2 in, $0.50 cached, $8 out per million.
    assert job.attempt.cost_usd == Decimal("1.2") + Decimal("0.2") + Decimal("0.8")
    assert job.attempt.price_id == "o3/standard/2025-06-10"
    assert job.attempt.served_model == "o3-2025-04-16"


def test_the_row_is_the_one_in_force_when_the_call_was_made(world: World) -> None:
    before = submitted(created_at=datetime(2025, 6, 1, tzinfo=UTC))
    job = settled(world, before, generation())
    assert job.attempt is not None
    assert job.attempt.price_id != "o3/standard/2025-06-10"
    assert job.attempt.cost_usd is not None
    assert job.attempt.cost_usd > Decimal("2.2")


@pytest.mark.parametrize(
    ("asked", "served", "row"),
    [
        ("default", "default", "standard"),
        ("flex", "flex", "flex"),
        ("priority", "priority", "priority"),
        ("priority", "default", "standard"),
        ("flex", "default", "standard"),
        ("flex", None, "flex"),
        ("flex", "a tier of tomorrow", "flex"),
    ],
)
def test_the_tier_that_was_served_is_billed(world: World, asked: str, served: str | None, row: str) -> None:
    job = settled(world, submitted(service_tier=asked), generation(service_tier=served))
    assert job.attempt is not None
    assert job.attempt.price_id is not None
    assert job.attempt.price_id.split("/")[1] == row


def test_a_served_tier_without_a_price_is_billed_as_asked(world: World) -> None:
    """o3-pro has no priority row."""
    job = settled(world, submitted(model="o3-pro"), generation(service_tier="priority"))
    assert job.attempt is not None
    assert job.attempt.price_id is not None
    assert job.attempt.price_id.startswith("o3-pro/standard/")


def test_without_usage_an_answer_costs_its_hold_and_says_that_this_is_an_estimate(world: World) -> None:
    job = settled(world, submitted(), generation(usage=None))
    assert job.status == "completed"
    assert job.attempt is not None
    assert (job.attempt.cost_usd, job.attempt.price_id, job.attempt.usage) == (job.attempt.hold_usd, None, None)
    assert job.estimated
    answer = get_answer(world.contents, job)
    assert answer is not None
    assert answer.output == OUTPUT


def test_the_answer_is_stored_before_the_job_says_that_there_is_one(world: World) -> None:
    job = settled(world, submitted(), generation())
    assert [call.name for call in world.line.calls] == ["contents.put"]
    answer = get_answer(world.contents, job)
    assert answer is not None
    assert answer.output == OUTPUT
    assert job.status == "completed"


def test_a_failed_run_says_why_in_the_providers_words(world: World) -> None:
    ended = generation(status="failed", error_code="rate_limit_exceeded", error_message="too much", usage=None)
    job = settled(world, submitted(), ended)
    assert job.failure == Failure(code="rate_limit_exceeded", message="too much")


def test_a_failed_run_without_a_reason_has_one_all_the_same(world: World) -> None:
    job = settled(world, submitted(), generation(status="failed", usage=None))
    assert job.failure is not None
    assert job.failure.code == "server_error"


def test_a_failed_run_that_used_tokens_is_billed(world: World) -> None:
    job = settled(world, submitted(), generation(status="failed"))
    assert job.attempt is not None
    assert job.attempt.cost_usd == Decimal("2.2")


def test_a_reason_of_ours_stands_above_the_providers(world: World) -> None:
    ours = Failure(code="deadline_exceeded", message="late")
    job = settled(world, submitted(), generation(status="cancelled", usage=None), failure=ours)
    assert (job.status, job.failure) == ("failed", ours)
