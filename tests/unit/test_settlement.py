"""The end of a run: its exact cost by the right price row, or an estimate that is marked as such."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from afterthought.catalogue import default_catalogue
from afterthought.domain.jobs.generation import Generation
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.settlement import settle
from afterthought.domain.jobs.status import Failure
from afterthought.domain.models.pricing import Usage
from tests.simulator.clock import START
from tests.simulator.examples import a_job

USAGE = Usage(input_tokens=1_000_000, cached_input_tokens=400_000, output_tokens=100_000, reasoning_tokens=90_000)
OUTPUT = ({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "391"}]},)


def running_job(**changes: Any) -> Job:
    job = a_job(**changes).start_call(token="t", provider="standin", now=changes.get("created_at", START))
    return job.mark_running(response_id="resp_1", now=START, poll_seconds=5)


def generation(**changes: Any) -> Generation:
    fields: dict[str, Any] = {
        "response_id": "resp_1",
        "status": "completed",
        "metadata": {},
        "model": "o3-2025-04-16",
        "service_tier": "default",
        "usage": USAGE,
        "output": OUTPUT,
    }
    return Generation(**{**fields, **changes})


def settled(job: Job, ended: Generation, failure: Failure | None = None) -> Job:
    return settle(job, ended, default_catalogue().find(job.model), now=START, failure=failure)


def test_cost_is_exact_and_names_its_price_row() -> None:
    job = settled(running_job(), generation())
    assert job.attempt is not None
    # o3: $2 in, $0.50 cached, $8 out per million.
    assert job.attempt.cost_usd == Decimal("1.2") + Decimal("0.2") + Decimal("0.8")
    assert job.attempt.price_id == "o3/standard/2025-06-10"
    assert job.attempt.served_model == "o3-2025-04-16"


def test_price_of_call_time_applies() -> None:
    job = settled(running_job(created_at=datetime(2025, 6, 1, tzinfo=UTC)), generation())
    assert job.attempt is not None
    assert job.attempt.price_id != "o3/standard/2025-06-10"
    assert job.attempt.cost_usd is not None
    assert job.attempt.cost_usd > Decimal("2.2")


@pytest.mark.parametrize(
    ("requested", "served", "billed"),
    [
        ("default", "default", "standard"),
        ("flex", "flex", "flex"),
        ("priority", "priority", "priority"),
        ("priority", "default", "standard"),
        ("flex", "default", "standard"),
        ("flex", None, "flex"),
        ("flex", "a new tier", "flex"),
    ],
)
def test_served_tier_is_billed(requested: str, served: str | None, billed: str) -> None:
    job = settled(running_job(service_tier=requested), generation(service_tier=served))
    assert job.attempt is not None
    assert job.attempt.price_id is not None
    assert job.attempt.price_id.split("/")[1] == billed


def test_unpriced_served_tier_is_billed_as_requested() -> None:
    """o3-pro has no priority row."""
    job = settled(running_job(model="o3-pro"), generation(service_tier="priority"))
    assert job.attempt is not None
    assert job.attempt.price_id is not None
    assert job.attempt.price_id.startswith("o3-pro/standard/")


def test_cost_without_usage_is_the_hold() -> None:
    job = settled(running_job(), generation(usage=None))
    assert job.status == "completed"
    assert job.attempt is not None
    assert (job.attempt.cost_usd, job.attempt.price_id, job.attempt.usage) == (job.attempt.hold_usd, None, None)
    assert job.estimated


def test_failed_run_has_the_providers_reason() -> None:
    ended = generation(status="failed", error_code="rate_limit_exceeded", error_message="too much", usage=None)
    job = settled(running_job(), ended)
    assert job.failure == Failure(code="rate_limit_exceeded", message="too much")


def test_failed_run_without_reason_has_a_default() -> None:
    job = settled(running_job(), generation(status="failed", usage=None))
    assert job.failure is not None
    assert job.failure.code == "server_error"


def test_failed_run_with_usage_is_billed() -> None:
    job = settled(running_job(), generation(status="failed"))
    assert job.attempt is not None
    assert job.attempt.cost_usd == Decimal("2.2")


def test_our_failure_replaces_the_providers() -> None:
    own_failure = Failure(code="deadline_exceeded", message="late")
    job = settled(running_job(), generation(status="cancelled", usage=None), failure=own_failure)
    assert (job.status, job.failure) == ("failed", own_failure)


REASONING = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Let me see."}]}


@pytest.mark.parametrize(
    ("output", "reason", "starved"),
    [
        ((), "max_output_tokens", True),
        ((REASONING,), "max_output_tokens", True),
        ((REASONING, {"type": "message", "content": []}), "max_output_tokens", True),
        ((REASONING, {"type": "message", "content": [{"type": "output_text", "text": ""}]}), "max_output_tokens", True),
        ((REASONING, *OUTPUT), "max_output_tokens", False),
        (({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]},), "max_output_tokens", False),
        (({"type": "function_call", "name": "f", "arguments": "{"},), "max_output_tokens", False),
        ((), "content_filter", False),
    ],
)
def test_answer_without_visible_output_is_starved(
    output: tuple[dict[str, Any], ...], reason: str, starved: bool
) -> None:
    job = settled(running_job(), generation(status="incomplete", incomplete_reason=reason, output=output))
    assert job.incomplete_reason == ("reasoning_starved" if starved else reason)
