"""Booking an end: the exact cost by the right row, nothing guessed, the answer stored first."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from afterthought.catalogue import default_catalogue
from afterthought.domain.jobs.generation import Generation
from afterthought.domain.jobs.job import Failure, Job
from afterthought.domain.jobs.settlement import settle
from afterthought.domain.models.pricing import Usage
from tests.simulator.clock import START
from tests.simulator.examples import a_job

USAGE = Usage(input_tokens=1_000_000, cached_input_tokens=400_000, output_tokens=100_000, reasoning_tokens=90_000)
OUTPUT = ({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "391"}]},)


def submitted(**changes: Any) -> Job:
    job = a_job(**changes).start_call(token="t", provider="standin", now=changes.get("created_at", START))
    return job.mark_running(response_id="resp_1", now=START, poll_seconds=5)


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


def settled(job: Job, ended: Generation, failure: Failure | None = None) -> Job:
    return settle(job, ended, default_catalogue().find(job.model), now=START, failure=failure)


def test_the_cost_is_exact_and_its_row_is_written_down() -> None:
    job = settled(submitted(), generation())
    assert job.attempt is not None
    # o3: $2 in, $0.50 cached, $8 out per million.
    assert job.attempt.cost_usd == Decimal("1.2") + Decimal("0.2") + Decimal("0.8")
    assert job.attempt.price_id == "o3/standard/2025-06-10"
    assert job.attempt.served_model == "o3-2025-04-16"


def test_the_row_is_the_one_in_force_when_the_call_was_made() -> None:
    before = submitted(created_at=datetime(2025, 6, 1, tzinfo=UTC))
    job = settled(before, generation())
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
def test_the_tier_that_was_served_is_billed(asked: str, served: str | None, row: str) -> None:
    job = settled(submitted(service_tier=asked), generation(service_tier=served))
    assert job.attempt is not None
    assert job.attempt.price_id is not None
    assert job.attempt.price_id.split("/")[1] == row


def test_a_served_tier_without_a_price_is_billed_as_asked() -> None:
    """o3-pro has no priority row."""
    job = settled(submitted(model="o3-pro"), generation(service_tier="priority"))
    assert job.attempt is not None
    assert job.attempt.price_id is not None
    assert job.attempt.price_id.startswith("o3-pro/standard/")


def test_without_usage_an_answer_costs_its_hold_and_says_that_this_is_an_estimate() -> None:
    job = settled(submitted(), generation(usage=None))
    assert job.status == "completed"
    assert job.attempt is not None
    assert (job.attempt.cost_usd, job.attempt.price_id, job.attempt.usage) == (job.attempt.hold_usd, None, None)
    assert job.estimated


def test_a_failed_run_says_why_in_the_providers_words() -> None:
    ended = generation(status="failed", error_code="rate_limit_exceeded", error_message="too much", usage=None)
    job = settled(submitted(), ended)
    assert job.failure == Failure(code="rate_limit_exceeded", message="too much")


def test_a_failed_run_without_a_reason_has_one_all_the_same() -> None:
    job = settled(submitted(), generation(status="failed", usage=None))
    assert job.failure is not None
    assert job.failure.code == "server_error"


def test_a_failed_run_that_used_tokens_is_billed() -> None:
    job = settled(submitted(), generation(status="failed"))
    assert job.attempt is not None
    assert job.attempt.cost_usd == Decimal("2.2")


def test_a_reason_of_ours_stands_above_the_providers() -> None:
    ours = Failure(code="deadline_exceeded", message="late")
    job = settled(submitted(), generation(status="cancelled", usage=None), failure=ours)
    assert (job.status, job.failure) == ("failed", ours)


THOUGHT = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Let me see."}]}


@pytest.mark.parametrize(
    ("output", "reason", "starved"),
    [
        ((), "max_output_tokens", True),
        ((THOUGHT,), "max_output_tokens", True),
        ((THOUGHT, {"type": "message", "content": []}), "max_output_tokens", True),
        ((THOUGHT, {"type": "message", "content": [{"type": "output_text", "text": ""}]}), "max_output_tokens", True),
        ((THOUGHT, *OUTPUT), "max_output_tokens", False),
        (({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]},), "max_output_tokens", False),
        (({"type": "function_call", "name": "f", "arguments": "{"},), "max_output_tokens", False),
        ((), "content_filter", False),
    ],
)
def test_an_answer_of_which_nothing_can_be_seen_is_named_for_what_it_is(
    output: tuple[dict[str, Any], ...], reason: str, starved: bool
) -> None:
    job = settled(submitted(), generation(status="incomplete", incomplete_reason=reason, output=output))
    assert job.incomplete_reason == ("reasoning_starved" if starved else reason)
