"""Example jobs, and hypothesis strategies for any possible job."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

from hypothesis import strategies as st

from afterthought.domain.jobs.attempt import Attempt, AttemptReason, AttemptState, CallSpec
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.schedule import RECORD_RETENTION
from afterthought.domain.jobs.spec import JobSpec
from afterthought.domain.jobs.status import Failure
from afterthought.domain.models.pricing import Usage
from tests.simulator.clock import START

JOB_ID = "resp_" + "0a" * 24


def a_job(number: int = 0, **changes: Any) -> Job:
    """A job as the api creates it."""
    spec = JobSpec(
        id=f"resp_{number:048x}",
        tenant="acme",
        model="o3",
        effort="high",
        max_output_tokens=None,
        service_tier="default",
        body_hash="ab" * 32,
        webhook=True,
        rate_tokens=4106,
        created_at=START,
        deadline_at=START + timedelta(hours=24),
    )
    job = Job.create(spec, CallSpec("o3", "high", None, Decimal("0.800512")))
    return job.model_copy(update=changes)


def a_settled_job(number: int = 0) -> Job:
    """A completed job with ids and counts of typical length."""
    job = a_job(number).start_call(token="5f" * 16, provider="openai", now=START)
    job = job.mark_running(response_id="resp_" + "68" * 25, now=START, poll_seconds=5)
    for minute in range(12):
        job = job.record_poll(now=START + timedelta(minutes=minute), poll_seconds=60)
    return job.settle(
        "completed",
        now=START + timedelta(minutes=14, milliseconds=123),
        served_model="o3-2025-04-16",
        usage=Usage(input_tokens=12_345, cached_input_tokens=1024, output_tokens=23_456, reasoning_tokens=20_480),
        price_id="o3/standard/2025-06-10",
        cost_usd=Decimal("0.211066"),
    )


_milliseconds = st.integers(min_value=0, max_value=20 * 365 * 86_400_000)
times = _milliseconds.map(lambda ms: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-._", min_size=1, max_size=20)
tokens = st.integers(min_value=0, max_value=10_000_000)
dollars = st.decimals(min_value=0, max_value=10**9, places=18)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    uncached, cached, written, visible, reasoning = (draw(tokens) for _ in range(5))
    return Usage(
        input_tokens=uncached + cached + written,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=visible + reasoning,
        reasoning_tokens=reasoning,
    )


attempts = st.builds(
    Attempt,
    number=st.integers(1, 10_000),
    state=st.sampled_from(get_args(AttemptState)),
    hold_usd=dollars,
    held_at=times,
    model=st.none() | names,
    effort=st.none() | names,
    max_output_tokens=st.none() | tokens,
    reason=st.none() | st.sampled_from(get_args(AttemptReason)),
    token=st.none() | names,
    provider=st.none() | names,
    called_at=st.none() | times,
    submitted_at=st.none() | times,
    response_id=st.none() | names,
    polls=st.integers(0, 1000),
    served_model=st.none() | names,
    usage=st.none() | usages(),
    price_id=st.none() | names,
    cost_usd=st.none() | dollars,
)

jobs = st.builds(
    Job,
    id=st.binary(min_size=24, max_size=24).map(lambda raw: f"resp_{raw.hex()}"),
    tenant=names,
    status=st.sampled_from(("queued", "in_progress", "completed", "failed", "incomplete", "cancelled")),
    model=names,
    effort=st.none() | names,
    max_output_tokens=st.none() | tokens,
    max_cost_usd=st.none() | dollars,
    mode=st.sampled_from(("background", "direct")),
    on_unknown=st.none() | st.just("retry"),
    on_starved=st.none() | st.just("retry"),
    model_policy=st.none() | st.just("successor"),
    cancel_requested_at=st.none() | times,
    rate_tokens=tokens,
    tags=st.lists(names, max_size=5, unique=True).map(sorted).map(tuple),
    service_tier=names,
    body_hash=names,
    webhook=st.booleans(),
    created_at=times.map(lambda at: at - RECORD_RETENTION),
    deadline_at=times,
    next_step_at=times,
    overdue_at=st.none() | times,
    finished_at=st.none() | times,
    attempts=st.lists(attempts, max_size=3).map(tuple),
    busy_retries=st.integers(0, 1000),
    sweeps=st.integers(0, 100),
    failure=st.none() | st.builds(Failure, code=names, message=texts),
    incomplete_reason=st.none() | names,
    version=st.integers(1, 10_000),
)
